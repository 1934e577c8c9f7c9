"""The similarity of candidate pairs, computed in worker processes, once for each pair."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from core.errors import SuyanError
from core.language.messages import localised
from core.progress import Progress
from core.tables import groups
from preprocessing.analysis.fingerprint import thumbnail_of
from preprocessing.cache import AnalysisCache
from preprocessing.dedup.candidates import Pairs
from preprocessing.dedup.overlay import ThumbnailPair, thumbnail_pairs
from preprocessing.dedup.screening import unaligned_similarities
from preprocessing.dedup.similarity import aligned_similarity
from preprocessing.sandbox import WorkerPool
from preprocessing.sandbox_worker import Failure

_PAIRS_PER_BATCH = 50  # of a worker
_PAIRS_PER_COMMIT = 20_000  # whose thumbnails are in memory; a killed process loses no more


def compare_pairs(
    names: Sequence[str],
    pairs: Pairs,
    *,
    cache: AnalysisCache,
    workers: WorkerPool,
    progress: Progress,
) -> NDArray[np.float64]:
    """The similarity of each pair, ``[P]``, from the cache or computed now and stored there.

    ``names`` are the pictures' sha256 by number. Raises ``SuyanError`` when the cache has lost
    thumbnails of them.
    """
    values = np.empty(len(pairs))
    for start in range(0, len(pairs), _PAIRS_PER_COMMIT):
        part = pairs[start : start + _PAIRS_PER_COMMIT]
        keys = _keys(names, part)
        similarity = cache.load_similarities(keys)
        is_missing = np.array([key not in similarity for key in keys], bool)
        if is_missing.any():
            computed = _compute(names, part[is_missing], cache, workers).tolist()
            missing_keys = [keys[k] for k in np.flatnonzero(is_missing)]
            added = dict(zip(missing_keys, computed, strict=True))
            cache.add_similarities(added)
            similarity |= added
        values[start : start + _PAIRS_PER_COMMIT] = [similarity[key] for key in keys]
        progress("prepare: duplicates", start + len(part), len(pairs), "")
    return values


def _keys(names: Sequence[str], pairs: Pairs) -> list[bytes]:
    """16 bytes for each pair, of its pictures, faces, window and orientation."""
    return [
        hashlib.blake2b(
            f"{names[inner]} {names[outer]} {placement}".encode(), digest_size=16
        ).digest()
        for inner, outer, *placement, _ in pairs.tolist()
    ]


def _compute(
    names: Sequence[str], pairs: Pairs, cache: AnalysisCache, workers: WorkerPool
) -> NDArray[np.float64]:
    """The similarity of each pair; workers align the thumbnails of those that need it."""
    numbers = np.unique([pairs["inner"], pairs["outer"]]).tolist()
    thumbnails = cache.load_thumbnails([names[k] for k in numbers])
    if len(thumbnails) < len(numbers):
        raise SuyanError(
            localised(
                "the cache has lost {num} of the pictures that are compared; it was "
                "removed, or pictures were forgotten, while this ran. Run it again",
                num=len(numbers) - len(thumbnails),
            )
        )

    @functools.cache
    def thumbnail(number: int, face: int) -> bytes:
        return thumbnail_of(thumbnails[names[number]], face)

    compared = thumbnail_pairs(pairs, thumbnail)
    values = unaligned_similarities(compared)
    is_open = np.flatnonzero(np.isnan(values)).tolist()
    batches = [
        [(place, compared[place]) for place in part] for part in groups(is_open, _PAIRS_PER_BATCH)
    ]
    for batch, outcome in workers.map_unordered(_aligned_similarities, batches):
        failed = isinstance(outcome, Failure)
        places = [place for place, _ in batch]
        values[places] = np.array(_aligned_similarities(batch) if failed else outcome)
    return values


def _aligned_similarities(numbered: Sequence[tuple[int, ThumbnailPair]]) -> list[float]:
    return [aligned_similarity(pair) for _, pair in numbered]
