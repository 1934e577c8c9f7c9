"""Pairs that may be one picture, compared in worker processes, each pair once for good."""

from __future__ import annotations

from collections.abc import Sequence

from preprocessing.cache import AnalysisCache
from preprocessing.duplicates import Candidate, alikenesses
from preprocessing.workers import Lost, Workers
from scraping.records import Progress

_PAIRS = 50  # that a worker gets at a time


def compare(
    pairs: Sequence[Candidate], *, cache: AnalysisCache, workers: Workers, progress: Progress
) -> list[float]:
    """How alike the pairs are: from the cache, or found out now and kept there."""
    names = [pair.name for pair in pairs]
    known = cache.judged(set(names))
    waiting = {name: pair for name, pair in zip(names, pairs, strict=True) if name not in known}
    ordered = list(waiting.values())
    batches = [ordered[at : at + _PAIRS] for at in range(0, len(ordered), _PAIRS)]
    for done, (batch, outcome) in enumerate(workers.each(alikenesses, batches), 1):
        found = alikenesses(batch) if isinstance(outcome, Lost) else outcome
        alike = {pair.name: value for pair, value in zip(batch, found, strict=True)}
        cache.add_judged(alike)
        known |= alike
        progress("prepare: duplicates", done, len(batches), "")
    return [known[name] for name in names]
