"""Maps of colours that give one set of pixels the statistics of another.

Monge–Kantorovich transport is the linear map that gives one Gaussian the mean and covariance of
another at the least squared change (Pitié and Kokaram 2007, doi:10.1049/cp:20070055).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.language.messages import localised

Array = NDArray[np.float64]

_LEAST_VARIANCE = 0.25  # grey levels²: below it a direction of colour holds rounding alone


@dataclass(frozen=True)
class Moments:
    """Mean ``[3]`` and covariance ``[3, 3]`` of colours, RGB grey levels (0 to 255)."""

    mean: Array
    covariance: Array


@dataclass(frozen=True)
class ColourMap:
    """The affine map ``matrix @ colour + shift`` of RGB colours, grey levels."""

    matrix: Array  # [3, 3]
    shift: Array  # [3]

    def __call__(self, colours: Array) -> Array:
        """``[..., 3]`` → ``[..., 3]``, not clipped to 0 … 255."""
        return np.asarray(colours @ self.matrix.T + self.shift)


def moments(pictures: Iterable[NDArray[np.uint8]], weights: Iterable[Array | None]) -> Moments:
    """Moments of the pixels of ``[H, W, 3]`` pictures, each with its weights ``[H, W]`` (or 1).

    Raises ``ValueError`` where no pixel has a weight.
    """
    total, first, second = 0.0, np.zeros(3), np.zeros((3, 3))
    for picture, weight in zip(pictures, weights, strict=True):
        colours = picture.reshape(-1, 3).astype(np.float64)
        weighted = colours if weight is None else colours * weight.reshape(-1, 1)
        total += len(colours) if weight is None else float(weight.sum())
        first += weighted.sum(axis=0)
        second += weighted.T @ colours
    if total <= 0:
        raise ValueError(localised("moments: got no pixel with a weight, needed at least 1"))
    mean = first / total
    return Moments(mean, second / total - np.outer(mean, mean))


def fit_tint(source: Moments, target: Moments) -> ColourMap:
    """The constant tint that moves the mean of ``source`` to that of ``target``."""
    return ColourMap(np.eye(3), target.mean - source.mean)


def fit_transport(source: Moments, target: Moments) -> ColourMap:
    """Monge–Kantorovich transport: ``source`` gets the mean and the covariance of ``target``.

    ``Σ_s^-½ (Σ_s^½ Σ_t Σ_s^½)^½ Σ_s^-½``, with variances of at least a quarter of a squared grey
    level in ``source``, so that rounding noise is not amplified.
    """
    root = _power(source.covariance, 0.5)
    inverse = _power(source.covariance, -0.5)
    matrix = inverse @ _power(root @ target.covariance @ root, 0.5, least=0.0) @ inverse
    return ColourMap(matrix, target.mean - matrix @ source.mean)


def _power(covariance: Array, exponent: float, least: float = _LEAST_VARIANCE) -> Array:
    """A power of a symmetric matrix, its eigenvalues raised to ``least`` first."""
    values, vectors = np.linalg.eigh(covariance)
    return np.asarray((vectors * np.maximum(values, least) ** exponent) @ vectors.T)
