"""Two thumbnails to compare, and one laid over the other."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from preprocessing.analysis.fingerprint import (
    COARSE_PX,
    THUMB_PX,
    WHOLE_PICTURE,
    WINDOWS,
    context_part,
    inside_picture,
)
from preprocessing.dedup.candidates import Pairs

_MIN_OVERLAP_SHARE, MIN_FACE_OVERLAP_SHARE = 1 / 3, 0.2  # of whole pictures, of faces
ALL_PIXELS = np.ones((THUMB_PX, THUMB_PX), np.uint8)

Transform = NDArray[np.float32]  # [2, 3]
Mask = NDArray[np.uint8]  # [S, S], 1 in the mask


@dataclass(frozen=True, slots=True)
class ThumbnailPair:
    """Two thumbnails to compare, and the expected place of one in the other."""

    inner: bytes  # resembles …
    outer: bytes  # … a window of this one
    window: int
    turns: int  # quarter turns of the inner one, counter-clockwise, before it is mirrored
    is_mirrored: bool
    is_of_faces: bool  # with their surroundings; not whole pictures
    # aligned faces of two portraits, or of a pair of faces: they tell people apart
    inner_face: bytes = b""
    outer_face: bytes = b""

    @property
    def has_faces(self) -> bool:
        """Whether both aligned faces are known."""
        return bool(self.inner_face and self.outer_face)


def thumbnail_pairs(pairs: Pairs, thumbnail: Callable[[int, int], bytes]) -> list[ThumbnailPair]:
    """The thumbnails of each pair; ``thumbnail(k, part)`` is that of a part of picture k, numbered
    as for ``thumbnail_of``.
    """
    return [_thumbnail_pair(pair, thumbnail) for pair in pairs.tolist()]


def _thumbnail_pair(pair: tuple[Any, ...], thumbnail: Callable[[int, int], bytes]) -> ThumbnailPair:
    inner, outer, inner_face, outer_face, window, turns, is_mirrored, are_portraits, _ = pair
    is_of_faces = inner_face != WHOLE_PICTURE
    has_faces = is_of_faces or are_portraits
    return ThumbnailPair(
        inner=thumbnail(inner, context_part(inner_face) if is_of_faces else WHOLE_PICTURE),
        outer=thumbnail(outer, context_part(outer_face) if is_of_faces else WHOLE_PICTURE),
        window=window,
        turns=turns,
        is_mirrored=is_mirrored,
        is_of_faces=is_of_faces,
        inner_face=thumbnail(inner, max(inner_face, 0)) if has_faces else b"",
        outer_face=thumbnail(outer, max(outer_face, 0)) if has_faces else b"",
    )


def oriented(picture: NDArray[Any], turns: int, *, is_mirrored: bool) -> NDArray[Any]:
    """The inner picture for the comparison, turned (counter-clockwise) and then mirrored."""
    turned = np.rot90(picture, turns)
    return np.ascontiguousarray(turned[:, ::-1] if is_mirrored else turned)


def start_overlay(pair: ThumbnailPair) -> Overlay:
    """The overlay before the alignment."""
    if not pair.is_of_faces:
        return window_overlay(pair.window)
    inner, outer = inside_picture(pair.inner), inside_picture(pair.outer)
    inner = oriented(inner, pair.turns, is_mirrored=pair.is_mirrored)
    masks = inner.astype(np.uint8), outer.astype(np.uint8)
    return replace(window_overlay(0), masks=masks, min_share=MIN_FACE_OVERLAP_SHARE)


@dataclass(frozen=True)
class Overlay:
    """The transform of the inner thumbnail into the outer one: inner → outer pixels."""

    transform: Transform
    masks: tuple[Mask, Mask] = (ALL_PIXELS, ALL_PIXELS)  # what inner and outer show of pictures
    min_share: float = _MIN_OVERLAP_SHARE  # of the inner pixels that both must show

    @functools.cached_property
    def inside(self) -> NDArray[np.bool_]:
        """The inner pixels that lie well within both pictures, ``[48, 48]``."""
        mask = self.masks[0] & warp_mask(self.masks[1], self.transform)
        return np.asarray(cv2.erode(mask, np.ones((5, 5), np.uint8)) > 0)

    @functools.cached_property
    def coarse(self) -> Transform:
        """The same transform for the coarse colours."""
        scale, middle = COARSE_PX / THUMB_PX, np.full(2, 0.5, np.float32)
        coarse = self.transform.copy()
        coarse[:, 2] += 0.5 - coarse[:, :2] @ middle  # centres at half-integers
        coarse[:, 2] = scale * coarse[:, 2] + coarse[:, :2] @ middle - 0.5
        return coarse

    @functools.cached_property
    def coarse_inside(self) -> NDArray[np.bool_]:
        """The coarse inner pixels that lie within both pictures, ``[16, 16]``."""
        size = (COARSE_PX, COARSE_PX)
        inner, outer = (cv2.resize(255 * m, size, interpolation=cv2.INTER_AREA) for m in self.masks)
        return np.asarray((inner == 255) & (warp_mask(outer, self.coarse) == 255))


@functools.cache
def window_overlay(window: int) -> Overlay:
    """The overlay of a picture that is exactly this window of the other."""
    left, top, right, bottom = WINDOWS[window]
    matrix = np.array(
        [[1 - left - right, 0, left * THUMB_PX], [0, 1 - top - bottom, top * THUMB_PX]], np.float32
    )
    matrix[:, 2] += matrix[:, :2] @ np.full(2, 0.5, np.float32) - 0.5  # centres at integers
    return Overlay(matrix)


def warp(picture: NDArray[Any], transform: Transform) -> NDArray[Any]:
    flags = cv2.WARP_INVERSE_MAP | cv2.INTER_LINEAR
    return np.asarray(cv2.warpAffine(picture, transform, picture.shape[:2], flags=flags))


def warp_mask(mask: Mask, transform: Transform) -> Mask:
    flags = cv2.WARP_INVERSE_MAP | cv2.INTER_NEAREST
    return np.asarray(cv2.warpAffine(mask, transform, mask.shape, flags=flags), np.uint8)
