"""The fine detail of a thumbnail, which shows shape without shading, and fits of two pictures."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

NOISE_GREY_LEVELS = 1.0  # weaker detail than this is noise
_BLUR_PX = 2.5  # standard deviation; the blur removes the detail


def detail_of(thumb: NDArray[Any]) -> NDArray[np.float32]:
    """What a blur takes from grey levels ``[48, 48]``, float32."""
    values = thumb.astype(np.float32)
    return np.asarray(values - cv2.GaussianBlur(values, (0, 0), _BLUR_PX), np.float32)


def correlation(left: NDArray[np.float32], right: NDArray[np.float32]) -> float:
    """The correlation of the details of the same pixels, ``[K]``, -1 to 1; 0 for noise."""
    left, right = left - left.mean(), right - right.mean()
    scale = np.sqrt((left @ left + NOISE_GREY_LEVELS) * (right @ right + NOISE_GREY_LEVELS))
    return float(left @ right / scale)


def linear_fit(left: NDArray[Any], right: NDArray[Any]) -> tuple[float, float]:
    """Slope and offset of the least-squares line; ``np.polyfit`` takes several times as long."""
    mean, other_mean = float(left.mean()), float(right.mean())
    centred = left - mean
    slope = float(centred @ (right - other_mean)) / max(float(centred @ centred), 1e-9)
    return slope, other_mean - slope * mean
