"""The arrays that evaluation passes around."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
"""Numbers, mostly one row a picture; each function says the shape."""

Pictures = NDArray[np.uint8]
"""``[N, H, W, 3]`` uint8 sRGB."""
