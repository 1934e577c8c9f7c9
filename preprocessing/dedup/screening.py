"""Pairs whose similarity is certain before their thumbnails are aligned: most of them."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from preprocessing.analysis.fingerprint import (
    THUMB_PX,
    coarse_colours,
    grey_thumbnail,
    inside_picture,
)
from preprocessing.dedup.colours import UNALIGNED, compare_colours
from preprocessing.dedup.overlay import (
    ALL_PIXELS,
    MIN_FACE_OVERLAP_SHARE,
    Overlay,
    ThumbnailPair,
    oriented,
    warp,
    window_overlay,
)

_PAIRS_PER_BLOCK = 256  # whose colours fit the processor's cache
_MAX_PARTS = 1 << 13  # that are remembered, some 7 kB each
_PLAIN_GREY_LEVELS = 2.5  # standard deviation below which a picture is plain
_SAME_PLAIN_GREY_LEVELS = 4.0  # plain pictures whose means are nearer than this are duplicates


@dataclass(frozen=True, slots=True)
class _Part:
    """What one thumbnail of a pair shows, where the other one's pixels are."""

    colours: NDArray[np.float32]  # [256, 3], CIELAB
    coarse_inside: NDArray[np.bool_]  # [256]
    inside: NDArray[np.uint8]  # [288], a bit for each pixel
    mean: float  # grey levels
    deviation: float


def unaligned_similarities(pairs: Sequence[ThumbnailPair]) -> NDArray[np.float64]:
    """The similarity of each pair that is certain without an alignment, ``[P]``; NaN elsewhere.

    Plain pictures are duplicates where they are equally bright. Faces at opposite edges of their
    pictures, and pairs whose light or colours are far apart, are none.
    """
    starts = range(0, len(pairs), _PAIRS_PER_BLOCK)
    blocks = [_similarities(pairs[start : start + _PAIRS_PER_BLOCK]) for start in starts]
    return np.concatenate([np.empty(0), *blocks])


def _similarities(pairs: Sequence[ThumbnailPair]) -> NDArray[np.float64]:
    are_of_faces = np.array([pair.is_of_faces for pair in pairs])
    inner = [
        _inner_part(pair.inner, pair.turns, pair.is_mirrored, pair.is_of_faces) for pair in pairs
    ]
    outer = [_outer_part(pair.outer, pair.window, pair.is_of_faces) for pair in pairs]
    gaps = compare_colours(
        np.stack([part.colours for part in inner]),
        np.stack([part.colours for part in outer]),
        np.stack([part.coarse_inside for part in inner])
        & np.stack([part.coarse_inside for part in outer]),
    )
    values = np.full(len(pairs), np.nan)
    apart = ~gaps.agree(are_of_faces, UNALIGNED)
    values[apart] = (np.minimum(gaps.light, gaps.colour) - 1)[apart]
    common = np.stack([part.inside for part in inner]) & np.stack([part.inside for part in outer])
    overlap = np.bitwise_count(common).sum(axis=1) / THUMB_PX**2
    values[are_of_faces & (overlap < MIN_FACE_OVERLAP_SHARE)] = -1.0
    means, deviations = (
        np.array([[getattr(part, name) for part in side] for side in (inner, outer)])
        for name in ("mean", "deviation")
    )
    is_plain = deviations < _PLAIN_GREY_LEVELS
    are_same = is_plain.all(axis=0) & (np.abs(means[0] - means[1]) < _SAME_PLAIN_GREY_LEVELS)
    return np.where(is_plain.any(axis=0), are_same.astype(np.float64), values)


@functools.lru_cache(maxsize=_MAX_PARTS)
def _inner_part(thumbnail: bytes, turns: int, is_mirrored: bool, is_of_faces: bool) -> _Part:
    """The part of the inner thumbnail, turned and mirrored for the comparison."""
    mask = inside_picture(thumbnail).astype(np.uint8) if is_of_faces else ALL_PIXELS
    masks = oriented(mask, turns, is_mirrored=is_mirrored), ALL_PIXELS
    overlay = replace(window_overlay(0), masks=masks)
    colours = oriented(coarse_colours(thumbnail), turns, is_mirrored=is_mirrored)
    return _part(thumbnail, colours, overlay)


@functools.lru_cache(maxsize=_MAX_PARTS)
def _outer_part(thumbnail: bytes, window: int, is_of_faces: bool) -> _Part:
    """The part of the outer thumbnail, seen through its window."""
    mask = inside_picture(thumbnail).astype(np.uint8) if is_of_faces else ALL_PIXELS
    overlay = replace(window_overlay(window), masks=(ALL_PIXELS, mask))
    return _part(thumbnail, warp(coarse_colours(thumbnail), overlay.coarse), overlay)


def _part(thumbnail: bytes, colours: NDArray[np.float32], overlay: Overlay) -> _Part:
    mean, deviation = cv2.meanStdDev(grey_thumbnail(thumbnail))
    return _Part(
        colours=colours.reshape(-1, 3),
        coarse_inside=overlay.coarse_inside.ravel(),
        inside=np.packbits(overlay.inside),
        mean=float(mean[0, 0]),
        deviation=float(deviation[0, 0]),
    )
