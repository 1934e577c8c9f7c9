"""How training judges its translations as it goes: the KID of the evaluation's offline features.

``training`` may not import ``evaluation``; the flow hands it this function.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from evaluation.features.extractor import load_offline
from evaluation.metrics.distances import kid

Pictures = NDArray[np.uint8]  # [N, H, W, 3]


def kid_distance() -> Callable[[Pictures, Pictures], float]:
    """A function that gives the KID between two sets of at least two pictures each."""
    extractor = load_offline()

    def distance(translated: Pictures, real: Pictures) -> float:
        return kid(extractor(translated), extractor(real))

    return distance
