"""Is a face's lower half covered, by a mask or a hand? A judgement by colour alone."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

# Left, right, top, bottom of regions of the aligned face, in shares of its side.
_Region = tuple[float, float, float, float]
_UPPER: tuple[_Region, ...] = (
    (0.44, 0.56, 0.33, 0.50),  # bridge of the nose
    (0.30, 0.41, 0.47, 0.55),  # below the eyes
    (0.59, 0.70, 0.47, 0.55),
)
_JAW: tuple[_Region, ...] = ((0.27, 0.38, 0.67, 0.84), (0.62, 0.73, 0.67, 0.84))
_MOUTH: tuple[_Region, ...] = ((0.39, 0.61, 0.72, 0.88),)
_REDNESS, _YELLOWNESS = 4.0, 10.0  # CIELAB units that a bare face seldom loses from top to bottom


def covered(aligned: NDArray[np.uint8]) -> float:
    """How far mouth and jaw are from the colour of the skin above; above 1.4 is seldom a bare face.

    ``aligned`` is ``[S, S, 3]`` uint8 RGB with the eyes 0.36 apart at 0.40 of its height. A mouth
    is redder than skin, a jaw as yellow as cheeks (CIELAB a*, b*); most masks are neither. A grey
    photograph has no colour to judge by, and is taken for bare.
    """
    smooth = cv2.GaussianBlur(aligned, (0, 0), aligned.shape[0] / 85).astype(np.float32) / 255
    lab = np.asarray(cv2.cvtColor(smooth, cv2.COLOR_RGB2LAB), np.float32)
    upper, jaw, mouth = (_colour(lab, regions) for regions in (_UPPER, _JAW, _MOUTH))
    return float(max((upper[1] - mouth[1]) / _REDNESS, (upper[2] - jaw[2]) / _YELLOWNESS))


def _colour(lab: NDArray[np.float32], regions: tuple[_Region, ...]) -> NDArray[np.float32]:
    """The median L*, a*, b* of some regions."""
    side = lab.shape[0]
    parts = [
        lab[round(top * side) : round(bottom * side), round(left * side) : round(right * side)]
        for left, right, top, bottom in regions
    ]
    pixels = np.concatenate([part.reshape(-1, 3) for part in parts])
    return np.asarray(np.median(pixels, axis=0), np.float32)
