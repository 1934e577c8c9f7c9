"""Pairs of pictures are compared once for good."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from preprocessing import compare as module
from preprocessing.alike import alikeness
from preprocessing.analyse import AnalysisConfig
from preprocessing.cache import AnalysisCache
from preprocessing.candidates import Prints, candidates
from preprocessing.compare import compare
from preprocessing.fingerprint import fingerprint
from preprocessing.workers import Workers
from scraping.records import silent


def prints(num: int) -> list[Prints]:
    """Pictures that differ in noise alone."""
    rng = np.random.default_rng(0)
    base = rng.integers(0, 200, (12, 12, 3)).repeat(8, 0).repeat(8, 1)
    noisy = [base + rng.integers(0, 9 * k + 1, base.shape) for k in range(num)]
    return [Prints(fingerprint(picture.astype(np.uint8))) for picture in noisy]


def test_a_pair_is_compared_once_and_new_ones_alone_after_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = AnalysisCache(tmp_path, AnalysisConfig(faces=False, safety=False, max_pixels=1e6))
    pictures = prints(4)
    old = [pair for pairs in candidates(pictures[:3], 12) for pair in pairs]
    every = [pair for pairs in candidates(pictures, 12) for pair in pairs]
    compared = list[int]()

    class Counting(Workers):
        def each(self, function: Any, items: Any) -> Any:
            compared.extend(len(batch) for batch in items)
            return ((batch, function(batch)) for batch in items)

    with Counting(1, timeout_s=5) as workers:
        first = compare(old, cache=cache, workers=workers, progress=silent)
        assert first == [alikeness(pair) for pair in old]
        assert sum(compared) == len({pair.name for pair in old}) > 0
        compared.clear()
        monkeypatch.setattr(module, "_PAIRS", 1)
        found = compare(every, cache=cache, workers=workers, progress=silent)
        assert found == [alikeness(pair) for pair in every]
        assert sum(compared) == len({p.name for p in every} - {p.name for p in old}) > 0
        compared.clear()
        assert compare(every, cache=cache, workers=workers, progress=silent) == found
        assert compared == []
