"""Detection of translations that copy training pictures, by nearest neighbours.

A translation counts as *near a training picture* when it is nearer to one than 95 % of the real
held-out pictures of the target are. 5 % of real pictures, which copy nothing, count as near too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from evaluation.arrays import Array
from evaluation.figures import Figures
from evaluation.metrics.intervals import share_figure
from evaluation.metrics.measurement import Measurement

LEAST_REAL = 20  # held-out pictures; 5 % of fewer is less than one picture
_NEAR_QUANTILE = 0.05


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
    return np.asarray(distance < np.quantile(real, _NEAR_QUANTILE), dtype=np.float64)


def copies_of_training(data: Measurement) -> Figures:
    """``near_training``: the share of translations that are near a training picture."""
    train = data.target.train_features["offline"]
    if min(len(data.target.rows), len(data.source.rows)) < LEAST_REAL or not len(train):
        return {}
    real = nearest(data.target.features["offline"], train).distance
    features = {
        "near_training": data.outputs.features["offline"],
        "near_training_baseline": data.source.features["offline"],
        "near_training_ceiling": data.target.features["offline"],
    }
    return {
        key: share_figure(is_near(nearest(rows, train).distance, real))
        for key, rows in features.items()
    }
