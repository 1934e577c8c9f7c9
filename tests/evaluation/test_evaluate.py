"""A real evaluation of a tiny, hardly trained model: its figures, its report, and its
repetition."""

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tiny_evaluation import PHRASE, Measured, config_of, dataset_of, train_on

from core.errors import CheckpointError, SuyanError
from core.files import load_json, write_json
from core.tables import Picture, write_rows
from core.workspace import Workspace
from core.workspace_folders import EvaluationFolder, RunFolder
from evaluation import measure as measuring
from evaluation.champion_record import ComparedChampion
from evaluation.data import held_out
from evaluation.data.held_out import cached_if_small
from evaluation.data.score_parts import Shortage
from evaluation.evaluate import evaluate
from evaluation.figures import Figure
from evaluation.model_registry.model_versions import find_champion
from evaluation.model_registry.promote import promote
from evaluation.report.summary import draw_sheets, figure_rows, summary
from evaluation.scores import DirectionScores


@pytest.mark.slow
def test_every_figure_stands_beside_its_floor_and_ceiling(measured: Measured) -> None:
    scores = measured.done.scores
    compared = ("kid", "fid", "domain_success", "content", "content_found", "cycle_l1", "change_l1")
    for direction in scores.directions.values():
        for name in compared:
            assert {name, f"{name}_baseline", f"{name}_ceiling"} <= direction.figures.keys()
            figure = direction.figures[name]
            assert isinstance(figure, Figure)
            assert figure.low <= figure.value <= figure.high
        assert direction.num_pictures == direction.num_target == 12
        assert _value(direction, "content_baseline") == pytest.approx(1)
        assert _value(direction, "cycle_l1_baseline") == 0
        assert direction.meaningless == {"near_training": Shortage(num_pictures=12, num_needed=20)}
        assert "num_faces" not in direction.figures
        assert "eyes_window_kid" not in direction.figures  # these are no aligned faces
    assert scores.counts == {"testA": 12, "testB": 12, "trainA": 14, "trainB": 14}
    assert scores.features is not None
    assert scores.features.comparable_with_published is False
    assert scores.classifier is not None
    assert scores.classifier.num_pictures == 24


