"""Copies that differ from their original by a mark alone: a text or logo laid over a part of it."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from preprocessing.dedup.detail import correlation, detail_of, linear_fit
from preprocessing.dedup.overlay import Overlay, warp

_FITTING_STEPS, _FITTED_SHARE = 6, 0.6  # of the pixels, those that fit best
_MIN_MARK_GREY_LEVELS, _MIN_MARK_DEVIATIONS = 4.0, 4.0  # the latter of the fitted pixels
# Shares of the pixels. Of watermarked copies 95 % are within 0.25 (without any on the other side)
# and what is left differs by 0.02 of its deviation. Drawn people in one shot are one-sided only
# from 0.4 on, and what is left of other people differs by 0.3.
_MAX_MARK_SHARE, _MAX_OPPOSITE_SHARE = 0.3, 0.005
_MAX_GAP, _MIN_CORRELATION = 0.06, 0.99
_GAP_QUANTILE, _BLOCK_PX = 0.99, 3
_MIN_PIXELS = 300  # that are compared


def similarity_beside_mark(
    inner: NDArray[np.uint8], outer: NDArray[np.uint8], overlay: Overlay
) -> float:
    """The correlation of both pictures' detail beside a mark, or where there is none; -1 where
    anything else differs.

    Beside the mark the light of one picture must be an affine function of the other's, almost to
    the noise, and within it one picture must be brighter throughout. Two people before one
    background differ in both directions.
    """
    inside = overlay.inside
    left, right = inner.astype(np.float32), warp(outer, overlay.transform).astype(np.float32)
    slope, offset, noise = _robust_fit(left[inside], right[inside])
    expected = slope * left + offset
    gap = right - expected
    least = max(_MIN_MARK_GREY_LEVELS, _MIN_MARK_DEVIATIONS * noise)
    sides = [inside & (gap > least), inside & (gap < -least)]
    opposite, mark = sorted(sides, key=np.count_nonzero)
    covered = cv2.dilate(mark.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    beside = inside & ~covered
    num, num_beside = np.count_nonzero(inside), np.count_nonzero(beside)
    if num_beside < max(_MIN_PIXELS, (1 - _MAX_MARK_SHARE) * num):
        return -1.0
    if np.count_nonzero(opposite) > _MAX_OPPOSITE_SHARE * num:
        return -1.0
    deviation = max(float(expected[beside].std()), 1.0)
    local = np.abs(cv2.blur(gap * beside, (_BLOCK_PX, _BLOCK_PX)))[beside]
    if np.quantile(local, _GAP_QUANTILE) > _MAX_GAP * deviation:
        return -1.0
    details = (detail_of(side)[beside] for side in (left, np.where(covered, expected, right)))
    value = correlation(*details)
    return value if value >= _MIN_CORRELATION else -1.0


def _robust_fit(left: NDArray[Any], right: NDArray[Any]) -> tuple[float, float, float]:
    """Slope and offset of a line through the pixels that fit it best, and their deviation."""
    fitted = np.ones(len(left), np.bool_)
    rank = int(_FITTED_SHARE * (len(left) - 1))
    for _ in range(_FITTING_STEPS):
        slope, offset = linear_fit(left[fitted], right[fitted])
        gap = np.abs(right - slope * left - offset)
        fitted = gap <= np.partition(gap, rank)[rank]
    return slope, offset, float(np.sqrt(np.mean(gap[fitted] ** 2)))
