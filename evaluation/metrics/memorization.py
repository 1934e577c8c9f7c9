"""Are translations copies of training pictures? Nearest neighbours among the target's training set.

A translation counts as *near a training picture* when it is nearer to one than 95 % of the real
held-out pictures of the target are: 5 % is what pictures nobody copied reach.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

Array = NDArray[np.float64]

LEAST_REAL = 20  # held-out pictures: the 5 % nearest of fewer is not even one
_NEAR = 0.05


@dataclass(frozen=True)
class Neighbours:
    """The nearest training picture of each picture: its index and its distance, ``[N]`` each."""

    index: NDArray[np.int_]
    distance: Array


def nearest(features: Array, train: Array) -> Neighbours:
    """Nearest rows of ``train`` ``[M, D]`` for ``[N, D]`` features, by Euclidean distance."""
    distances = cdist(features, train)
    index = distances.argmin(axis=1)
    return Neighbours(index, distances[np.arange(len(features)), index])


def is_near(distance: Array, real: Array) -> Array:
    """1 where a distance is below 95 % of the ``real`` pictures' distances, else 0."""
    return np.asarray(distance < np.quantile(real, _NEAR), dtype=np.float64)
