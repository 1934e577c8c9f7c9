"""The hashes of all pictures in columns: a hundred bytes a picture, however many there are."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from preprocessing.analysis.fingerprint import WINDOWS, Fingerprint
from preprocessing.dedup.hamming import Hashes

WHOLE = -1  # in the place of a face's number


@dataclass(frozen=True)
class Tier:
    """Fingerprints that are compared with one another, of older (smaller) pictures first."""

    pictures: NDArray[np.int64]  # [N], whose they are
    faces: NDArray[np.int8]  # [N], which face of it, or WHOLE
    hashes: Hashes  # [N, W], a window each
    mirrored: Hashes  # [N]


class Prints:
    """Fingerprints of pictures by their numbers, in whatever order these are added."""

    def __init__(self) -> None:
        self._num = 0
        self._tiers = _Columns(len(WINDOWS)), _Columns(1)

    def __len__(self) -> int:
        """The number of pictures."""
        return self._num

    def add(
        self,
        picture: int,
        whole: Fingerprint | None,
        faces: Iterable[tuple[int, Fingerprint]] = (),
    ) -> None:
        """A picture's fingerprint (if it was decoded), and those of its faces by their numbers."""
        wholes, aligned = self._tiers
        if whole is not None:
            wholes.add(picture, WHOLE, whole)
        for face, print_ in faces:
            aligned.add(picture, face, print_)
        self._num += 1

    def tiers(self) -> Iterator[Tier]:
        """The whole pictures with their windows, then the aligned faces."""
        return (columns.tier() for columns in self._tiers)


class _Columns:
    def __init__(self, num_windows: int) -> None:
        self._num_windows = num_windows
        self._pictures, self._faces = array("q"), array("b")
        self._hashes, self._mirrored = array("Q"), array("Q")

    def add(self, picture: int, face: int, print_: Fingerprint) -> None:
        self._pictures.append(picture)
        self._faces.append(face)
        self._hashes.extend(print_.hashes[: self._num_windows])
        self._mirrored.append(print_.mirrored)

    def tier(self) -> Tier:
        pictures = np.frombuffer(self._pictures, np.int64)
        order = np.argsort(pictures, kind="stable")  # a picture's faces stay in their order
        return Tier(
            pictures[order],
            np.frombuffer(self._faces, np.int8)[order],
            np.frombuffer(self._hashes, np.uint64).reshape(-1, self._num_windows)[order],
            np.frombuffer(self._mirrored, np.uint64)[order],
        )
