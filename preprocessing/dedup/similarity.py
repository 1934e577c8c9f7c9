"""The similarity of two pictures, by their thumbnails aligned to each other.

Hashes alone do not tell faces apart, and comparing every thumbnail with every other one would take
too long: ``candidates`` proposes pairs by their hashes, and this module compares them.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
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
    coarse_colours,
    context_part,
    grey_thumbnail,
    inside_picture,
)
from preprocessing.dedup.candidates import Pairs

SIMILARITY_VERSION = 4  # raise it when the same two fingerprints have another similarity
_FIRST_STEPS, _ALIGNMENT_STEPS = 3, 20
_MIN_FIRST_DETAIL = 0.85  # correlation after the first steps; a pair below it is no copy
# Correlations before the alignment; the smallest that were measured for copies are 0.56 and 0.53.
_MIN_UNALIGNED_LIGHT, _MIN_UNALIGNED_COLOUR = 0.45, 0.35
# Standard deviation of the blur; the detail that it removes shows shape without shading.
_DETAIL_BLUR_PX = 2.5
_WATERMARK_SHARE = 0.15  # of the pixels that a watermark may cover
_MIN_OVERLAP_SHARE, _MIN_FACE_OVERLAP_SHARE = 1 / 3, 0.2  # of whole pictures, of faces
_MIN_DETAIL = 0.9  # correlation below which colours are not compared
_FACE_PENALTY, _EDITED_PENALTY = 0.013, 0.008  # subtracted from the correlation of details
_GREY_PICTURE_LAB = 1.5  # standard deviation of a* and b* below which a picture has no colours
_NOISE_GREY_LEVELS = 1.0  # weaker detail than this is noise
_PLAIN_GREY_LEVELS = 2.5  # standard deviation below which a picture is plain
_SAME_PLAIN_GREY_LEVELS = 4.0  # plain pictures whose means are nearer than this are duplicates
_LIGHT_BLUR_PX, _LIGHT_BLOCK_PX = 0.8, 3  # standard deviation; side of the blocks of a mean
# Share of the deviation of light. 95 of 100 recoloured copies are within 0.15 and other copies
# within 0.1; 93 of 100 pairs of people in one studio that agree in everything else are beyond it.
_MAX_LIGHT_MISFIT = 0.185
# An edit leaves no affine function where it clips the light; such pixels are left out while others
# are left to compare.
_BLACK_GREY_LEVEL, _WHITE_GREY_LEVEL, _MIN_UNCLIPPED_SHARE = 4, 251, 0.3
_BLOCK_PX, _FACE_BLOCK_PX = 8, 11  # sides of the blocks whose details are correlated
_MIN_LOCAL_CORRELATION = 0.8
_LOCALLY_DIFFERENT = 0.9  # the largest similarity of pictures that differ in a part
# Share of the detail that agrees, and the least agreement of the faces from there on: their median
# local correlation. In copies without a watermark 94 % of the detail and more agree, and nine of
# ten faces exceed 0.91; the largest that was measured for real faces of different people is 0.84,
# and drawn people reach 0.97.
_MIN_AGREEMENTS = ((0.97, 0.88), (0.93, 0.93), (0.7, 0.95), (-1.0, math.inf))
_MIN_FACE_SHARE = 0.17  # of the aligned face that both must show
_FITTING_STEPS, _MAX_MARK_SHARE = 4, 0.2
_MIN_MARK_GREY_LEVELS, _MIN_ONE_SIDED_SHARE = 6.0, 0.9
# The inner face in its thumbnail, and the middles of the blocks that lie in it.
_FACE_MASK = np.zeros((THUMB_PX, THUMB_PX), np.uint8)
_FACE_MASK[11:41, 11:37] = 255
_FACE_BLOCKS = slice(15, 37), slice(15, 33)

_ALL_PIXELS = np.ones((THUMB_PX, THUMB_PX), np.uint8)

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


def similarity(pair: ThumbnailPair) -> float:
    """The similarity of the two thumbnails, one aligned to the other, -1 to 1.

    The alignment maximises the enhanced correlation coefficient (Evangelidis and Psarakis 2008)
    over affine maps. Then the fine detail of both is correlated, without the pixels that differ
    most: a watermark covers a part of a copy, whereas another photograph of the same scene differs
    everywhere. Two portraits before one background, or two faces with their surroundings, must also
    agree in their light and in each part of their faces. Light and colours must correlate too.
    There is a penalty for edited colours, and one for faces, because all of these resemble each
    other. Most pairs are no copies; the comparison of such a pair ends as soon as that is certain.
    """
    inner, outer = _oriented(grey_thumbnail(pair.inner), pair), grey_thumbnail(pair.outer)
    (mean, deviation), (outer_mean, outer_deviation) = map(_mean_and_deviation, (inner, outer))
    if min(deviation, outer_deviation) < _PLAIN_GREY_LEVELS:
        both_plain = max(deviation, outer_deviation) < _PLAIN_GREY_LEVELS
        return float(both_plain and abs(mean - outer_mean) < _SAME_PLAIN_GREY_LEVELS)
    start = _start(pair)
    if start.inside.mean() < start.min_share:
        return -1.0  # faces at opposite edges of their pictures
    _, light, colour = _compare_colours(pair, start)
    if light < _MIN_UNALIGNED_LIGHT or colour < _MIN_UNALIGNED_COLOUR:
        return min(light, colour)
    inner_detail = _detail(inner)
    unaligned = _detail_correlation(inner_detail, outer, start), start
    for num_steps in (_FIRST_STEPS, _ALIGNMENT_STEPS):
        mask = start.inside.astype(np.uint8) if pair.is_of_faces else None
        alignment = _align(inner, outer, start, num_steps, mask)
        aligned = _detail_correlation(inner_detail, outer, alignment), alignment
        detail, overlay = max(unaligned, aligned, key=lambda scored: scored[0])
        if detail < _MIN_FIRST_DETAIL:
            break
    if detail < _MIN_DETAIL:
        return detail
    if not _is_same_everywhere(pair, overlay):
        return min(detail, _LOCALLY_DIFFERENT)
    return detail - _colour_penalty(pair, overlay)


def similarities(pairs: Sequence[ThumbnailPair]) -> list[float]:
    """The similarity of each pair."""
    return [similarity(pair) for pair in pairs]


def _oriented(picture: NDArray[Any], pair: ThumbnailPair) -> NDArray[Any]:
    """The inner picture for the comparison, turned and mirrored as the pair is."""
    turned = np.rot90(picture, pair.turns)
    return np.ascontiguousarray(turned[:, ::-1] if pair.is_mirrored else turned)


def _mirrored(face: NDArray[Any], pair: ThumbnailPair) -> NDArray[Any]:
    """The inner aligned face for the comparison; it is level however the picture is turned."""
    return np.ascontiguousarray(face[:, ::-1]) if pair.is_mirrored else face


def _start(pair: ThumbnailPair) -> _Overlay:
    """The overlay before the alignment."""
    if not pair.is_of_faces:
        return _window_overlay(pair.window)
    inner, outer = inside_picture(pair.inner), inside_picture(pair.outer)
    masks = _mirrored(inner, pair).astype(np.uint8), outer.astype(np.uint8)
    return replace(_window_overlay(0), masks=masks, min_share=_MIN_FACE_OVERLAP_SHARE)


def _mean_and_deviation(values: NDArray[Any]) -> tuple[float, float]:
    """Mean and standard deviation; NumPy takes several times as long for so few values."""
    mean, deviation = cv2.meanStdDev(values)
    return float(mean[0, 0]), float(deviation[0, 0])


def _align(
    inner: NDArray[np.uint8],
    outer: NDArray[np.uint8],
    start: _Overlay,
    num_steps: int,
    mask: NDArray[np.uint8] | None = None,
) -> _Overlay:
    """The overlay after at most ``num_steps`` steps, or ``start`` where they do not converge."""
    limit = cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, num_steps, 1e-3
    try:
        _, transform = cv2.findTransformECC(
            inner, outer, start.transform.copy(), cv2.MOTION_AFFINE, limit, mask, 3
        )
    except cv2.error:  # they are aligned already, or have nothing in common
        return start
    return replace(start, transform=np.asarray(transform, np.float32))


def _is_same_everywhere(pair: ThumbnailPair, overlay: _Overlay) -> bool:
    """Whether the pictures agree in all their parts: whether two people, photographed alike, are
    one person.
    """
    if not (pair.inner_face and pair.outer_face):
        return True
    inner, outer = _oriented(grey_thumbnail(pair.inner), pair), grey_thumbnail(pair.outer)
    if _light_misfit(inner, outer, overlay) > _MAX_LIGHT_MISFIT:
        return False
    share = _agreeing_share(inner, outer, overlay)
    least = next(face for surroundings, face in _MIN_AGREEMENTS if share >= surroundings)
    agreement = _face_agreement(pair.inner_face, pair.outer_face, pair)
    return agreement >= least or _has_watermark(inner, outer, overlay)


def _face_agreement(inner: bytes, outer: bytes, pair: ThumbnailPair) -> float:
    """The median local correlation of the inner parts of two aligned faces, -1 to 1."""
    inner_grey, outer_grey = _mirrored(grey_thumbnail(inner), pair), grey_thumbnail(outer)
    start, best = _window_overlay(0), -1.0
    for overlay in (start, _align(inner_grey, outer_grey, start, _ALIGNMENT_STEPS, _FACE_MASK)):
        if (overlay.inside & (_FACE_MASK > 0)).sum() >= _FACE_MASK.size * _MIN_FACE_SHARE:
            local, _ = _local_correlations(inner_grey, outer_grey, overlay, _FACE_BLOCK_PX)
            best = max(best, float(np.median(local[_FACE_BLOCKS])))
    return best


def _agreeing_share(inner: NDArray[np.uint8], outer: NDArray[np.uint8], overlay: _Overlay) -> float:
    """The share of the detail that lies where both pictures correlate locally, 0 to 1."""
    local, strength = _local_correlations(inner, outer, overlay, _BLOCK_PX)
    weight = strength * overlay.inside
    return float((weight * (local > _MIN_LOCAL_CORRELATION)).sum() / (weight.sum() + 1e-6))


def _light_misfit(inner: NDArray[np.uint8], outer: NDArray[np.uint8], overlay: _Overlay) -> float:
    """How far the light of the outer picture is from an affine function of the inner one's, as it
    is after an edit of the whole picture: a share of its deviation, without clipped pixels and
    without those that a watermark may cover.
    """
    warped, inside = _warp(outer, overlay.transform), overlay.inside
    unclipped = inside.copy()
    for side in (inner, warped):
        unclipped &= (side > _BLACK_GREY_LEVEL) & (side < _WHITE_GREY_LEVEL)
    if unclipped.sum() >= _MIN_UNCLIPPED_SHARE * inside.sum():
        inside = unclipped
    left, right = (
        cv2.GaussianBlur(side.astype(np.float32), (0, 0), _LIGHT_BLUR_PX)
        for side in (inner, warped)
    )
    slope, offset = np.polyfit(left[inside], right[inside], 1)
    gap = cv2.blur((right - slope * left - offset) * inside, (_LIGHT_BLOCK_PX, _LIGHT_BLOCK_PX))
    deviation = max(float(right[inside].std()), _NOISE_GREY_LEVELS)
    return float(np.quantile(np.abs(gap[inside]), 1 - _WATERMARK_SHARE)) / deviation


def _local_correlations(
    inner: NDArray[np.uint8], outer: NDArray[np.uint8], overlay: _Overlay, block_px: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The correlation of the details in the block about each pixel, and the detail's strength
    there, grey levels; each ``[48, 48]``.
    """
    left = _detail(inner) * overlay.inside
    right = _detail(_warp(outer, overlay.transform)) * overlay.inside
    block = (block_px, block_px)
    energies = [np.maximum(cv2.blur(part * part, block), 0) for part in (left, right)]
    scale = np.sqrt(energies[0] * energies[1]) + _NOISE_GREY_LEVELS
    strength = np.sqrt(np.maximum(*energies))
    return np.asarray(cv2.blur(left * right, block) / scale), np.asarray(strength)


