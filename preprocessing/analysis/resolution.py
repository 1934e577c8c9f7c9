"""The resolution at which a face was photographed, whatever its size in the picture is now.

An enlarged picture has edges of several pixels. The ratio of second to first differences measures
their width and depends neither on contrast nor on the face. Of sharp faces that were reduced to
24–96 px and enlarged again, it grows as the square root of that size.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

MAX_DETAIL_PX = 96.0  # side of a face, up to which the aligned face shows the difference
_INNER = slice(16, 112)  # of the aligned face's rows and columns
_RATIO = 0.0898  # of a face reduced to one pixel: benchmarks/occlusion.py measures it
_FACE_SHARE = 0.884  # side of a face's box in the aligned face, share of its side


def detail_px(aligned: NDArray[np.uint8], side: float) -> float:
    """The side of a face, px, at which a sharp photograph shows as much as ``aligned``.

    At most ``side``, the face's present side in px, and ``MAX_DETAIL_PX``. ``aligned`` is
    ``[128, 128, 3]`` uint8 RGB, from ``analyse.aligned_face``.
    """
    grey = cv2.cvtColor(aligned, cv2.COLOR_RGB2GRAY).astype(np.float32)
    first = sum(
        float(np.square(np.diff(grey, axis=axis)[_INNER, _INNER]).mean()) for axis in (0, 1)
    )
    second = float(np.square(cv2.Laplacian(grey, cv2.CV_32F)[_INNER, _INNER]).mean())
    # whole grey levels are noise of 1/12, of which differences show 2 or 20 times as much
    first, second = first - 4 / 12, second - 20 / 12
    if first <= 0:
        return 0.0
    reduced_px = max(0.0, second) / first / _RATIO**2
    return min(side, MAX_DETAIL_PX, _FACE_SHARE * reduced_px)
