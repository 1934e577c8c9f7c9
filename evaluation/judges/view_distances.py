"""KID of a judge's view, with what the judge can see: pure numpy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evaluation.arrays import Array
from evaluation.figures import Figure
from evaluation.judges.judge_scores import ERRORS_TO_SEE, ViewScores
from evaluation.metrics.distances import resampled_kids
from evaluation.metrics.intervals import resampled_figure


@dataclass(frozen=True)
class ViewDistances:
    """KIDs to the target's held-out pictures: ``[1 + R]``, the value and its resamplings."""

    translated: Array
    untranslated: Array
    real: Array  # training pictures of the target

    @property
    def change(self) -> Array:
        """Translated − untranslated, paired."""
        return np.asarray(self.translated - self.untranslated)

    @property
    def gap(self) -> Array:
        """Untranslated − real: the whole way."""
        return np.asarray(self.untranslated - self.real)

    @property
    def errors_apart(self) -> float:
        """The gap in its standard errors; 0 without any spread."""
        error = _spread(self.gap)
        return float(self.gap[0]) / error if error > 0 else 0.0

    def scores(self) -> ViewScores:
        """The figures of this view."""
        return ViewScores(
            kid=resampled_figure(self.translated),
            kid_baseline=resampled_figure(self.untranslated),
            kid_ceiling=resampled_figure(self.real),
            kid_change=resampled_figure(self.change),
            change_error=_spread(self.change),
            errors_apart=self.errors_apart,
            share=share_figure([self]),
        )


def measure_view(
    translated: Array,
    untranslated: Array,
    target: Array,
    real: Array,
    num_bootstrap: int,
    seed: int,
) -> ViewDistances:
    """Distances of features ``[N, D]``, ``[N, D]`` (row i of both: one input), ``[M, D]`` of
    held-out and ``[L, D]`` of training pictures of the target.
    """
    kids = resampled_kids([translated, untranslated], [real], target, num_bootstrap, seed)
    return ViewDistances(*kids)


def share_figure(views: Sequence[ViewDistances]) -> Figure | None:
    """Share of the way by the sum of the views that see; ``None`` where none does.

    A sum of kernels is a kernel: this is the share of one distance over all these views. At least
    −1: as far away again as untranslated pictures are, or farther.
    """
    seeing = [view for view in views if view.errors_apart >= ERRORS_TO_SEE]
    if not seeing:
        return None
    change, gap = (np.sum(parts, axis=0) for parts in zip(*map(_parts, seeing), strict=True))
    shares = np.divide(-change, gap, out=np.full(len(gap), np.nan), where=gap > 0)
    return resampled_figure(np.maximum(shares, -1.0))


def _parts(view: ViewDistances) -> tuple[Array, Array]:
    return view.change, view.gap


def _spread(values: Array) -> float:
    """Standard deviation of the resamplings of ``values``."""
    finite = values[1:][np.isfinite(values[1:])]
    return float(finite.std()) if len(finite) else 0.0
