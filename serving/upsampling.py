"""Enlarging a change along the edges of its photograph.

A change that is known for a small picture has soft edges when it is enlarged, and reaches across
the outlines of lips, lids and brows. Here the small picture says how the change follows the
colours around each pixel, and the photograph's own pixels, which have sharp outlines, take the
change by that rule: a guided filter (He et al. 2013, "Guided Image Filtering", equations 19 to 21) whose
coefficients are computed at the small size (He & Sun 2015, "Fast Guided Filter").
"""

from __future__ import annotations

import itertools

import cv2
import numpy as np
from numpy.typing import NDArray

from preprocessing.images.geometry import Transform

_WINDOW_PX = 3  # side of the windows in which a change is a linear function of the colours
_NOISE = 3e-4  # variance of colours, 0 to 1, below which an edge counts for little (He et al.: ε)
_TILE_PX = 512  # side of the parts that are computed at once, which bounds the memory

Pixels = NDArray[np.float32]  # [H, W, 3]


def enlarge_change(
    change: Pixels,
    small: NDArray[np.uint8],
    photo: NDArray[np.uint8],
    transform: Transform,
    *,
    border: int = cv2.BORDER_CONSTANT,
) -> Pixels:
    """``change`` at the size of ``photo``: ``[H, W, 3]`` float32 grey levels.

    ``change`` ``[h, w, 3]`` is that of ``small`` ``[h, w, 3]``, which shows ``photo`` ``[H, W, 3]``
    reduced; ``transform`` maps the photo's pixels to theirs. What a bicubic enlargement gives is
    corrected by the details that ``small`` lacks: by ``a · (photo - small enlarged)``, where ``a``
    is the guided filter's slope. So a change that is the same everywhere stays so, as does any
    change of a ``small`` as large as ``photo``. No value leaves the range of the change in the
    3 × 3 px around it. ``border`` is OpenCV's, and says what lies outside ``change``.
    """
    slopes = _slopes(change, small)
    kernel = np.ones((3, 3), np.uint8)
    lowest, highest = cv2.erode(change, kernel), cv2.dilate(change, kernel)
    guide = small.astype(np.float32)
    result = np.empty(photo.shape, np.float32)
    for top, left in itertools.product(
        range(0, photo.shape[0], _TILE_PX), range(0, photo.shape[1], _TILE_PX)
    ):
        window = np.s_[top : top + _TILE_PX, left : left + _TILE_PX]
        part = photo[window]
        matrix = transform.copy()
        matrix[:, 2] += matrix[:, :2] @ (left + 0.5, top + 0.5) - 0.5  # OpenCV: centres at integers

        def enlarge(
            values: Pixels,
            interpolation: int = cv2.INTER_LINEAR,
            border: int = border,
            matrix: Transform = matrix,
            size: tuple[int, int] = (part.shape[1], part.shape[0]),
        ) -> Pixels:
            flags = interpolation | cv2.WARP_INVERSE_MAP
            warped = cv2.warpAffine(values, matrix, size, flags=flags, borderMode=border)
            return np.asarray(warped, np.float32)

        detail = part - enlarge(guide, cv2.INTER_CUBIC, cv2.BORDER_REPLICATE)
        enlarged = enlarge(change, cv2.INTER_CUBIC)
        for channel, slope in enumerate(slopes):
            enlarged += enlarge(slope) * detail[..., channel : channel + 1]
        result[window] = np.clip(enlarged, enlarge(lowest), enlarge(highest))
    return result


def _slopes(change: Pixels, guide: NDArray[np.uint8]) -> list[Pixels]:
    """By channel of ``guide`` the slope of each channel of ``change``, ``[h, w, 3]`` float32."""
    colours = [channel.astype(np.float32) / 255 for channel in cv2.split(guide)]
    means = [_mean(colour) for colour in colours]
    mean_change = _mean(change)
    variance = {
        (i, j): _mean(colours[i] * colours[j]) - means[i] * means[j] + _NOISE * (i == j)
        for i, j in itertools.combinations_with_replacement(range(3), 2)
    }
    slopes = [
        _mean(colour[..., None] * change) - mean[..., None] * mean_change
        for colour, mean in zip(colours, means, strict=True)
    ]
    for k, i in ((0, 1), (0, 2), (1, 2)):  # Gaussian elimination, for all pixels at once
        factor = variance[k, i] / variance[k, k]
        for j in range(i, 3):
            variance[i, j] -= factor * variance[k, j]
        slopes[i] -= factor[..., None] * slopes[k]
    for k in (2, 1, 0):
        for j in range(k + 1, 3):
            slopes[k] -= variance[k, j][..., None] * slopes[j]
        slopes[k] /= variance[k, k][..., None]
    return [_mean(slope) / np.float32(255) for slope in slopes]


def _mean(values: Pixels) -> Pixels:
    """The mean of the window around each pixel."""
    return np.asarray(cv2.blur(values, (_WINDOW_PX, _WINDOW_PX)), np.float32)
