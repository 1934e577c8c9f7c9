"""Pairs of pictures that may be one, by their perceptual hashes; ``alike`` says whether they are.

Tiers: the whole picture and its windows (copies with their edges cut off), then its aligned faces
(copies cut to another shape), each mirrored too. Equal files need no tier: they have one sha256.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from preprocessing.dedup.hamming import Hashes, cross_pairs
from preprocessing.dedup.hash_columns import Prints, Tier

_MOST = 30  # older pictures that a picture is compared with, for a window and orientation
_AT_ONCE = 1 << 18  # pairs held in memory before all but the nearest are dropped, at least

PAIR = np.dtype(
    [
        ("view", np.int32),  # number of the picture whose thumbnail resembles …
        ("frame", np.int32),  # … a window of this one's
        ("view_face", np.int8),  # which of its aligned faces; -1: the whole picture
        ("frame_face", np.int8),
        ("window", np.int8),
        ("mirrored", np.bool_),
        ("apart", np.int8),  # bits
    ]
)
Pairs = NDArray[np.void]  # of PAIR


def candidates(pictures: Prints, bits: int) -> Pairs:
    """For each picture the older ones (of smaller number) whose hashes are within ``bits`` bits:
    ``[P]`` of ``PAIR``, by the newer picture, the nearest first.

    Each pair comes once for a tier, a direction and an orientation, by its nearest window; of very
    many like pictures the nearest alone, which is enough to belong to their cluster.
    """
    found = np.concatenate(
        [
            _of_tier(tier, bits, mirrored=mirrored)
            for tier in pictures.tiers()
            for mirrored in (False, True)
        ]
    )
    return found[np.lexsort((found["apart"], newer(found)))]


def newer(pairs: Pairs) -> NDArray[np.int32]:
    """The number of each pair's newer picture."""
    return np.asarray(np.maximum(pairs["view"], pairs["frame"]), np.int32)


def older(pairs: Pairs) -> NDArray[np.int32]:
    """The number of each pair's older picture."""
    return np.asarray(np.minimum(pairs["view"], pairs["frame"]), np.int32)


def _of_tier(tier: Tier, bits: int, *, mirrored: bool) -> Pairs:
    views = tier.mirrored if mirrored else tier.hashes[:, 0].copy()
    near = []
    for window in range(tier.hashes.shape[1]):
        rows = near_pairs(views, tier.hashes[:, window].copy(), tier.pictures, bits)
        near.append(np.insert(rows, 4, window, axis=1))
    rows = _best_windows(np.concatenate(near))
    pairs = np.zeros(len(rows), PAIR)
    _, pairs["apart"], view, frame, pairs["window"] = rows.T
    pairs["view"], pairs["view_face"] = tier.pictures[view], tier.faces[view]
    pairs["frame"], pairs["frame_face"] = tier.pictures[frame], tier.faces[frame]
    pairs["mirrored"] = mirrored
    return pairs


def _best_windows(rows: NDArray[np.int32]) -> NDArray[np.int32]:
    """Of the rows (newer, apart, view, frame, window) of each view and frame the nearest; in the
    order in which these pairs first come.
    """
    order = np.lexsort((rows[:, 1], rows[:, 3], rows[:, 2]))
    pairs = rows[order, 2:4]
    starts = np.flatnonzero(np.r_[True, (pairs[1:] != pairs[:-1]).any(axis=1)][: len(rows)])
    if len(starts) == 0:
        return rows
    first = np.minimum.reduceat(order, starts)
    return rows[order[starts]][np.argsort(first)]


def near_pairs(
    views: Hashes, frames: Hashes, owners: NDArray[np.int64], bits: int
) -> NDArray[np.int32]:
    """Which views and frames of two pictures are within ``bits`` bits: rows ``[P, 4]`` of newer
    picture, bits apart, place of the view, place of the frame; of each picture the nearest.

    ``owners`` has the picture of each place, in order.
    """
    blocks, waiting = [np.zeros((0, 4), np.int32)], 0
    for i, j in cross_pairs(views, frames, bits):
        other = owners[i] != owners[j]
        i, j = i[other], j[other]  # noqa: PLW2901
        rows = np.empty((len(i), 4), np.int32)
        rows[:, 0], rows[:, 2], rows[:, 3] = np.maximum(owners[i], owners[j]), i, j
        rows[:, 1] = np.bitwise_count(views[i] ^ frames[j])
        blocks.append(rows)
        waiting += len(rows)
        if waiting > max(_AT_ONCE, len(blocks[0])):
            blocks, waiting = [_nearest(np.concatenate(blocks))], 0
    return _nearest(np.concatenate(blocks))


def _nearest(rows: NDArray[np.int32]) -> NDArray[np.int32]:
    """The first ``_MOST`` rows of each newer picture, by distance and age."""
    rows = rows[np.lexsort((rows[:, 3], rows[:, 2], rows[:, 1], rows[:, 0]))]
    first = np.searchsorted(rows[:, 0], rows[:, 0])
    return rows[np.arange(len(rows)) - first < _MOST]
