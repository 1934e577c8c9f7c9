"""The scale of a judge's features, from real training pictures of both domains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from evaluation.arrays import Array

_LIMIT = 4.0  # standard deviations: beyond it the cubic kernel would hear one picture alone
_NUM_COMPONENTS = 32
_PICTURES_PER_COMPONENT = 4
_SHRINKAGE = 0.1  # of a component's variance towards their mean
_INVISIBLE_WEIGHT = 3.0  # what nobody sees moves a component by at most a third of its deviation
_LEAST_DEVIATION = 1e-3  # relative to a feature's mean: less is rounding, which threads change


@dataclass(frozen=True)
class FeatureScale:
    """An affine map of features, clipped."""

    mean: Array  # [D]
    matrix: Array  # [D, K]

    @classmethod
    def fitted(
        cls, a: Array, b: Array, *, decorrelates: bool, invisible: Sequence[Array] = ()
    ) -> Self:
        """The scale of two domains' features ``[N, D]``, ``[M, D]``; each domain counts half.

        Features get a standard deviation of 1. With ``decorrelates`` their 32 strongest principal
        components within a domain do, so that light and identity, which vary most, do not hide a
        small change that all pictures share. ``invisible`` are changes of features, ``[L, D]`` of
        each kind, that nobody sees in the pictures: where they are large, components are weakened.
        """
        means = np.stack([a.mean(axis=0), b.mean(axis=0)])
        mean = means.mean(axis=0)
        variance = (a.var(axis=0) + b.var(axis=0)) / 2 + means.var(axis=0)
        deviation = np.maximum(np.sqrt(variance), _LEAST_DEVIATION * np.abs(mean) + 1e-9)
        if not decorrelates:
            return cls(mean, np.diag(1 / deviation))
        spread = [(x - x.mean(axis=0)) / deviation for x in (a, b)]
        covariance = np.mean([x.T @ x / len(x) for x in spread], axis=0)
        num = min(_NUM_COMPONENTS, (len(a) + len(b)) // _PICTURES_PER_COMPONENT, len(covariance))
        least = _SHRINKAGE * np.linalg.eigvalsh(covariance)[::-1][:num].mean()
        for kind in invisible:
            changes = _INVISIBLE_WEIGHT * kind / deviation
            covariance = covariance + changes.T @ changes / max(len(changes), 1)
        values, vectors = np.linalg.eigh(covariance)
        values, components = np.maximum(values[::-1][:num], 0), vectors[:, ::-1][:, :num]
        strengths = np.sqrt(values + least + 1e-12)
        return cls(mean, components / strengths / deviation[:, None])

    def __call__(self, features: Array) -> Array:
        """``[N, D]`` → ``[N, K]``, each at most 4 from 0."""
        return np.asarray(np.clip((features - self.mean) @ self.matrix, -_LIMIT, _LIMIT))
