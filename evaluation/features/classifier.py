"""A small classifier of the two domains: it measures how many translations pass for the target.

Logistic regression on standardised offline features, trained only on real **training** pictures,
with a penalty chosen by cross-validation among them. It never learns from test pictures.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evaluation.arrays import Array
from preprocessing.selection.logistic_regression import LogisticModel, fit_logistic

LEAST_FOR_TRAINING = 10  # training pictures of each domain
LEAST_TO_JUDGE = 10  # test pictures; with fewer the figure is left out
_PENALTIES = (1e-3, 1e-2, 1e-1, 1.0)
_NUM_FOLDS = 5


@dataclass(frozen=True)
class Classifier:
    """Separates domain B (margin above 0) from domain A."""

    model: LogisticModel
    penalty: float
    cross_validated_accuracy: float  # among the training pictures, balanced over both domains

    def margin(self, features: Array) -> Array:
        """``[N, D]`` → ``[N]``: above 0 for B, below 0 for A."""
        return self.model.margin(features)

    def passes(self, features: Array, domain: str) -> Array:
        """1 for each picture classified as ``domain`` (``"A"`` or ``"B"``), else 0: ``[N]``."""
        margin = self.margin(features)
        return np.asarray((margin > 0) == (domain == "B"), dtype=np.float64)


def fit(train_a: Array, train_b: Array, seed: int) -> Classifier | None:
    """A classifier trained on features ``[N, D]``, ``[M, D]``; ``None`` for too few pictures."""
    if min(len(train_a), len(train_b)) < LEAST_FOR_TRAINING:
        return None
    x = np.concatenate([train_a, train_b])
    is_b = np.repeat([0.0, 1.0], [len(train_a), len(train_b)])
    folds = np.empty(len(x), dtype=int)
    rng = np.random.default_rng(seed)
    for side in (0.0, 1.0):  # each fold has an equal share of both domains
        members = np.flatnonzero(is_b == side)
        folds[rng.permutation(members)] = np.arange(len(members)) % _NUM_FOLDS
    accuracies = [_cross_validate(x, is_b, folds, penalty) for penalty in _PENALTIES]
    best = int(np.argmax(accuracies))
    model = fit_logistic(x, is_b, _PENALTIES[best])
    return Classifier(model, _PENALTIES[best], accuracies[best])


def _cross_validate(x: Array, is_b: Array, folds: NDArray[np.int_], penalty: float) -> float:
    is_right = np.empty(len(x), dtype=bool)
    for fold in range(_NUM_FOLDS):
        held_out = folds == fold
        model = fit_logistic(x[~held_out], is_b[~held_out], penalty)
        is_right[held_out] = (model.margin(x[held_out]) > 0) == is_b[held_out]
    return float((is_right[is_b == 0].mean() + is_right[is_b == 1].mean()) / 2)