def _has_watermark(inner: NDArray[np.uint8], outer: NDArray[np.uint8], overlay: _Overlay) -> bool:
    """Whether the pictures differ in a small part only, and there one is brighter throughout."""
    inside = overlay.inside
    left = inner[inside].astype(np.float64)
    right = _warp(outer, overlay.transform)[inside].astype(np.float64)
    agree = np.ones(len(left), bool)
    for _ in range(_FITTING_STEPS):
        slope, offset = np.polyfit(left[agree], right[agree], 1)
        gap = right - slope * left - offset
        agree = np.abs(gap) <= np.quantile(np.abs(gap), 1 - _MAX_MARK_SHARE)
    marked = np.abs(gap) > max(_MIN_MARK_GREY_LEVELS, 3 * float(np.abs(gap[agree]).mean()))
    total = float(np.abs(gap[marked]).sum())
    is_one_sided = abs(float(gap[marked].sum())) >= _MIN_ONE_SIDED_SHARE * total
    return 0 < marked.mean() <= _WATERMARK_SHARE and is_one_sided


def _colour_penalty(pair: ThumbnailPair, overlay: _Overlay) -> float:
    """The penalty on the correlation of details; 1 where light or colours contradict it."""
    shift, light, colour = _compare_colours(pair, overlay)
    if pair.is_of_faces:
        agree = shift <= 1.0 and light >= 0.97 and colour >= 0.95
        return _FACE_PENALTY if agree else 1.0
    if shift <= 2.0:
        return 0.0 if light >= 0.9 and colour >= 0.85 else 1.0
    return _EDITED_PENALTY if light >= 0.96 and colour >= 0.5 else 1.0


