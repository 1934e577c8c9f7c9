"""Enlarging a change along the edges of its photograph.

A change that is known for a small picture has soft edges when it is enlarged, and reaches across
the outlines of lips, lids and brows. Here the small picture says how the change follows the
colours around each pixel, and the photograph's own pixels, which have sharp outlines, take the
change by that rule: a guided filter (He et al. 2013, "Guided Image Filtering", equations 19 to 21)
whose coefficients are computed at the small size (He & Sun 2015, "Fast Guided Filter").
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from preprocessing.images import geometry
from preprocessing.images.geometry import Transform

_WINDOW_PX = 3  # side of the windows in which a change is a linear function of the colours
_NOISE = 3e-3  # ε of He et al.: variance of colours (0 to 1) below which an edge counts little
_LEAST_SPREAD = 2.0  # grey levels; where neighbours differ by less, there is no edge to sharpen
_OVERSAMPLING = 3  # odd, so that the middle of a pixel keeps its value
_MOST_WARPED_PX = 32_767  # side of a picture that OpenCV warps
_TILE_PX = 128  # side of the parts that are computed at once, which bounds the memory

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
    reduced; ``transform`` maps the photo's pixels to its. The change is enlarged bicubically, and
    ``a · (photo - small enlarged)`` is added, where ``a`` is the guided filter's slope: what the
    change is to the details that ``small`` lacks. So a change that is the same everywhere stays
    so, as does any change of a ``small`` as large as ``photo``. No value leaves the range of the
    change in the 3 × 3 px around it by 2 grey levels or more. ``border`` is OpenCV's, and says
    what lies outside ``change``.
    """
    guide = small.astype(np.float32)
    slopes = _slopes(change, guide)
    kernel = np.ones((3, 3), np.uint8)
    lowest, highest = cv2.erode(change, kernel), cv2.dilate(change, kernel)
    spread = (highest - lowest).max(axis=2)
    fine = _OVERSAMPLING if max(spread.shape) * _OVERSAMPLING < _MOST_WARPED_PX else 1
    fine_change, fine_guide = _oversample(change, fine), _oversample(guide, fine)
    result = np.empty(photo.shape, np.float32)
    for top, left in itertools.product(
        range(0, photo.shape[0], _TILE_PX), range(0, photo.shape[1], _TILE_PX)
    ):
        window = np.s_[top : top + _TILE_PX, left : left + _TILE_PX]
        part = photo[window]
        height, width = part.shape[:2]
        matrix = transform.copy()
        matrix[:, 2] += matrix[:, :2] @ (left, top)
        enlarge = _Enlarging(matrix, width, height)
        enlarged = enlarge(fine_change, border, fine)
        if spread[enlarge.source(*spread.shape)].max(initial=0) >= _LEAST_SPREAD:
            detail = part - enlarge(fine_guide, cv2.BORDER_REPLICATE, fine)
            for channel, slope in enumerate(slopes):
                enlarged += enlarge(slope, border) * detail[..., channel : channel + 1]
            enlarged = np.clip(enlarged, enlarge(lowest, border), enlarge(highest, border))
        result[window] = enlarged
    return result


@dataclass(frozen=True)
class _Enlarging:
    """Enlarges small pictures to a part of the photo; ``transform`` maps its pixels to theirs."""

    transform: Transform
    width: int
    height: int

    def __call__(self, values: Pixels, border: int, oversampling: int = 1) -> Pixels:
        matrix = self.transform * oversampling
        matrix[:, 2] += matrix[:, :2] @ (0.5, 0.5) - 0.5  # OpenCV has pixel centres at integers
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        size = (self.width, self.height)
        warped = cv2.warpAffine(values, matrix, size, flags=flags, borderMode=border)
        return np.asarray(warped, np.float32)

    def source(self, height: int, width: int) -> tuple[slice, slice]:
        """The rows and columns of a small picture of this size that the part shows."""
        size = np.array([self.width, self.height])
        corners = geometry.apply(self.transform, size * [(0, 0), (1, 0), (1, 1), (0, 1)])
        low, high = np.floor(corners.min(axis=0)) - 1, np.ceil(corners.max(axis=0)) + 1
        (left, top), (right, bottom) = (
            np.clip(edge, 0, (width, height)).astype(int).tolist() for edge in (low, high)
        )
        return slice(top, bottom), slice(left, right)


def _oversample(values: Pixels, factor: int) -> Pixels:
    """``values`` enlarged bicubically; a linear warp of that is nearly a bicubic one of theirs."""
    size = (values.shape[1] * factor, values.shape[0] * factor)
    return np.asarray(cv2.resize(values, size, interpolation=cv2.INTER_CUBIC), np.float32)


def _slopes(change: Pixels, guide: Pixels) -> list[Pixels]:
    """By channel of ``guide`` the slope of each channel of ``change``, ``[h, w, 3]`` float32."""
    colours = [guide[..., channel] / np.float32(255) for channel in range(3)]
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
