"""Differences between pairs of pictures, pixel by pixel.

SSIM: Wang et al. 2004 (doi:10.1109/TIP.2003.819861), with its Gaussian window and constants.
"""

from __future__ import annotations

import cv2
import numpy as np

from core.pictures import map_in_threads
from evaluation.arrays import Array, Pictures

_MAX_PSNR_DB = 99.0  # of equal pictures, in place of infinity


def l1(x: Pictures, y: Pictures) -> Array:
    """Mean absolute difference of each pair, grey levels (0 to 255): ``[N]``."""
    return np.asarray(np.abs(x.astype(np.float64) - y).mean(axis=(1, 2, 3)))


def psnr(x: Pictures, y: Pictures) -> Array:
    """Peak signal-to-noise ratio of each pair, dB: ``[N]``; at most 99, for equal pictures."""
    squared = ((x.astype(np.float64) - y) ** 2).mean(axis=(1, 2, 3))
    floor = 255**2 / 10 ** (_MAX_PSNR_DB / 10)
    return np.asarray(10 * np.log10(255**2 / np.maximum(squared, floor)))


def ssim(x: Pictures, y: Pictures) -> Array:
    """Structural similarity of each pair, -1 to 1: ``[N]``; Gaussian window, σ 1.5 px, 11 px."""
    return np.array(list(map_in_threads(_ssim, x, y)))


def _ssim(a: Pictures, b: Pictures) -> float:
    x, y = a.astype(np.float64), b.astype(np.float64)

    def blur(z: Array) -> Array:
        return np.asarray(cv2.GaussianBlur(z, (11, 11), 1.5, borderType=cv2.BORDER_REFLECT))

    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    mean_x, mean_y = blur(x), blur(y)
    var_x, var_y = blur(x * x) - mean_x**2, blur(y * y) - mean_y**2
    covariance = blur(x * y) - mean_x * mean_y
    similarity = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    similarity /= (mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2)
    return float(similarity.mean())