@pytest.mark.slow
def test_tensorboard_and_trackers_get_the_figures_of_a_checkpoint_once(
    measured: Measured, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[Path] = []
    monkeypatch.setattr("evaluation.report.plain_figures.send_evaluations", sent.append)
    board = RunFolder(measured.run).tensorboard
    (events,) = board.glob("*.evaluation.step_*")
    assert measured.again().reused
    assert sent == [measured.run]  # a tracker that was down may need them
    assert list(board.glob("*.evaluation.step_*")) == [events]
    kid = measured.done.scores.directions["A2B"].figure("kid")
    assert kid is not None
    value = load_json(EvaluationFolder(measured.done.folder).figures)
    assert value["step"] == measured.done.scores.step
    assert value["figures"]["eval/kid_A2B"] == kid.value
    assert value["figures"]["eval_interval/kid_A2B_low"] == kid.low
    assert {"eval/kid_baseline_A2B", "eval/kid_B2A"} <= value["figures"].keys()


def _value(direction: DirectionScores, key: str) -> float:
    figure = direction.figure(key)
    assert figure is not None
    return figure.value


def test_the_report_loads_nothing_and_trusts_no_phrase(measured: Measured) -> None:
    html = measured.done.report.read_text(encoding="utf-8")
    addresses = re.findall(r"""<[^>]*\s(?:src|href)\s*=\s*["']?(?!data:|#)[^"'\s>]+""", html)
    assert addresses == ['<a href="report.zh.html']  # the same in Chinese, beside it
    assert "@import" not in html
    assert "url(http" not in html
    assert PHRASE not in html
    assert "&lt;script&gt;alert" in html
    assert measured.done.verdict.split(":")[0] in html


@pytest.mark.slow
def test_the_same_is_measured_once_and_gives_the_same_figures(measured: Measured) -> None:
    first = measured.done
    assert measured.again(batch_size=2).reused
    (first.folder / "scores.json").unlink()
    shutil.rmtree(measured.workspace / "cache")
    fresh = measured.again()
    assert not fresh.reused
    assert fresh.scores == first.scores
    (first.folder / "scores.json").unlink()
    shutil.rmtree(measured.workspace / "cache")
    other_batches = measured.again(batch_size=5)
    for name, direction in other_batches.scores.directions.items():
        for key in ("kid", "fid", "content", "cycle_l1"):
            was = _value(first.scores.directions[name], key)
            assert _value(direction, key) == pytest.approx(was, rel=1e-3, abs=1e-4)


def test_the_classifier_never_sees_a_test_picture(
    measured: Measured, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = []

    def spy(a: Any, b: Any, seed: int) -> Any:
        shown.append((len(a), len(b)))
        return real_fit(a, b, seed)

    real_fit = measuring.fit
    monkeypatch.setattr(measuring, "fit", spy)
    dataset = measured.workspace / "datasets" / "other-tests" / "tiny"
    shutil.copytree(measured.dataset, dataset)
    for path in dataset.glob("test?/*.png"):
        Image.new("RGB", (32, 32)).save(path)
    paths = measuring.EvaluationPaths(
        dataset, measured.run, measured.run / "checkpoints" / measured.done.scores.checkpoint,
        None, Workspace(measured.workspace), measured.workspace / "elsewhere",
    )  # fmt: skip
    found = measuring.measure(config_of(), paths, (None, ""), lambda *_: None)
    assert shown == [(14, 14)]
    before = measured.done.scores.classifier
    assert found.classifier is not None
    assert before is not None
    assert found.classifier.cross_validated_accuracy == before.cross_validated_accuracy


def test_the_report_speaks_chinese(measured: Measured) -> None:
    done = measured.again(language="zh")
    assert done.reused
    assert "评测报告" in done.report.read_text(encoding="utf-8")
    assert "什么都不做" in done.report.read_text(encoding="utf-8")


def test_the_core_of_the_report_goes_elsewhere(measured: Measured) -> None:
    assert measured.done.verdict in summary(measured.done)
    rows = figure_rows(measured.done, "A2B")
    assert all(row.keys() == {"Figure", "Translated", "Untranslated", "Real"} for row in rows)
    assert any("KID" in row["Figure"] and "…" in row["Translated"] for row in rows)
    pictures = draw_sheets(measured.done)
    assert pictures.keys() == {"A2B", "B2A"}
    with Image.open(pictures["A2B"]) as sheet:
        assert sheet.size == (3 * 36 + 4, 6 * 36 + 4)


@pytest.mark.slow
def test_the_champion_is_measured_on_the_same_pictures(measured: Measured) -> None:
    workspace, dataset = measured.workspace, measured.dataset
    rival_run = train_on(dataset, workspace / "runs" / "rival", seed=1)
    rival = evaluate(config_of(), dataset, rival_run, Workspace(workspace))
    stored = promote(rival_run, rival.folder, Workspace(workspace), "pair").model
    done = evaluate(config_of(), dataset, measured.run, Workspace(workspace), champion=stored)
    assert isinstance(done.scores.champion, ComparedChampion)
    assert done.scores.champion.model == stored.name
    assert done.scores.champion.num_trained_on == 0
    for name, direction in done.scores.directions.items():
        theirs = _value(rival.scores.directions[name], "kid")
        compared = direction.champion
        assert compared is not None
        assert compared.kid is not None
        assert compared.kid_change is not None
        assert compared.kid.value == pytest.approx(theirs)
        ours = _value(direction, "kid")
        assert compared.kid_change.value == pytest.approx(ours - theirs)
        columns = direction.gallery["against_best"][0].files.keys()
        assert {"input", "champion", "translated"} <= columns
    assert "Against the champion" in done.report.read_text()
    assert stored.name in done.report.read_text()
    # Without a champion, and as the champion itself, the comparison that was made is kept.
    assert measured.again().scores == done.scores
    own = promote(measured.run, done.folder, Workspace(workspace), "pair").model
    assert {"card.md", "report.html", "model.json", "prepare.json"} <= {
        path.name for path in own.iterdir()
    }
    assert PHRASE in json.loads((own / "model.json").read_text())["phrases"]["makeup"]
    itself = evaluate(config_of(), dataset, measured.run, Workspace(workspace), champion=own)
    assert itself.reused
    (stored / "G_A.safetensors").write_bytes(b"torn")
    damaged = evaluate(config_of(), dataset, measured.run, Workspace(workspace), champion=stored)
    assert "could not be measured" in damaged.report.read_text()
    assert "Error:" not in damaged.report.read_text()


def test_a_tiny_test_set_is_said_and_not_printed_as_numbers(tmp_path: Path) -> None:
    dataset = dataset_of(tmp_path / "datasets" / "tiny", num_test=1)
    run = train_on(dataset, tmp_path / "runs" / "r")
    done = evaluate(config_of(), dataset, run, Workspace(tmp_path))
    for direction in done.scores.directions.values():
        assert not {"kid", "fid", "domain_success", "near_training"} & direction.figures.keys()
        assert direction.meaningless["distances"] == Shortage(num_pictures=1, num_needed=10)
        assert _value(direction, "cycle_l1") > 0
    assert done.verdict.startswith("Too few held-out pictures (1)")
    assert "FID and KID (1 pictures" in done.report.read_text()
    promotion = promote(run, done.folder, Workspace(tmp_path), "pair")
    assert not promotion.promoted
    assert "too few held-out pictures" in promotion.reason


@pytest.mark.slow
def test_averages_are_measured_beside_the_last_step_and_the_better_is_promoted(
    tmp_path: Path,
) -> None:
    dataset = dataset_of(tmp_path / "datasets" / "tiny")
    run = train_on(dataset, tmp_path / "runs" / "r", ema_decay=0.9)
    found = {
        weights: evaluate(
            config_of(weights=weights, strengths=()), dataset, run, Workspace(tmp_path)
        )
        for weights in ("raw", "averaged", "auto")
    }
    scores = {weights: done.scores for weights, done in found.items()}
    chosen = scores["auto"].weights.chosen
    to_training = scores["auto"].weights.kid_to_training
    assert chosen == min(to_training, key=to_training.__getitem__)
    other = "raw" if chosen == "averaged" else "averaged"
    for name, direction in scores["auto"].directions.items():
        assert direction.figure("kid") == scores[chosen].directions[name].figure("kid")
        theirs = _value(scores[other].directions[name], "kid")
        assert direction.other_weights is not None
        assert direction.other_weights.kid is not None
        assert direction.other_weights.kid.value == pytest.approx(theirs)
        assert scores["raw"].directions[name].other_weights is None
    html = found["auto"].report.read_text(encoding="utf-8")
    assert "Last step and moving average" in html
    checkpoint = run / "checkpoints" / scores["auto"].checkpoint
    promotion = promote(run, found["auto"].folder, Workspace(tmp_path), "pair")
    suffix = "_ema" if chosen == "averaged" else ""
    kept = (promotion.model / "G_B.safetensors").read_bytes()
    assert kept == (checkpoint / f"G_B{suffix}.safetensors").read_bytes()
    assert "Of its weights" in promotion.reason
    again = evaluate(
        config_of(strengths=()), dataset, run, Workspace(tmp_path), champion=promotion.model
    )
    assert again.reused  # its own model is no champion to compare with


def test_averages_that_were_not_kept_are_named_and_no_scores_are_lost(measured: Measured) -> None:
    with pytest.raises(CheckpointError, match="ema_decay 0"):
        measured.again(weights="averaged")
    assert measured.again().reused


def _without_tests(dataset: Path, _run: Path) -> None:
    from core.tables import read_rows

    path = dataset / "manifest.parquet"
    rows = read_rows(path, Picture)
    rows = [replace(row, split="train") if row.side == "B" else row for row in rows]
    write_rows(path, Picture, rows)


def _without_a_picture(dataset: Path, _run: Path) -> None:
    (dataset / "testA" / "3.png").unlink()


def _with_a_torn_picture(dataset: Path, _run: Path) -> None:
    (dataset / "testA" / "3.png").write_bytes(b"\x89PNG torn")


def _with_a_torn_manifest(dataset: Path, _run: Path) -> None:
    (dataset / "manifest.parquet").write_bytes(b"PAR1")


def _with_another_architecture(_dataset: Path, run: Path) -> None:
    (path,) = run.glob("checkpoints/*/config.json")
    write_json(path, json.loads(path.read_text()) | {"ngf": 8})


def _with_torn_weights(_dataset: Path, run: Path) -> None:
    (path,) = run.glob("checkpoints/*/G_B.safetensors")
    path.write_bytes(path.read_bytes()[:200])


@pytest.mark.parametrize(
    ("damage", "error", "words"),
    [
        (_without_tests, ValueError, "side B has no test pictures"),
        (_without_a_picture, ValueError, r"1 pictures of the manifest are missing, e.g. testA/3"),
        (_with_a_torn_picture, ValueError, r"testA/3\.png: not a readable picture"),
        (_with_a_torn_manifest, ValueError, "cannot read .*manifest"),
        (_with_another_architecture, CheckpointError, "ngf or ndf"),
        (_with_torn_weights, CheckpointError, r"G_B\.safetensors"),
    ],
)
def test_bad_input_is_named_and_moves_no_champion(
    measured: Measured,
    tmp_path: Path,
    damage: Callable[[Path, Path], None],
    error: type[Exception],
    words: str,
) -> None:
    shutil.copytree(measured.dataset, tmp_path / "datasets" / "tiny")
    shutil.copytree(measured.run / "checkpoints", tmp_path / "runs" / "r" / "checkpoints")
    dataset, run = tmp_path / "datasets" / "tiny", tmp_path / "runs" / "r"
    damage(dataset, run)
    with pytest.raises(error, match=words):
        evaluate(config_of(), dataset, run, Workspace(tmp_path))
    folder = run / "evaluation" / measured.done.scores.checkpoint
    with pytest.raises(SuyanError, match="evaluate first"):
        promote(run, folder, Workspace(tmp_path), "pair")
    assert find_champion(Workspace(tmp_path), "pair") is None


def test_a_run_without_a_checkpoint_is_named(measured: Measured, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="train first"):
        evaluate(config_of(), measured.dataset, tmp_path, Workspace(measured.workspace))


def test_another_dataset_is_refused(measured: Measured, tmp_path: Path) -> None:
    other = dataset_of(tmp_path / "other")
    with pytest.raises(ValueError, match="trained on tiny"):
        evaluate(config_of(), other, measured.run, Workspace(measured.workspace))


def test_pictures_are_loaded_once_where_they_are_small(monkeypatch: pytest.MonkeyPatch) -> None:
    loads: list[int] = []

    def load() -> np.ndarray:
        loads.append(1)
        return np.zeros((2, 8, 8, 3), np.uint8)

    small = cached_if_small(load)
    assert small() is small()
    assert len(loads) == 1
    monkeypatch.setattr(held_out, "_MOST_BYTES_IN_MEMORY", 2 * 8 * 8 * 3 - 1)
    large = cached_if_small(load)
    assert large() is not large()
    assert len(loads) == 3
