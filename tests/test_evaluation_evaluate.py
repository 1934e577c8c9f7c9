"""A real evaluation of a tiny, hardly trained model: its figures, its report, and once only."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from evaluation.config import EvaluateConfig
from evaluation.evaluate import Evaluation, evaluate
from scraping.records import CheckpointError, Picture, write_json, write_rows
from training.config import TrainConfig
from training.train import train

PHRASE = "<script>alert('妆')</script>"


def _dataset(folder: Path) -> Path:
    rng = np.random.default_rng(0)
    rows = []
    for side, domain in (("A", "makeup"), ("B", "bare")):
        for split, num in (("train", 4), ("test", 3)):
            (folder / f"{split}{side}").mkdir(parents=True)
            for index in range(num):
                file = f"{split}{side}/{index}.png"
                Image.fromarray(rng.integers(0, 256, (32, 32, 3), np.uint8)).save(folder / file)
                rows.append(
                    Picture(
                        f"{len(rows):064x}", domain, side, split, file, "ok", "", "", "", "", 32,
                        32, [], [1.0, 0, 0, 0, 1, 0], 1.0, PHRASE, "http://x.example/1", "",
                    )
                )  # fmt: skip
    write_rows(folder / "manifest.parquet", Picture, rows)
    write_json(folder / "config.json", {"crop_px": 32})
    return folder


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path, Evaluation]:
    workspace = tmp_path_factory.mktemp("workspace")
    dataset = _dataset(workspace / "datasets" / "tiny")
    config = TrainConfig(
        num_blocks=1, ngf=4, ndf=4, d_layers=2, load_px=32, crop_px=32, num_epochs=2,
        num_epochs_decay=1, device="cpu",
    )  # fmt: skip
    run = train(config, dataset, workspace / "runs" / "r").run
    return workspace, dataset, run, evaluate(_config(), dataset, run, workspace)


def _config(**changes: object) -> EvaluateConfig:
    return EvaluateConfig.model_validate(
        {"num_bootstrap": 50, "device": "cpu", "inception": "cached"} | changes
    )


def test_every_figure_stands_beside_its_baseline(
    measured: tuple[Path, Path, Path, Evaluation],
) -> None:
    scores = measured[3].scores
    for direction in scores["directions"].values():
        assert {"kid", "kid_baseline", "kid_ceiling", "fid", "fid_baseline"} <= direction.keys()
        assert direction["kid"]["low"] <= direction["kid"]["high"]
        assert direction["cycle_l1"]["value"] > 0
    assert scores["counts"] == {"testA": 3, "testB": 3, "trainA": 4, "trainB": 4}
    assert scores["features"]["comparable_with_published"] is False


def test_the_report_loads_nothing_and_trusts_no_phrase(
    measured: tuple[Path, Path, Path, Evaluation],
) -> None:
    html = measured[3].report.read_text(encoding="utf-8")
    assert not re.findall(r"""<[^>]*\s(?:src|href)\s*=\s*["']?(?!data:|#)[^"'\s>]+""", html)
    assert "@import" not in html
    assert "url(http" not in html
    assert PHRASE not in html
    assert "&lt;script&gt;alert" in html
    assert measured[3].verdict.split(":")[0] in html


def test_the_same_is_measured_once_and_equally(
    measured: tuple[Path, Path, Path, Evaluation],
) -> None:
    workspace, dataset, run, first = measured
    again = evaluate(_config(batch_size=2), dataset, run, workspace)
    assert again.reused
    assert again.scores == first.scores
    (first.folder / "scores.json").unlink()
    fresh = evaluate(_config(batch_size=2), dataset, run, workspace)
    assert not fresh.reused
    for name, direction in fresh.scores["directions"].items():
        was = first.scores["directions"][name]["kid"]["value"]
        assert direction["kid"]["value"] == pytest.approx(was, abs=1e-5)


def test_the_report_speaks_chinese(measured: tuple[Path, Path, Path, Evaluation]) -> None:
    workspace, dataset, run, _ = measured
    done = evaluate(_config(language="zh"), dataset, run, workspace)
    assert done.reused
    assert "评估报告" in done.report.read_text(encoding="utf-8")


def test_a_run_without_a_checkpoint_is_named(
    measured: tuple[Path, Path, Path, Evaluation], tmp_path: Path
) -> None:
    workspace, dataset, _, _ = measured
    with pytest.raises(CheckpointError, match="train first"):
        evaluate(_config(), dataset, tmp_path, workspace)


def test_another_dataset_is_refused(
    measured: tuple[Path, Path, Path, Evaluation], tmp_path: Path
) -> None:
    workspace, _, run, _ = measured
    other = _dataset(tmp_path / "other")
    with pytest.raises(ValueError, match="trained on tiny"):
        evaluate(_config(), other, run, workspace)
