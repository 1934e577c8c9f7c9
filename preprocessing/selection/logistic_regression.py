"""Logistic regression of two classes, which count the same however many examples they have."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit


@dataclass(frozen=True)
class LogisticModel:
    """Separates the second class (margin above 0) from the first."""

    mean: NDArray[np.float64]  # [D], of the features it was fitted to, as ``scale``
    scale: NDArray[np.float64]
    weights: NDArray[np.float64]
    bias: float

    def margin(self, features: NDArray[np.floating]) -> NDArray[np.float64]:
        """``[N, D]`` → ``[N]``: the log odds of the second class."""
        return np.asarray((features - self.mean) / self.scale @ self.weights + self.bias)


def fit_logistic(
    x: NDArray[np.float64], is_second: NDArray[np.float64], penalty: float
) -> LogisticModel:
    """The model that minimises the mean log loss, balanced over the classes, plus
    ``penalty / 2 · |w|² / D``.

    ``x`` is ``[N, D]``; ``is_second`` ``[N]`` is 1 for the second class, else 0, and has both.
    """
    mean, scale = x.mean(axis=0), x.std(axis=0) + 1e-6
    z = (x - mean) / scale
    importance = np.where(is_second == 1, 0.5 / is_second.sum(), 0.5 / (1 - is_second).sum())
    strength = penalty / x.shape[1]
    sign = 2 * is_second - 1

    def loss(parameters: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        weights, bias = parameters[:-1], parameters[-1]
        margin = sign * (z @ weights + bias)
        value = importance @ np.logaddexp(0, -margin) + strength / 2 * (weights @ weights)
        slope = -importance * sign * expit(-margin)
        return float(value), np.append(slope @ z + strength * weights, slope.sum())

    parameters = minimize(loss, np.zeros(z.shape[1] + 1), jac=True, method="L-BFGS-B").x
    return LogisticModel(mean, scale, np.asarray(parameters[:-1]), float(parameters[-1]))