def _compare_colours(pair: ThumbnailPair, overlay: _Overlay) -> tuple[float, float, float]:
    """The shift of the mean a* or b*, CIELAB units; the correlation of light; that of colours."""
    inner, outer = _oriented(coarse_colours(pair.inner), pair), coarse_colours(pair.outer)
    warped = _warp(outer, overlay.coarse)
    pixels = np.concatenate([inner, warped], axis=2)[overlay.coarse_inside]  # [K, 6]
    mean = pixels.mean(axis=0)
    sums = ((pixels - mean).T @ (pixels - mean)).tolist()  # means of products, for all correlations
    _, a, b, _, outer_a, outer_b = mean.tolist()
    shift = max(abs(a - outer_a), abs(b - outer_b))
    are_grey = [
        ((sums[k][k] + sums[k + 1][k + 1]) / len(pixels) + (gap**2) / 2) / 2 < _GREY_PICTURE_LAB**2
        for k, gap in ((1, a - b), (4, outer_a - outer_b))
    ]  # the variance of a* and b* together
    # the colours of a grey picture contradict nothing
    colour = 1.0 if any(are_grey) else _correlation(sums, (1, 2))
    return shift, _correlation(sums, (0,)), colour


def _correlation(sums: Sequence[Sequence[float]], channels: Sequence[int]) -> float:
    inner, outer = (
        sum(sums[k + first][k + first] for k in channels) + _NOISE_GREY_LEVELS for first in (0, 3)
    )
    return sum(sums[k][k + 3] for k in channels) / math.sqrt(inner * outer)


