"""Near duplicates: perceptual hashes propose pairs, thumbnails confirm them, pairs make clusters.

A hash alone is a poor judge of aligned faces, which all look alike to it; a thumbnail alone would
have to be compared with every other one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import imagehash
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

_THUMBNAIL_PX = 16
_BLOCK = 256  # hashes compared with all others at a time


@dataclass(frozen=True)
class Fingerprint:
    """What near duplicates are recognised by."""

    phash: int  # 64 bits
    mirrored: int  # 64 bits, of the mirrored picture
    thumbnail: NDArray[np.uint8]  # [16, 16, 3] RGB


def fingerprint(picture: NDArray[np.uint8]) -> Fingerprint:
    """The fingerprint of ``[H, W, 3]`` uint8 RGB."""
    small = cv2.resize(picture, (256, 256), interpolation=cv2.INTER_AREA)
    thumbnail = cv2.resize(small, (_THUMBNAIL_PX, _THUMBNAIL_PX), interpolation=cv2.INTER_AREA)
    return Fingerprint(_phash(small), _phash(small[:, ::-1]), np.asarray(thumbnail, np.uint8))


def _phash(picture: NDArray[np.uint8]) -> int:
    return int(str(imagehash.phash(Image.fromarray(np.ascontiguousarray(picture)))), 16)


def clusters(
    tiers: list[list[Fingerprint | None]], max_bits: int, max_differences: list[float]
) -> NDArray[np.int64]:
    """Cluster number of each picture ``[N]``: equal numbers are one picture.

    Each tier has a fingerprint (or ``None``) for every picture and its own greatest difference of
    thumbnails; a pair found by any tier counts.
    """
    num = len(tiers[0])
    if num == 0:
        return np.zeros(0, np.int64)
    pairs = [
        pair
        for tier, most in zip(tiers, max_differences, strict=True)
        for pair in _pairs(tier, max_bits, most)
    ]
    rows, columns = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    graph = coo_array((np.ones(len(pairs)), (rows, columns)), shape=(num, num))
    return np.asarray(connected_components(graph, directed=False)[1], dtype=np.int64)


def _pairs(
    tier: list[Fingerprint | None], max_bits: int, max_difference: float
) -> Iterator[tuple[int, int]]:
    present = [(index, print_) for index, print_ in enumerate(tier) if print_ is not None]
    if not present:
        return
    indices = np.array([index for index, _ in present])
    prints = [print_ for _, print_ in present]
    hashes = np.array([print_.phash for print_ in prints], np.uint64)
    for others, flip in (
        (hashes, False),
        (np.array([print_.mirrored for print_ in prints], np.uint64), True),
    ):
        for start in range(0, len(hashes), _BLOCK):
            distances = np.bitwise_count(hashes[start : start + _BLOCK, None] ^ others[None])
            for i, j in zip(*np.nonzero(distances <= max_bits), strict=True):
                one, two = start + int(i), int(j)
                if one < two and _difference(prints[one], prints[two], flip=flip) <= max_difference:
                    yield int(indices[one]), int(indices[two])


def _difference(one: Fingerprint, two: Fingerprint, *, flip: bool) -> float:
    """Mean absolute difference of two thumbnails, whatever their brightness and contrast.

    Both are first brought to a mean of 0 and a standard deviation of 50 grey levels.
    """
    return float(np.abs(_levelled(one.thumbnail) - _levelled(two.thumbnail, flip=flip)).mean())


def _levelled(thumbnail: NDArray[np.uint8], *, flip: bool = False) -> NDArray[np.float64]:
    values = (thumbnail[:, ::-1] if flip else thumbnail).astype(np.float64)
    # a nearly plain picture keeps its smallness: its noise says nothing
    return np.asarray((values - values.mean()) * (50 / max(float(values.std()), 8.0)))
