"""Candidate pairs of near duplicates, by their perceptual hashes; ``similarity`` decides.

Three tiers are searched: whole pictures against windows of pictures (copies with their edges cut
off), aligned faces (copies cropped to another shape), and levelled faces with their surroundings
(turned copies); each also mirrored. Whole pictures are also searched turned by quarter turns. Equal
files share one sha256 and need no tier.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from preprocessing.analysis.fingerprint import (
    QUARTER_TURNS,
    WHOLE_PICTURE,
    WINDOWS,
    Fingerprint,
)
from preprocessing.dedup.hamming import Hashes, cross_pairs

_MAX_OLDER_PICTURES = 30  # for each picture, window and orientation
_MIN_PAIRS_PER_PRUNING = 1 << 18  # in memory; beyond this number only the nearest are kept

PAIR = np.dtype(
    [
        ("inner", np.int32),  # number of the picture whose thumbnail resembles …
        ("outer", np.int32),  # … a window of this one's
        ("inner_face", np.int8),  # number of the face, or WHOLE_PICTURE
        ("outer_face", np.int8),
        ("window", np.int8),
        ("turns", np.int8),  # quarter turns of the inner picture, counter-clockwise
        ("mirrored", np.bool_),
        ("are_portraits", np.bool_),  # whole pictures with one clear face each
        ("distance", np.int8),  # bits
    ]
)
Pairs = NDArray[np.void]  # of PAIR


@dataclass(frozen=True)
class Tier:
    """Fingerprints that are compared with one another, in the order of the pictures' age."""

    pictures: NDArray[np.int64]  # [N], number of the picture
    faces: NDArray[np.int8]  # [N], number of its face, or WHOLE_PICTURE
    are_portraits: NDArray[np.bool_]  # [N]
    hashes: Hashes  # [N, W], one for each window
    mirrored: Hashes  # [N]
    turned: Hashes  # [N, T], one for each of ``QUARTER_TURNS``, or none


class HashColumns:
    """The hashes of all pictures in columns, about 150 bytes per picture with a face.

    Pictures go by their numbers and are added in any order.
    """

    def __init__(self) -> None:
        self._num = 0
        self._wholes = _TierColumns(len(WINDOWS), len(QUARTER_TURNS))
        self._faces, self._contexts = _TierColumns(), _TierColumns()

    def __len__(self) -> int:
        """The number of pictures."""
        return self._num

    def add(
        self,
        picture: int,
        whole: Fingerprint | None,
        faces: Iterable[tuple[int, Fingerprint, Fingerprint]] = (),
        *,
        is_portrait: bool = False,
    ) -> None:
        """Add the fingerprint of a picture (``None`` if it was not decoded), and the fingerprints
        of its faces by their numbers: of the aligned face, and of the face with its surroundings.

        ``is_portrait``: face 0 is its only one, and clear enough to tell people apart by it.
        """
        if whole is not None:
            self._wholes.add(picture, WHOLE_PICTURE, whole, is_portrait=is_portrait)
        for face, aligned, context in faces:
            self._faces.add(picture, face, aligned)
            self._contexts.add(picture, face, context)
        self._num += 1

    def tiers(self) -> Iterator[Tier]:
        """The whole pictures with their windows, the aligned faces, the faces with surroundings."""
        return (columns.tier() for columns in (self._wholes, self._faces, self._contexts))


class _TierColumns:
    def __init__(self, num_windows: int = 1, num_turns: int = 0) -> None:
        self._num_windows, self._num_turns = num_windows, num_turns
        self._pictures, self._faces = array("q"), array("b")
        self._hashes, self._mirrored, self._turned = array("Q"), array("Q"), array("Q")
        self._portraits = array("b")

    def add(
        self, picture: int, face: int, fingerprint: Fingerprint, *, is_portrait: bool = False
    ) -> None:
        self._pictures.append(picture)
        self._faces.append(face)
        self._portraits.append(is_portrait)
        self._hashes.extend(fingerprint.hashes[: self._num_windows])
        self._mirrored.append(fingerprint.mirrored)
        self._turned.extend(fingerprint.turned[: self._num_turns])

    def tier(self) -> Tier:
        pictures = np.frombuffer(self._pictures, np.int64)
        order = np.argsort(pictures, kind="stable")  # a picture's faces stay in their order
        hashes = np.frombuffer(self._hashes, np.uint64).reshape(-1, self._num_windows)
        turned = np.frombuffer(self._turned, np.uint64).reshape(len(pictures), self._num_turns)
        return Tier(
            pictures=pictures[order],
            faces=np.frombuffer(self._faces, np.int8)[order],
            are_portraits=np.frombuffer(self._portraits, np.bool_)[order],
            hashes=hashes[order],
            mirrored=np.frombuffer(self._mirrored, np.uint64)[order],
            turned=turned[order],
        )


