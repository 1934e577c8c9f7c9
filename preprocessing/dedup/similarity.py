"""The similarity of two pictures, by their thumbnails aligned to each other.

Hashes alone do not tell faces apart, and comparing every thumbnail with every other one would take
too long: ``candidates`` proposes pairs by their hashes, and this module compares them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from preprocessing.analysis.fingerprint import (
    THUMB_PX,
    coarse_colours,
    coarse_levels,
    grey_thumbnail,
)
from preprocessing.dedup.colours import (
    ALIGNED,
    ROUGHLY_ALIGNED,
    ColourGaps,
    StageLimits,
    compare_colours,
)
from preprocessing.dedup.detail import NOISE_GREY_LEVELS, correlation, detail_of, linear_fit
from preprocessing.dedup.overlay import (
    Overlay,
    ThumbnailPair,
    oriented,
    start_overlay,
    warp,
    window_overlay,
)
from preprocessing.dedup.places import PlaceGaps
from preprocessing.dedup.screening import unaligned_similarities
from preprocessing.dedup.templates import differ_in_content
from preprocessing.dedup.watermark import similarity_beside_mark

SIMILARITY_VERSION = 8  # raise it when the same two fingerprints have another similarity
_ALIGNMENT_STEPS = 20
_MIN_FIRST_DETAIL = 0.85  # correlation after the first steps; a pair below it is no copy
_WATERMARK_SHARE = 0.15  # of the pixels that a watermark may cover
_MIN_DETAIL = 0.9  # correlation below which colours are not compared
_FACE_PENALTY, _EDITED_PENALTY = 0.013, 0.008  # subtracted from the correlation of details
_LIGHT_BLUR_PX, _LIGHT_BLOCK_PX = 0.8, 3  # standard deviation; side of the blocks of a mean
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


@dataclass(frozen=True)
class _Stage:
    """One alignment of a pair, and what a copy must fulfil after it."""

    num_steps: int
    limits: StageLimits
    max_misfit: float  # of the light of two portraits or faces, a share of its deviation
    max_edited_misfit: float  # of two portraits with other colours


# Copies are within 0.2 after the first steps. After the last ones 95 of 100 recoloured copies are
# within 0.11 and other copies within 0.1; 93 of 100 pairs of people in one studio that agree in
# everything else are beyond 0.185, most of the others beyond 0.14.
_ROUGH_STAGE = _Stage(3, ROUGHLY_ALIGNED, 0.3, 0.3)
_FINAL_STAGE = _Stage(_ALIGNMENT_STEPS, ALIGNED, 0.185, 0.14)
# Beyond them the colours may not differ in places, and beyond the first not by far.
_MAX_SURE_MISFIT, _MAX_CLOSE_MISFIT = 0.04, 0.08


def similarity(pair: ThumbnailPair) -> float:
    """The similarity of the two thumbnails, one aligned to the other, -1 to 1.

    The alignment maximises the enhanced correlation coefficient (Evangelidis and Psarakis 2008)
    over affine maps. Then the fine detail of both is correlated, without the pixels that differ
    most: a watermark covers a part of a copy, whereas another photograph of the same scene differs
    everywhere. Two portraits before one background, or two faces with their surroundings, must also
    agree in their light and in each part of their faces, and the less their light agrees, the less
    may their colours differ in places. Where no clear faces tell, two pictures of one template are
    told apart by a part with other content. Light and colours must correlate too.
    There is a penalty for edited colours, and one for faces, because all of these resemble each
    other. A whole picture that differs by a mark alone needs no such agreement of its faces. Most
    pairs are no copies; the comparison of such a pair ends as soon as that is certain.
    """
    return float(similarities([pair])[0])


def similarities(pairs: Sequence[ThumbnailPair]) -> NDArray[np.float64]:
    """The similarity of each pair, ``[P]``."""
    values = unaligned_similarities(pairs)
    for place in np.flatnonzero(np.isnan(values)).tolist():
        values[place] = aligned_similarity(pairs[place])
    return values


def aligned_similarity(pair: ThumbnailPair) -> float:
    """The similarity of a pair that ``unaligned_similarities`` left open."""
    inner, outer = _inner_grey(pair), grey_thumbnail(pair.outer)
    start, are_of_faces = start_overlay(pair), np.array(pair.is_of_faces)
    inner_detail = detail_of(inner)
    unaligned = _detail_correlation(inner_detail, outer, start), start
    mask = start.inside.astype(np.uint8) if pair.is_of_faces else None
    for stage in (_ROUGH_STAGE, _FINAL_STAGE):
        alignment = _align(inner, outer, start, stage.num_steps, mask)
        aligned = _detail_correlation(inner_detail, outer, alignment), alignment
        detail, overlay = max(unaligned, aligned, key=lambda scored: scored[0])
        if detail < _MIN_FIRST_DETAIL:
            return detail
        gaps = _colour_gaps(pair, overlay)
        if not gaps.agree(are_of_faces, stage.limits)[0]:
            return detail - 1
        if stage is _ROUGH_STAGE and not pair.is_of_faces:
            beside = max(similarity_beside_mark(inner, outer, o) for o in (start, alignment))
            if beside > 0:
                return beside - _EDITED_PENALTY
        is_edited = not pair.is_of_faces and not gaps.within(ALIGNED.whole)[0]
        max_misfit = stage.max_edited_misfit if is_edited else stage.max_misfit
        misfit = _light_misfit(inner, outer, overlay) if pair.has_faces else 0.0
        if misfit > max_misfit:
            return min(detail, _LOCALLY_DIFFERENT)
    if detail >= _MIN_DETAIL and _differ_in_part(pair, overlay, misfit):
        return min(detail, _LOCALLY_DIFFERENT)
    return detail - _FACE_PENALTY * pair.is_of_faces - _EDITED_PENALTY * is_edited


def _inner_grey(pair: ThumbnailPair) -> NDArray[np.uint8]:
    return oriented(grey_thumbnail(pair.inner), pair.turns, is_mirrored=pair.is_mirrored)


def _colour_gaps(pair: ThumbnailPair, overlay: Overlay) -> ColourGaps:
    inner = oriented(coarse_colours(pair.inner), pair.turns, is_mirrored=pair.is_mirrored)
    outer = warp(coarse_colours(pair.outer), overlay.coarse)
    inside = overlay.coarse_inside.reshape(1, -1)
    return compare_colours(inner.reshape(1, -1, 3), outer.reshape(1, -1, 3), inside)


def _differ_in_part(pair: ThumbnailPair, overlay: Overlay, misfit: float) -> bool:
    """Whether a part of the pictures, such as a face, differs too much for copies."""
    if not pair.has_faces:
        return _differ_in_content(pair, overlay)
    return _differ_in_places(pair, overlay, misfit) or not _are_same_faces(pair, overlay)


def _differ_in_places(pair: ThumbnailPair, overlay: Overlay, misfit: float) -> bool:
    if misfit <= _MAX_SURE_MISFIT:
        return False
    inner = oriented(coarse_levels(pair.inner), pair.turns, is_mirrored=pair.is_mirrored)
    outer = warp(coarse_levels(pair.outer), overlay.coarse)
    gaps = PlaceGaps(inner, outer, overlay.coarse_inside)
    is_far = misfit > _MAX_CLOSE_MISFIT and gaps.are_in_places()
    return is_far or gaps.are_too_large(is_of_faces=pair.is_of_faces)


def _differ_in_content(pair: ThumbnailPair, overlay: Overlay) -> bool:
    inner, outer = _inner_grey(pair), grey_thumbnail(pair.outer)
    share = _agreeing_share(inner, outer, overlay)
    differ = differ_in_content(inner, outer, overlay, share)
    return differ and not _has_watermark(inner, outer, overlay)


def _mean_and_deviation(values: NDArray[Any]) -> tuple[float, float]:
    """Mean and standard deviation; NumPy takes several times as long for so few values."""
    mean, deviation = cv2.meanStdDev(values)
    return float(mean[0, 0]), float(deviation[0, 0])


def _align(
    inner: NDArray[np.uint8],
    outer: NDArray[np.uint8],
    start: Overlay,
    num_steps: int,
    mask: NDArray[np.uint8] | None = None,
) -> Overlay:
    """The overlay after at most ``num_steps`` steps, or ``start`` where they do not converge."""
    limit = cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, num_steps, 1e-3
    try:
        _, transform = cv2.findTransformECC(
            inner, outer, start.transform.copy(), cv2.MOTION_AFFINE, limit, mask, 3
        )
    except cv2.error:  # they are aligned already, or have nothing in common
        return start
    return replace(start, transform=np.asarray(transform, np.float32))


def _are_same_faces(pair: ThumbnailPair, overlay: Overlay) -> bool:
    """Whether two people, photographed alike, are one person: whether the faces agree in all their
    parts, the more so the less of their surroundings agrees.
    """
    inner, outer = _inner_grey(pair), grey_thumbnail(pair.outer)
    share = _agreeing_share(inner, outer, overlay)
    least = next(face for surroundings, face in _MIN_AGREEMENTS if share >= surroundings)
    agreement = _face_agreement(pair.inner_face, pair.outer_face, pair)
    return agreement >= least or _has_watermark(inner, outer, overlay)


def _face_agreement(inner: bytes, outer: bytes, pair: ThumbnailPair) -> float:
    """The median local correlation of the inner parts of two aligned faces, -1 to 1."""
    inner_grey = oriented(grey_thumbnail(inner), 0, is_mirrored=pair.is_mirrored)  # it is level
    outer_grey = grey_thumbnail(outer)
    start, best = window_overlay(0), -1.0
    for overlay in (start, _align(inner_grey, outer_grey, start, _ALIGNMENT_STEPS, _FACE_MASK)):
        if (overlay.inside & (_FACE_MASK > 0)).sum() >= _FACE_MASK.size * _MIN_FACE_SHARE:
            local, _ = _local_correlations(inner_grey, outer_grey, overlay, _FACE_BLOCK_PX)
            best = max(best, float(np.median(local[_FACE_BLOCKS])))
    return best


def _agreeing_share(inner: NDArray[np.uint8], outer: NDArray[np.uint8], overlay: Overlay) -> float:
    """The share of the detail that lies where both pictures correlate locally, 0 to 1."""
    local, strength = _local_correlations(inner, outer, overlay, _BLOCK_PX)
    weight = strength * overlay.inside
    return float((weight * (local > _MIN_LOCAL_CORRELATION)).sum() / (weight.sum() + 1e-6))


def _light_misfit(inner: NDArray[np.uint8], outer: NDArray[np.uint8], overlay: Overlay) -> float:
    """How far the light of the outer picture is from an affine function of the inner one's, as it
    is after an edit of the whole picture: a share of its deviation, without clipped pixels and
    without those that a watermark may cover.
    """
    warped, inside = warp(outer, overlay.transform), overlay.inside
    unclipped = inside.copy()
    for side in (inner, warped):
        unclipped &= (side > _BLACK_GREY_LEVEL) & (side < _WHITE_GREY_LEVEL)
    if unclipped.sum() >= _MIN_UNCLIPPED_SHARE * inside.sum():
        inside = unclipped
    left, right = (
        cv2.GaussianBlur(side.astype(np.float32), (0, 0), _LIGHT_BLUR_PX)
        for side in (inner, warped)
    )
    slope, offset = linear_fit(left[inside], right[inside])
    gap = cv2.blur((right - slope * left - offset) * inside, (_LIGHT_BLOCK_PX, _LIGHT_BLOCK_PX))
    deviation = max(float(right[inside].std()), NOISE_GREY_LEVELS)
    return float(np.quantile(np.abs(gap[inside]), 1 - _WATERMARK_SHARE)) / deviation


def _local_correlations(
    inner: NDArray[np.uint8], outer: NDArray[np.uint8], overlay: Overlay, block_px: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The correlation of the details in the block about each pixel, and the detail's strength
    there, grey levels; each ``[48, 48]``.
    """
    left = detail_of(inner) * overlay.inside
    right = detail_of(warp(outer, overlay.transform)) * overlay.inside
    block = (block_px, block_px)
    energies = [np.maximum(cv2.blur(part * part, block), 0) for part in (left, right)]
    scale = np.sqrt(energies[0] * energies[1]) + NOISE_GREY_LEVELS
    strength = np.sqrt(np.maximum(*energies))
    return np.asarray(cv2.blur(left * right, block) / scale), np.asarray(strength)


