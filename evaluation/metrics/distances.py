"""FID and KID between sets of features, with 95 % intervals: pure numpy.

Sources: FID, Heusel et al. 2017 (arXiv:1706.08500); KID, Bińkowski et al. 2018 (arXiv:1801.01401).
The tests compare both with torch-fidelity.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from core.language.messages import localised
from evaluation.arrays import Array
from evaluation.figures import Figure
from evaluation.metrics.intervals import PERCENTILES, resampled_figure, resamplings

LEAST_FOR_DISTANCES = 10  # pictures of a side; FID and KID of fewer are noise


def fid(x: Array, y: Array) -> float:
    """Fréchet distance of two sets of features ``[N, D]``, ``[M, D]`` (N, M ≥ 2) as Gaussians.

    ``|μ_x − μ_y|² + tr Σ_x + tr Σ_y − 2 tr (Σ_x Σ_y)^½``. With Σ = AᵀA the last trace is the sum of
    the singular values of A_x A_yᵀ: exact where N < D too, without the root of a D×D matrix.
    """
    return _weighted_fid(x, y, np.ones(len(x)), np.ones(len(y)))


def fid_figure(x: Array, y: Array, num_bootstrap: int, seed: int) -> Figure:
    """``fid`` with an interval from at most 100 resamplings (20 above a thousand pictures).

    A resampled set holds fewer different pictures, which raises every resampled FID equally. The
    interval therefore is the spread of the resamplings about their own mean, moved to the value.
    """
    value = fid(x, y)
    num = min(num_bootstrap, 100 if max(len(x), len(y)) <= 1000 else 20)
    drawn = resamplings(map(len, (x, y)), num, seed)
    is_enough = np.min([np.count_nonzero(weights, axis=1) for weights in drawn], axis=0) > 1
    weights_x, weights_y = (weights[is_enough] for weights in drawn)
    if max(len(x), len(y)) <= x.shape[1]:
        resampled = _resampled_fids(x, y, weights_x, weights_y)
    else:
        resampled = list(map(partial(_weighted_fid, x, y), weights_x, weights_y))
    if not resampled:
        return Figure(value, value, value)
    low, high = np.percentile(resampled, PERCENTILES) - np.mean(resampled)
    return Figure(value, max(0.0, value + min(0.0, float(low))), value + max(0.0, float(high)))


def _resampled_fids(x: Array, y: Array, weights_x: Array, weights_y: Array) -> list[float]:
    """``_weighted_fid`` for each row of weights ``[R, N]``, ``[R, M]``; within rounding.

    All of it follows from the products of the rows, which are computed once.
    """
    origin = (x.mean(axis=0) + y.mean(axis=0)) / 2  # small products round less
    x, y = x - origin, y - origin
    xx, yy, xy = x @ x.T, y @ y.T, x @ y.T
    fids = []
    for counts_x, counts_y in zip(weights_x, weights_y, strict=True):
        num_x, num_y = counts_x.sum(), counts_y.sum()
        shares_x, shares_y = counts_x / num_x, counts_y / num_y
        xx_mean, yy_mean = shares_x @ xx @ shares_x, shares_y @ yy @ shares_y
        to_mean_y, to_mean_x = xy @ shares_y, shares_x @ xy
        xy_mean = shares_x @ to_mean_y
        trace_x = (counts_x @ np.diagonal(xx) - num_x * xx_mean) / (num_x - 1)
        trace_y = (counts_y @ np.diagonal(yy) - num_y * yy_mean) / (num_y - 1)
        centred = xy - to_mean_y[:, None] - to_mean_x + xy_mean
        scaled = (
            np.sqrt(counts_x / (num_x - 1))[:, None] * centred * np.sqrt(counts_y / (num_y - 1))
        )
        cross = np.linalg.svd(scaled[np.ix_(counts_x > 0, counts_y > 0)], compute_uv=False).sum()
        shift = xx_mean + yy_mean - 2 * xy_mean
        fids.append(float(max(0.0, shift + trace_x + trace_y - 2 * cross)))
    return fids


def _weighted_fid(x: Array, y: Array, weights_x: Array, weights_y: Array) -> float:
    mean_x, a = _whitened(x, weights_x)
    mean_y, b = _whitened(y, weights_y)
    cross = np.linalg.svd(_reduce_rows(a) @ _reduce_rows(b).T, compute_uv=False).sum()
    shift = mean_x - mean_y
    return float(max(0.0, shift @ shift + (a * a).sum() + (b * b).sum() - 2 * cross))


def _whitened(x: Array, weights: Array) -> tuple[Array, Array]:
    """Mean ``[D]``, and A such that AᵀA is the covariance; each row counts ``weights`` times."""
    if len(x) < 2:
        raise ValueError(
            localised("FID: got {num} pictures on one side, needed at least 2", num=len(x))
        )
    num = weights.sum()
    mean = weights @ x / num
    present = weights > 0
    centred = (x[present] - mean) * np.sqrt(weights[present, None] / (num - 1))
    return mean, np.asarray(centred)


def _reduce_rows(a: Array) -> Array:
    """A matrix of at most D rows with the same AᵀA as ``a`` ``[N, D]``."""
    return np.asarray(np.linalg.qr(a, mode="r")) if len(a) > a.shape[1] else a


def polynomial_kernel(x: Array, y: Array) -> Array:
    """``(x·y / D + 1)³`` of rows ``[N, D]``, ``[M, D]`` → ``[N, M]``."""
    return np.asarray((x @ y.T / x.shape[1] + 1) ** 3)


def kid(x: Array, y: Array) -> float:
    """Unbiased squared MMD under the cubic kernel; may be below 0 for sets of one distribution.

    All pictures enter one estimate, which the usual mean over random subsets approximates.
    """
    ones_x, ones_y = np.ones((1, len(x))), np.ones((1, len(y)))
    return float(_mmd2(_kernels(x, y), ones_x, ones_y)[0])


_Kernels = tuple[Array, Array, Array]


def _kernels(x: Array, y: Array, k_yy: Array | None = None) -> _Kernels:
    if min(len(x), len(y)) < 2:
        raise ValueError(
            localised(
                "KID: got {num} and {other} pictures, needed at least 2 of each",
                num=len(x),
                other=len(y),
            )
        )
    k_yy = polynomial_kernel(y, y) if k_yy is None else k_yy
    return polynomial_kernel(x, x), polynomial_kernel(x, y), k_yy


def _mmd2(kernels: _Kernels, weights_x: Array, weights_y: Array) -> Array:
    """Weighted MMD² for each row of weights ``[R, N]``, ``[R, M]`` → ``[R]``.

    Copies of one picture are not paired with each other, so that resampling adds no bias. NaN where
    a resampling holds a single picture.
    """
    k_xx, k_xy, k_yy = kernels
    cross = np.einsum("rn,nm,rm->r", weights_x, k_xy, weights_y, optimize=True)
    cross /= weights_x.sum(axis=1) * weights_y.sum(axis=1)
    return np.asarray(_within(k_xx, weights_x) + _within(k_yy, weights_y) - 2 * cross)


def _within(kernel: Array, weights: Array) -> Array:
    squares = weights**2
    pairs = ((weights @ kernel) * weights).sum(axis=1) - squares @ np.diagonal(kernel)
    num_pairs = weights.sum(axis=1) ** 2 - squares.sum(axis=1)
    empty = np.full(len(weights), np.nan)
    return np.asarray(np.divide(pairs, num_pairs, out=empty, where=num_pairs > 0))


@dataclass(frozen=True)
class KidComparison:
    """KID of translated and of untranslated pictures to the target, and the paired difference."""

    translated: Figure
    untranslated: Figure
    change: Figure  # translated − untranslated: below 0 is better
    change_error: float  # standard error of ``change``


def compare_kid(
    translated: Array, untranslated: Array, target: Array, num_bootstrap: int, seed: int
) -> KidComparison:
    """KID figures from features ``[N, D]``, ``[N, D]`` (row i of both: one input) and ``[M, D]``.

    An input and its translation are resampled together, so that ``change`` is a paired figure.
    """
    after, before = resampled_kids([translated, untranslated], [], target, num_bootstrap, seed)
    change = after - before
    return KidComparison(
        resampled_figure(after),
        resampled_figure(before),
        resampled_figure(change),
        _standard_error(change[1:]),
    )


def resampled_kids(
    paired: Sequence[Array],
    unpaired: Sequence[Array],
    target: Array,
    num_bootstrap: int,
    seed: int,
) -> list[Array]:
    """KID of each set of features to ``target``: ``[1 + num_bootstrap]``, first of all pictures.

    Row i of every paired set belongs to one input, and they are resampled together; each other set
    is resampled by itself, the target in the same way for all.
    """
    nums = map(len, (paired[0], target, *unpaired))
    of_paired, of_target, *of_unpaired = (
        np.vstack([np.ones(drawn.shape[1]), drawn])
        for drawn in resamplings(nums, num_bootstrap, seed)
    )
    sets = [(features, of_paired) for features in paired]
    sets += zip(unpaired, of_unpaired, strict=True)
    within = polynomial_kernel(target, target)
    return [_mmd2(_kernels(features, target, within), drawn, of_target) for features, drawn in sets]


def _standard_error(resampled: Array) -> float:
    """The spread of the resamplings; 0 where none has a value."""
    finite = resampled[np.isfinite(resampled)]
    return float(finite.std()) if len(finite) else 0.0


def kid_figure(x: Array, y: Array, num_bootstrap: int, seed: int) -> Figure:
    """KID of two sets of features with its interval."""
    return compare_kid(x, x, y, num_bootstrap, seed).translated


def witness(x: Array, target: Array, source: Array) -> Array:
    """How much nearer each row of ``x`` is to ``target`` than to ``source``: ``[N]``.

    This is the MMD's witness function: mean kernel to the target minus mean kernel to the source.
    """
    towards = polynomial_kernel(x, target).mean(axis=1)
    return np.asarray(towards - polynomial_kernel(x, source).mean(axis=1))