@dataclass(frozen=True)
class _Overlay:
    """The transform of the inner thumbnail into the outer one: inner → outer pixels."""

    transform: Transform
    masks: tuple[Mask, Mask] = (_ALL_PIXELS, _ALL_PIXELS)  # what inner and outer show of pictures
    min_share: float = _MIN_OVERLAP_SHARE  # of the inner pixels that both must show

    @functools.cached_property
    def inside(self) -> NDArray[np.bool_]:
        """The inner pixels that lie well within both pictures, ``[48, 48]``."""
        mask = self.masks[0] & _warp_mask(self.masks[1], self.transform)
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
        return np.asarray((inner == 255) & (_warp_mask(outer, self.coarse) == 255))


@functools.cache
def _window_overlay(window: int) -> _Overlay:
    """The overlay of a picture that is exactly this window of the other."""
    left, top, right, bottom = WINDOWS[window]
    matrix = np.array(
        [[1 - left - right, 0, left * THUMB_PX], [0, 1 - top - bottom, top * THUMB_PX]], np.float32
    )
    matrix[:, 2] += matrix[:, :2] @ np.full(2, 0.5, np.float32) - 0.5  # centres at integers
    return _Overlay(matrix)


def _warp(picture: NDArray[Any], transform: Transform) -> NDArray[Any]:
    flags = cv2.WARP_INVERSE_MAP | cv2.INTER_LINEAR
    return np.asarray(cv2.warpAffine(picture, transform, picture.shape[:2], flags=flags))


def _warp_mask(mask: Mask, transform: Transform) -> Mask:
    flags = cv2.WARP_INVERSE_MAP | cv2.INTER_NEAREST
    return np.asarray(cv2.warpAffine(mask, transform, mask.shape, flags=flags), np.uint8)


def _detail_correlation(
    inner_detail: NDArray[np.float32], outer: NDArray[np.uint8], overlay: _Overlay
) -> float:
    """The correlation of both pictures' detail; -1 where they overlap too little."""
    inside = overlay.inside
    if inside.mean() < overlay.min_share:
        return -1.0
    left = inner_detail[inside]
    right = _detail(_warp(outer, overlay.transform))[inside]
    deviations = [max(_mean_and_deviation(part)[1], _NOISE_GREY_LEVELS) for part in (left, right)]
    gap = np.abs(left / deviations[0] - right / deviations[1])
    rank = int((1 - _WATERMARK_SHARE) * (len(gap) - 1))
    uncovered = gap <= np.partition(gap, rank)[rank]
    left, right = left[uncovered], right[uncovered]
    left, right = left - left.mean(), right - right.mean()
    scale = np.sqrt((left @ left + _NOISE_GREY_LEVELS) * (right @ right + _NOISE_GREY_LEVELS))
    return float(left @ right / scale)


def _detail(thumb: NDArray[np.uint8]) -> NDArray[np.float32]:
    values = thumb.astype(np.float32)
    return np.asarray(values - cv2.GaussianBlur(values, (0, 0), _DETAIL_BLUR_PX), np.float32)