def _has_watermark(inner: NDArray[np.uint8], outer: NDArray[np.uint8], overlay: Overlay) -> bool:
    """Whether the pictures differ in a small part only, and there one is brighter throughout."""
    inside = overlay.inside
    left = inner[inside].astype(np.float64)
    right = warp(outer, overlay.transform)[inside].astype(np.float64)
    agree = np.ones(len(left), bool)
    for _ in range(_FITTING_STEPS):
        slope, offset = linear_fit(left[agree], right[agree])
        gap = right - slope * left - offset
        agree = np.abs(gap) <= np.quantile(np.abs(gap), 1 - _MAX_MARK_SHARE)
    marked = np.abs(gap) > max(_MIN_MARK_GREY_LEVELS, 3 * float(np.abs(gap[agree]).mean()))
    total = float(np.abs(gap[marked]).sum())
    is_one_sided = abs(float(gap[marked].sum())) >= _MIN_ONE_SIDED_SHARE * total
    return 0 < marked.mean() <= _WATERMARK_SHARE and is_one_sided


def _detail_correlation(
    inner_detail: NDArray[np.float32], outer: NDArray[np.uint8], overlay: Overlay
) -> float:
    """The correlation of both pictures' detail; -1 where they overlap too little."""
    inside = overlay.inside
    if inside.mean() < overlay.min_share:
        return -1.0
    left = inner_detail[inside]
    right = detail_of(warp(outer, overlay.transform))[inside]
    deviations = [max(_mean_and_deviation(part)[1], NOISE_GREY_LEVELS) for part in (left, right)]
    gap = np.abs(left / deviations[0] - right / deviations[1])
    rank = int((1 - _WATERMARK_SHARE) * (len(gap) - 1))
    uncovered = gap <= np.partition(gap, rank)[rank]
    return correlation(left[uncovered], right[uncovered])
