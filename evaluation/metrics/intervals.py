"""Means, shares and ratios with their 95 % intervals, by bootstrap: pure numpy."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from evaluation.arrays import Array
from evaluation.figures import Figure

PERCENTILES = (2.5, 97.5)

_Z = 1.959964  # half width of a normal distribution's 95 % interval, in standard deviations


def resamplings(nums: Iterable[int], num_bootstrap: int, seed: int) -> list[Array]:
    """Weights ``[num_bootstrap, num]`` of several sets: how often each resampling draws each
    picture. The same arguments give the same weights.
    """
    return [drawn.astype(np.float64) for drawn in _drawn(tuple(nums), num_bootstrap, seed)]


@lru_cache(maxsize=8)  # most figures of a direction have the same numbers of pictures
def _drawn(nums: tuple[int, ...], num_bootstrap: int, seed: int) -> list[NDArray[np.uint16]]:
    rng = np.random.default_rng(seed)
    return [
        rng.multinomial(num, np.full(num, 1 / num), size=num_bootstrap).astype(np.uint16)
        for num in nums
    ]


def mean_figure(values: Array, num_bootstrap: int, seed: int) -> Figure:
    """The mean of ``[N]`` values, one a picture, with its interval."""
    (weights,) = resamplings([len(values)], num_bootstrap, seed)
    return resampled_figure(np.concatenate([[values.mean()], weights @ values / len(values)]))


def share_figure(values: Array) -> Figure:
    """The share of ones among values 0 and 1, with Wilson's interval (1927), valid at both ends."""
    num, share = len(values), float(values.mean())
    centre = (share + _Z**2 / (2 * num)) / (1 + _Z**2 / num)
    half = _Z / (1 + _Z**2 / num) * np.sqrt(share * (1 - share) / num + _Z**2 / (4 * num**2))
    low, high = max(0.0, float(centre - half)), min(1.0, float(centre + half))
    return Figure(share, min(share, low), max(share, high))


def reduction_figure(after: Array, before: Array, num_bootstrap: int, seed: int) -> Figure:
    """``1 − Σ after / Σ before`` over pictures; 1: no error left, 0: as before, below 0: more."""
    ratio = ratio_figure(after, before, num_bootstrap, seed)
    return Figure(1 - ratio.value, 1 - ratio.high, 1 - ratio.low)


def ratio_figure(above: Array, below: Array, num_bootstrap: int, seed: int) -> Figure:
    """``Σ above / Σ below`` over pictures ``[N]``; 1 where ``below`` has no sum."""
    (weights,) = resamplings([len(above)], num_bootstrap, seed)
    weights = np.vstack([np.ones(len(above)), weights])
    totals = weights @ below
    return resampled_figure(
        np.divide(weights @ above, totals, out=np.ones(len(totals)), where=totals > 0)
    )


def mean_distance_figure(x: Array, y: Array, num_bootstrap: int, seed: int) -> Figure:
    """``|mean x − mean y|`` of points ``[N, D]``, ``[M, D]``; of noisy points it is above 0."""
    drawn = resamplings(map(len, (x, y)), num_bootstrap, seed)
    means = [
        np.vstack([points.mean(axis=0), weights @ points / len(points)])
        for points, weights in zip((x, y), drawn, strict=True)
    ]
    return resampled_figure(np.linalg.norm(means[0] - means[1], axis=1))


def resampled_figure(values: Array) -> Figure:
    """A figure of ``values``: the first is the value itself, the rest are its resamplings."""
    value, resampled = float(values[0]), values[1:][np.isfinite(values[1:])]
    if not len(resampled):
        return Figure(value, value, value)
    low, high = np.percentile(resampled, PERCENTILES)
    return Figure(value, float(low), float(high))