def find_candidates(pictures: HashColumns, bits: int) -> Pairs:
    """Pairs of pictures whose hashes differ in at most ``bits`` bits: ``[P]`` of ``PAIR``, ordered
    by the newer picture (with the larger number), the nearest first.

    A pair comes once for each direction and orientation, of whole pictures and of faces, by its
    nearest window. Of very many similar pictures only the nearest are listed, which is enough to
    join their cluster.
    """
    pairs = np.concatenate([part for tier in pictures.tiers() for part in _tier_pairs(tier, bits)])
    pairs = _nearest_of_each_placement(pairs)
    return pairs[np.lexsort((pairs["distance"], newer_pictures(pairs)))]


def newer_pictures(pairs: Pairs) -> NDArray[np.int32]:
    """The number of each pair's newer picture, ``[P]``."""
    return np.asarray(np.maximum(pairs["inner"], pairs["outer"]), np.int32)


def older_pictures(pairs: Pairs) -> NDArray[np.int32]:
    """The number of each pair's older picture, ``[P]``."""
    return np.asarray(np.minimum(pairs["inner"], pairs["outer"]), np.int32)


def _nearest_of_each_placement(pairs: Pairs) -> Pairs:
    """The pairs without repetitions: two tiers propose faces, and the nearer hashes count."""
    placement = [pairs[name] for name in PAIR.names or () if name != "distance"]
    order = np.lexsort([pairs["distance"], *placement])
    is_first = np.ones(len(pairs), np.bool_)
    is_first[1:] = np.any([part[order][1:] != part[order][:-1] for part in placement], axis=0)
    return pairs[order[is_first]]


def _tier_pairs(tier: Tier, bits: int) -> Iterator[Pairs]:
    for hashes, is_mirrored in ((tier.hashes[:, 0], False), (tier.mirrored, True)):
        pairs = _window_pairs(tier, hashes.copy(), range(tier.hashes.shape[1]), bits)
        pairs["mirrored"] = is_mirrored
        yield pairs
    for place in range(tier.turned.shape[1]):
        pairs = _window_pairs(tier, tier.turned[:, place].copy(), range(1), bits)
        pairs["turns"] = QUARTER_TURNS[place]
        yield pairs


def _window_pairs(tier: Tier, inner_hashes: Hashes, windows: Iterable[int], bits: int) -> Pairs:
    """The pairs of these hashes of pictures with windows of pictures."""
    near = []
    for window in windows:
        rows = near_pairs(inner_hashes, tier.hashes[:, window].copy(), tier.pictures, bits)
        near.append(np.insert(rows, 4, window, axis=1))
    rows = _best_windows(np.concatenate(near))
    pairs = np.zeros(len(rows), PAIR)
    _, pairs["distance"], inner, outer, pairs["window"] = rows.T
    pairs["inner"], pairs["inner_face"] = tier.pictures[inner], tier.faces[inner]
    pairs["outer"], pairs["outer_face"] = tier.pictures[outer], tier.faces[outer]
    pairs["are_portraits"] = tier.are_portraits[inner] & tier.are_portraits[outer]
    return pairs


def _best_windows(rows: NDArray[np.int32]) -> NDArray[np.int32]:
    """The nearest of the rows (newer, distance, inner, outer, window) for each inner and outer, in
    the order in which these pairs first occur.
    """
    order = np.lexsort((rows[:, 1], rows[:, 3], rows[:, 2]))
    pairs = rows[order, 2:4]
    starts = np.flatnonzero(np.r_[True, (pairs[1:] != pairs[:-1]).any(axis=1)][: len(rows)])
    if len(starts) == 0:
        return rows
    first = np.minimum.reduceat(order, starts)
    return rows[order[starts]][np.argsort(first)]


def near_pairs(
    inner: Hashes, outer: Hashes, pictures: NDArray[np.int64], bits: int
) -> NDArray[np.int32]:
    """Hashes of two pictures that differ in at most ``bits`` bits: rows ``[P, 4]`` of newer
    picture, distance in bits, place in ``inner``, place in ``outer``.

    ``pictures`` has the number of the picture at each place, ascending. For each picture only the
    nearest rows are listed.
    """
    blocks, num_unpruned = [np.zeros((0, 4), np.int32)], 0
    for i, j in cross_pairs(inner, outer, bits):
        differing = pictures[i] != pictures[j]
        i, j = i[differing], j[differing]  # noqa: PLW2901
        rows = np.empty((len(i), 4), np.int32)
        rows[:, 0], rows[:, 2], rows[:, 3] = np.maximum(pictures[i], pictures[j]), i, j
        rows[:, 1] = np.bitwise_count(inner[i] ^ outer[j])
        blocks.append(rows)
        num_unpruned += len(rows)
        if num_unpruned > max(_MIN_PAIRS_PER_PRUNING, len(blocks[0])):
            blocks, num_unpruned = [_nearest(np.concatenate(blocks))], 0
    return _nearest(np.concatenate(blocks))


def _nearest(rows: NDArray[np.int32]) -> NDArray[np.int32]:
    """The first ``_MAX_OLDER_PICTURES`` rows of each newer picture, by distance and age."""
    rows = rows[np.lexsort((rows[:, 3], rows[:, 2], rows[:, 1], rows[:, 0]))]
    first = np.searchsorted(rows[:, 0], rows[:, 0])
    return rows[np.arange(len(rows)) - first < _MAX_OLDER_PICTURES]
