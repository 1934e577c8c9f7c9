"""Pairs of pictures that may be one, by their perceptual hashes; ``alike`` says whether they are.

Tiers: the whole picture and its windows (copies with their edges cut off), then its aligned faces
(copies cut to another shape), each mirrored too. Equal files need no tier: they have one sha256.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from preprocessing.fingerprint import WINDOWS, Fingerprint
from preprocessing.hamming import Hashes, cross_pairs

_MOST = 30  # older pictures that a picture is compared with, for a window and orientation
_AT_ONCE = 1 << 20  # pairs held in memory before all but the nearest are dropped
_BATCH = 10_000  # rows made into objects at a time


@dataclass(frozen=True)
class Prints:
    """A picture's fingerprints: of the whole (if it was decoded) and of its aligned faces."""

    whole: Fingerprint | None
    faces: tuple[Fingerprint, ...] = ()


@dataclass(frozen=True, slots=True)
class Candidate:
    """A pair worth a look: one's thumbnail resembles a window of the other's."""

    older: int
    newer: int
    tier: str
    view: Fingerprint  # resembles …
    frame: Fingerprint  # … this window of this one
    window: int
    mirrored: bool
    apart: int  # bits

    @property
    def name(self) -> bytes:
        """16 bytes that stand for all that ``alikeness`` looks at."""
        looks = f"{self.tier} {self.window} {self.mirrored}".encode()
        for print_ in (self.view, self.frame):
            looks += print_.thumb + print_.colours
        return hashlib.blake2b(looks, digest_size=16).digest()


def candidates(pictures: Sequence[Prints], bits: int) -> list[list[Candidate]]:
    """For each picture, the older ones (of smaller number) whose hashes are within ``bits`` bits.

    Each pair comes once for a tier, a direction and an orientation, by its nearest window; of very
    many like pictures the nearest alone, which is enough to belong to their cluster.
    """
    found: list[list[Candidate]] = [[] for _ in pictures]
    for tier, owners, prints in _tiers(pictures):
        for flipped in (False, True):
            views = _array(p.mirrored if flipped else p.phash for p in prints)
            near = []
            for window in range(len(WINDOWS) if tier == "whole" else 1):
                frames = _array(p.hashes[window] for p in prints)
                rows = near_pairs(views, frames, owners, bits)
                near.append(np.insert(rows, 4, window, axis=1))
            for newer, apart, view, frame, window in _best_windows(np.concatenate(near)):
                older = int(min(owners[view], owners[frame]))
                pair = prints[view], prints[frame]
                found[newer].append(Candidate(older, newer, tier, *pair, window, flipped, apart))
    for mine in found:
        mine.sort(key=lambda candidate: candidate.apart)
    return found


def _best_windows(rows: NDArray[np.int64]) -> Iterator[list[int]]:
    """Of the rows (newer, apart, view, frame, window) of each view and frame the nearest; in the
    order in which these pairs first come.
    """
    order = np.lexsort((rows[:, 1], rows[:, 3], rows[:, 2]))
    pairs = rows[order, 2:4]
    starts = np.flatnonzero(np.r_[True, (pairs[1:] != pairs[:-1]).any(axis=1)][: len(rows)])
    if len(starts):
        first = np.minimum.reduceat(order, starts)
        for some in np.array_split(
            rows[order[starts]][np.argsort(first)], 1 + len(starts) // _BATCH
        ):
            yield from some.tolist()


def near_pairs(
    views: Hashes, frames: Hashes, owners: NDArray[np.int64], bits: int
) -> NDArray[np.int64]:
    """Which views and frames of two pictures are within ``bits`` bits: rows ``[P, 4]`` of newer
    picture, bits apart, place of the view, place of the frame; of each picture the nearest.

    ``owners`` has the picture of each place, in order.
    """
    rows, waiting = np.zeros((0, 4), np.int64), 0
    blocks = [rows]
    for i, j in cross_pairs(views, frames, bits):
        other = owners[i] != owners[j]
        i, j = i[other], j[other]  # noqa: PLW2901
        apart = np.bitwise_count(views[i] ^ frames[j]).astype(np.int64)
        blocks.append(np.stack([np.maximum(owners[i], owners[j]), apart, i, j], axis=1))
        waiting += len(i)
        if waiting > _AT_ONCE:
            blocks, waiting = [_nearest(np.concatenate(blocks))], 0
    return _nearest(np.concatenate(blocks))


def _nearest(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """The first ``_MOST`` rows of each newer picture, by distance and age."""
    rows = rows[np.lexsort((rows[:, 3], rows[:, 2], rows[:, 1], rows[:, 0]))]
    first = np.searchsorted(rows[:, 0], rows[:, 0])
    return rows[np.arange(len(rows)) - first < _MOST]


def _tiers(
    pictures: Sequence[Prints],
) -> Iterator[tuple[str, NDArray[np.int64], list[Fingerprint]]]:
    """Each tier's fingerprints and whose they are."""
    whole = [(k, p.whole) for k, p in enumerate(pictures) if p.whole is not None]
    faces = [(k, face) for k, p in enumerate(pictures) for face in p.faces]
    for tier, pairs in (("whole", whole), ("face", faces)):
        yield tier, np.array([k for k, _ in pairs], np.int64), [print_ for _, print_ in pairs]


def _array(values: Iterator[int]) -> Hashes:
    return np.fromiter(values, np.uint64)
