"""Pairs that may be one picture, compared in worker processes, each pair once for good."""

from __future__ import annotations

from collections.abc import Sequence

from preprocessing.alike import alikenesses
from preprocessing.cache import AnalysisCache
from preprocessing.candidates import Candidate
from preprocessing.workers import Lost, Workers
from scraping.records import Progress

_PAIRS = 50  # that a worker gets at a time
_KEPT_TOGETHER = 2000  # and lost at most when the process is killed


def compare(
    pairs: Sequence[Candidate], *, cache: AnalysisCache, workers: Workers, progress: Progress
) -> list[float]:
    """How alike the pairs are: from the cache, or found out now and kept there."""
    names = [pair.name for pair in pairs]
    known = cache.judged(set(names))
    waiting = {name: pair for name, pair in zip(names, pairs, strict=True) if name not in known}
    ordered = list(waiting.values())
    batches = [ordered[at : at + _PAIRS] for at in range(0, len(ordered), _PAIRS)]
    fresh = dict[bytes, float]()
    for done, (batch, outcome) in enumerate(workers.each(alikenesses, batches), 1):
        found = alikenesses(batch) if isinstance(outcome, Lost) else outcome
        fresh |= {pair.name: value for pair, value in zip(batch, found, strict=True)}
        if len(fresh) >= _KEPT_TOGETHER or done == len(batches):
            cache.add_judged(fresh)
            known |= fresh
            fresh.clear()
        progress("prepare: duplicates", done, len(batches), "")
    return [known[name] for name in names]
