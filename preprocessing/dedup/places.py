"""Where the colours of two pictures differ that lie over each other: nowhere or everywhere, or in
places.

A copy is edited as a whole or not at all. Two people before one background, in the light of one
studio, have the background in common, and their hair, skin and clothes have other colours.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

_BLUR_PX = 1.5  # of coarse pixels: what resampling changes, and an edge that lies elsewhere
_BLACK_LEVEL, _WHITE_LEVEL, _MIN_UNCLIPPED_SHARE = 4, 251, 0.3
# Of copies whose light differs as much as other people's, a fifth of the pixels differs by less
# than 0.7 levels (unedited: resampled, compressed or framed anew) or by 11 and more (edited). Of
# drawn people in one shot it differs by 0.6 to 3.8.
_SAME_SHARE, _MAX_UNEDITED_LEVELS, _MIN_EDITED_LEVELS = 0.2, 0.75, 6.0
# A picture was not even resampled where so many pixels are equal: then nothing else may differ.
_EQUAL_SHARE, _MAX_EQUAL_LEVELS = 0.1, 0.05


def differ_in_places(
    inner: NDArray[np.float32], outer: NDArray[np.float32], inside: NDArray[np.bool_]
) -> bool:
    """Whether the RGB levels ``[16, 16, 3]`` differ in places only, where ``inside``."""
    compared = inside & _unclipped(inner) & _unclipped(outer)
    if np.count_nonzero(compared) < _MIN_UNCLIPPED_SHARE * np.count_nonzero(inside):
        compared = inside
    gap = (outer - inner) * inside[..., None]
    equal = np.quantile(np.abs(gap).max(axis=2)[compared], _EQUAL_SHARE)
    weight = np.maximum(_blurred(inside.astype(np.float32)), 0.2)
    levels = np.sqrt(np.square(_blurred(gap) / weight[..., None]).mean(axis=2))[compared]
    same = np.quantile(levels, _SAME_SHARE)
    return bool(equal < _MAX_EQUAL_LEVELS or _MAX_UNEDITED_LEVELS < same < _MIN_EDITED_LEVELS)


def _unclipped(levels: NDArray[np.float32]) -> NDArray[np.bool_]:
    return np.asarray(((levels > _BLACK_LEVEL) & (levels < _WHITE_LEVEL)).all(axis=2))


def _blurred(values: NDArray[Any]) -> NDArray[np.float32]:
    return np.asarray(cv2.GaussianBlur(values, (0, 0), _BLUR_PX), np.float32)
