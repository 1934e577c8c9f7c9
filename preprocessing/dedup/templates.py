"""Pictures made from one template: equal almost to the noise, and other content in a part of them.

The part may be a face that no detector is sure of, so that nothing but the pixels tells the
pictures apart. A copy that differs in a part only has a mark there, which is brighter throughout,
or was aligned badly, and then it is not equal elsewhere either.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from preprocessing.dedup.detail import linear_fit
from preprocessing.dedup.overlay import Overlay, warp

_BLUR_PX, _BLOCK_PX = 0.8, 3  # standard deviation; side of the blocks of a mean
_FITTING_STEPS, _FITTED_SHARE = 5, 0.7  # of the pixels, those that fit best
_BLACK_GREY_LEVEL, _WHITE_GREY_LEVEL, _MIN_UNCLIPPED_SHARE = 4, 251, 0.3
# Shares of the light's deviation. In 5 % of the pixels portraits of one template differ by 0.12 and
# more; by how much 30 % of the pixels differ says how equal the rest is.
_MIN_PART_GAP, _PART_SHARE, _OTHER_SHARE = 0.08, 0.05, 0.3
_LARGE_GAP, _MIN_ONE_SIDED_SHARE = 0.15, 0.15  # of the pixels with a large gap, on the lesser side
# A gap of the rest counts three times: the sum is at most 0.90 for portraits of one template, and
# at least 1.0 for copies that differ in both directions.
_MAX_AGREEMENT, _GAP_WEIGHT = 0.95, 3.0


def differ_in_content(
    inner: NDArray[np.uint8],
    outer: NDArray[np.uint8],
    overlay: Overlay,
    agreeing_share: float,
) -> bool:
    """Whether a part of the pictures, ``[48, 48]`` grey, shows other content, and the rest is the
    same; ``agreeing_share`` of their detail agrees.
    """
    gap = _gaps(inner, outer, overlay)
    part, rest = np.quantile(np.abs(gap), [1 - _PART_SHARE, 1 - _OTHER_SHARE])
    if part < _MIN_PART_GAP or agreeing_share + _GAP_WEIGHT * rest > _MAX_AGREEMENT:
        return False
    large = gap[np.abs(gap) > _LARGE_GAP]
    brighter = float(np.mean(large > 0)) if len(large) else 0.0
    return min(brighter, 1 - brighter) > _MIN_ONE_SIDED_SHARE


def _gaps(
    inner: NDArray[np.uint8], outer: NDArray[np.uint8], overlay: Overlay
) -> NDArray[np.float32]:
    """How far the light of the outer picture is from the affine function of the inner one's that
    fits most pixels, ``[K]``, as shares of its deviation.
    """
    warped, inside = warp(outer, overlay.transform), overlay.inside
    compared = inside.copy()
    for side in (inner, warped):
        compared &= (side > _BLACK_GREY_LEVEL) & (side < _WHITE_GREY_LEVEL)
    if np.count_nonzero(compared) < _MIN_UNCLIPPED_SHARE * np.count_nonzero(inside):
        compared = inside
    left, right = (
        cv2.GaussianBlur(side.astype(np.float32), (0, 0), _BLUR_PX) for side in (inner, warped)
    )
    fitted = compared
    for _ in range(_FITTING_STEPS):
        slope, offset = linear_fit(left[fitted], right[fitted])
        gap = np.abs(right - slope * left - offset)
        fitted = compared & (gap <= np.quantile(gap[compared], _FITTED_SHARE))
    gap = cv2.blur((right - slope * left - offset) * inside, (_BLOCK_PX, _BLOCK_PX))
    deviation = max(float(right[compared].std()), 1.0)
    return np.asarray(gap[compared] / deviation, np.float32)
