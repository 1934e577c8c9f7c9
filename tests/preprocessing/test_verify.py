"""Each pair of pictures is compared only once."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.errors import SuyanError
from core.progress import silent
from core.workspace import Workspace
from preprocessing.analysis.analyse import Analysis, AnalysisConfig
from preprocessing.analysis.fingerprint import Fingerprint, fingerprint
from preprocessing.cache import AnalysisCache
from preprocessing.dedup import verify as module
from preprocessing.dedup.candidates import HashColumns, find_candidates
from preprocessing.dedup.overlay import thumbnail_pairs
from preprocessing.dedup.similarity import similarities
from preprocessing.dedup.verify import compare_pairs
from preprocessing.sandbox import WorkerPool

NAMES = [f"{k:064x}" for k in range(4)]


def fingerprints(num: int) -> list[Fingerprint]:
    """Pictures that differ in noise alone."""
    rng = np.random.default_rng(0)
    base = rng.integers(0, 200, (12, 12, 3)).repeat(8, 0).repeat(8, 1)
    noisy = [base + rng.integers(0, 9 * k + 1, base.shape) for k in range(num)]
    return [fingerprint(picture.astype(np.uint8)) for picture in noisy]


def columns(pictures: list[Fingerprint]) -> HashColumns:
    hashes = HashColumns()
    for number, picture in enumerate(pictures):
        hashes.add(number, picture)
    return hashes


@pytest.fixture
def cache(tmp_path: Path) -> AnalysisCache:
    """A cache that has four pictures."""
    cache = AnalysisCache(
        Workspace(tmp_path), AnalysisConfig(faces=False, safety=False, max_pixels=1e6)
    )
    pictures = zip(NAMES, fingerprints(4), strict=True)
    cache.add_analyses((name, Analysis("", whole=picture)) for name, picture in pictures)
    return cache


def test_a_pair_is_compared_once_and_new_ones_alone_after_that(
    cache: AnalysisCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = fingerprints(4)
    old, every = find_candidates(columns(pictures[:3]), 12), find_candidates(columns(pictures), 12)
    expected = similarities(
        thumbnail_pairs(every, lambda number, _: pictures[number].thumbnail)
    ).tolist()
    compared = list[int]()

    class Counting(WorkerPool):
        def map_unordered(self, function: Any, items: Any) -> Any:
            compared.extend(len(batch) for batch in items)
            return ((item, function(item)) for item in reversed(items))

    with Counting(1, timeout_s=5) as workers:
        first = compare_pairs(NAMES, old, cache=cache, workers=workers, progress=silent)
        assert list(first) == expected[: len(old)]  # the newest picture's pairs come last
        assert sum(compared) == len(old) > 0
        compared.clear()
        monkeypatch.setattr(module, "_PAIRS_PER_BATCH", 1)
        monkeypatch.setattr(module, "_PAIRS_PER_COMMIT", 5)
        found = compare_pairs(NAMES, every, cache=cache, workers=workers, progress=silent)
        assert list(found) == expected
        assert sum(compared) == len(every) - len(old) > 0
        compared.clear()
        again = compare_pairs(NAMES, every, cache=cache, workers=workers, progress=silent)
        assert list(again) == expected
        assert compared == []


def test_a_cache_that_lost_a_picture_is_named(cache: AnalysisCache) -> None:
    pairs = find_candidates(columns(fingerprints(4)), 12)
    names = [*NAMES[:3], "f" * 64]
    with WorkerPool(1, timeout_s=5) as workers, pytest.raises(SuyanError, match="Run it again"):
        compare_pairs(names, pairs, cache=cache, workers=workers, progress=silent)
