"""The validation metric of training: KID on the offline features of evaluation.

``training`` must not import ``evaluation``; its caller passes this function to it.
"""

from __future__ import annotations

from collections.abc import Callable

from evaluation.arrays import Pictures
from evaluation.features.extractor import load_offline
from evaluation.metrics.distances import kid


def kid_distance() -> Callable[[Pictures, Pictures], float]:
    """A function that returns the KID between two sets of at least two pictures each."""
    extractor = load_offline()

    def distance(translated: Pictures, real: Pictures) -> float:
        return kid(extractor(translated), extractor(real))

    return distance
