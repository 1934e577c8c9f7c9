"""Pairs that may be one picture, compared in worker processes, each pair once for good."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from core.errors import SuyanError
from core.progress import Progress
from preprocessing.analysis.fingerprint import LOOK_BYTES
from preprocessing.cache import AnalysisCache
from preprocessing.dedup.candidates import Pairs
from preprocessing.dedup.similarity import Looks, alikenesses, looks
from preprocessing.sandbox import Lost, Workers

_PAIRS = 50  # that a worker gets at a time
_AT_ONCE = 5000  # whose looks are in memory, and lost at most when the process is killed


def compare(
    names: Sequence[str],
    pairs: Pairs,
    *,
    cache: AnalysisCache,
    workers: Workers,
    progress: Progress,
) -> NDArray[np.float64]:
    """How alike the pairs are, ``[P]``: from the cache, or found out now and kept there.

    ``names`` are the pictures' sha256 by number. Raises ``SuyanError`` when the cache has lost what
    it knew of them.
    """
    alike = np.empty(len(pairs))
    for start in range(0, len(pairs), _AT_ONCE):
        part = pairs[start : start + _AT_ONCE]
        keys = _keys(names, part)
        known = cache.judged(keys)
        waiting = np.array([key not in known for key in keys], bool)
        if waiting.any():
            fresh = _compared(names, part[waiting], cache, workers)
            known |= zip((keys[k] for k in np.flatnonzero(waiting)), fresh, strict=True)
            cache.add_judged({keys[k]: known[keys[k]] for k in np.flatnonzero(waiting)})
        alike[start : start + _AT_ONCE] = [known[key] for key in keys]
        progress("prepare: duplicates", start + len(part), len(pairs), "")
    return alike


def _keys(names: Sequence[str], pairs: Pairs) -> list[bytes]:
    """16 bytes a pair, for its pictures and how they lie."""
    return [
        hashlib.blake2b(f"{names[view]} {names[frame]} {lie}".encode(), digest_size=16).digest()
        for view, frame, *lie, _ in pairs.tolist()
    ]


def _compared(
    names: Sequence[str], pairs: Pairs, cache: AnalysisCache, workers: Workers
) -> list[float]:
    numbers = np.unique([pairs["view"], pairs["frame"]]).tolist()
    kept = cache.looks([names[k] for k in numbers])
    if len(kept) < len(numbers):
        raise SuyanError(
            f"the cache has lost {len(numbers) - len(kept)} of the pictures that are compared: was "
            "it removed, or something forgotten, meanwhile? Please run it again"
        )

    def look(number: int, face: int) -> bytes:
        return kept[names[number]][(face + 1) * LOOK_BYTES :][:LOOK_BYTES]

    batches = [looks(pairs[at : at + _PAIRS], look) for at in range(0, len(pairs), _PAIRS)]
    found: list[list[float]] = [[] for _ in batches]
    for (place, batch), outcome in workers.each(_judge, list(enumerate(batches))):
        found[place] = alikenesses(batch) if isinstance(outcome, Lost) else outcome
    return [value for values in found for value in values]


def _judge(numbered: tuple[int, Sequence[Looks]]) -> list[float]:
    return alikenesses(numbered[1])
