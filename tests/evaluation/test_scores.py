"""scores.json is read as it was written, and files of older versions are read too."""

import json
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from core.files import write_json
from core.workspace import Workspace
from core.workspace_folders import DatasetFolder, EvaluationFolder, RunFolder
from evaluation.champion_record import MissingChampion, NoChampion
from evaluation.figures import Figure
from evaluation.judges.judge_kinds import PRETRAINING, JudgeKind
from evaluation.metrics.direction import direction_figures
from evaluation.metrics.metric import Group
from evaluation.metrics.registry import METRICS, measuring_functions
from evaluation.report.html_report import write_report
from evaluation.report.table import row_groups
from evaluation.report.wording import Language, training_networks_sentence, verdict, words
from evaluation.scores import DirectionScores, load_scores, write_scores
from evaluation.training_networks import (
    NetworkUse,
    TrainingNetwork,
    shaping_pretraining,
    used_networks,
)
from training.config import TrainConfig

GOLDEN = Path(__file__).parents[1] / "golden" / "workspace.tar.xz"
EVALUATION = "evaluation/step_00000010"
OLD_SCORES = GOLDEN.with_name("scores.json")  # of the version before independent judges
LANGUAGES: tuple[Language, ...] = ("en", "zh")


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("golden") / "workspace"
    with tarfile.open(GOLDEN) as archive:
        archive.extractall(folder, filter="data")
    return folder


@pytest.fixture(scope="module")
def evaluation(workspace: Path) -> EvaluationFolder:
    (folder,) = workspace.glob(f"runs/*/{EVALUATION}")
    return EvaluationFolder(folder)


def test_what_was_read_is_written_as_it_was(evaluation: EvaluationFolder, tmp_path: Path) -> None:
    path = tmp_path / "scores.json"
    write_scores(path, load_scores(evaluation.scores))
    assert json.loads(path.read_text(encoding="utf-8")) == json.loads(
        evaluation.scores.read_text(encoding="utf-8")
    )


def test_unknown_keys_are_kept(evaluation: EvaluationFolder, tmp_path: Path) -> None:
    value: dict[str, Any] = json.loads(evaluation.scores.read_text(encoding="utf-8"))
    value["mood"] = {"good": [1]}
    value["directions"]["A2B"] |= {"remark": "by hand", "novel": {"value": 1, "low": 0, "high": 2}}
    write_json(tmp_path / "scores.json", value)
    scores = load_scores(tmp_path / "scores.json")
    assert scores.directions["A2B"].figures["novel"] == Figure(1, 0, 2)
    assert scores.to_json() == value


def test_the_oldest_scores_lack_parts_and_intervals(tmp_path: Path) -> None:
    direction = {"from": "makeup", "to": "bare", "kid": {"value": 0.02}}
    write_json(tmp_path / "scores.json", {"directions": {"A2B": direction}})
    scores = load_scores(tmp_path / "scores.json")
    assert scores.directions["A2B"].figure("kid") == Figure(0.02, 0.02, 0.02)
    assert scores.champion == MissingChampion(NoChampion.NONE)
    assert (scores.key, scores.classifier, scores.mean_kid) == ("", None, 0.02)
    assert verdict(scores)


def test_networks_of_the_training_are_kept(evaluation: EvaluationFolder, tmp_path: Path) -> None:
    path = tmp_path / "scores.json"
    old = load_scores(OLD_SCORES)
    assert old.training_networks is None
    assert training_networks_sentence(old, "en") == ""
    network = TrainingNetwork("some network", "ImageNet", NetworkUse.VALIDATION)
    for networks in ((), (network,)):
        write_scores(path, replace(old, training_networks=networks))
        scores = load_scores(path)
        assert scores.training_networks == networks
        for language in LANGUAGES:
            assert ("some network" in training_networks_sentence(scores, language)) is bool(
                networks
            )


def test_the_networks_that_chose_a_model_are_recorded() -> None:
    plain, validated = TrainConfig(), TrainConfig(validate_every=100)
    assert used_networks(plain, "n", weights_were_compared=False) == ()
    paired = plain.model_copy(update={"pseudo_steps": 5})
    (mesh,) = used_networks(paired, "n", weights_were_compared=False, has_faces=True)
    assert mesh.use is NetworkUse.PAIRS
    assert shaping_pretraining([mesh]) == {PRETRAINING[JudgeKind.MESH_ACTIVATIONS]}
    assert used_networks(paired, "n", weights_were_compared=False, has_faces=False) == ()
    networks = used_networks(validated, "n", weights_were_compared=True)
    assert [network.use for network in networks] == [NetworkUse.VALIDATION, NetworkUse.WEIGHTS]


@pytest.mark.parametrize("text", ["{", "[]", '{"directions": 1}', "{}", '{"directions": {"A": 1}}'])
def test_a_file_without_scores_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "scores.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=r"scores\.json: found"):
        load_scores(path)


def test_old_scores_without_windows_are_reported(
    workspace: Path, evaluation: EvaluationFolder
) -> None:
    scores = load_scores(OLD_SCORES)
    run = RunFolder(evaluation.path.parents[1])
    dataset = DatasetFolder(workspace / "datasets" / load_scores(evaluation.scores).dataset)
    report = write_report("en", scores, dataset, run, Workspace(workspace), evaluation)
    assert "KID of the eyes alone" not in report.read_text(encoding="utf-8")
    measured = {
        name: replace(
            direction, figures=direction.figures | {"eyes_window_kid": Figure(0.123, 0.1, 0.15)}
        )
        for name, direction in scores.directions.items()
    }
    newer = replace(scores, directions=measured)
    report = write_report("zh", newer, dataset, run, Workspace(workspace), evaluation)
    html = report.read_text(encoding="utf-8")
    assert "仅眼部窗口的 KID" in html
    assert "0.123" in html


def test_every_metric_is_listed_once_and_said_in_both_languages() -> None:
    keys = [metric.key for metric in METRICS]
    assert len(keys) == len(set(keys))
    for language in ("en", "zh"):
        assert set(keys) <= words(language).keys()
        assert {group.value for group in Group} <= words(language).keys()
    for metric in METRICS:
        assert all([*metric.name, *metric.meaning])
        is_computed = metric.group not in (Group.TRUTH, Group.PAIRS)
        assert bool(metric.measured_by) is is_computed, metric.key
    assert all(function.count(":") == 1 for function in measuring_functions())
    assert callable(direction_figures)


def test_a_row_stands_in_the_group_that_the_registry_says() -> None:
    direction = DirectionScores(
        "makeup", "bare", 20, 20, {"kid": Figure(1, 0, 2), "domain_success": Figure(0.5, 0.4, 0.6)}
    )
    groups = {
        group.title: [row.name for row in group.rows] for group in row_groups(direction, "en")
    }
    assert groups == {
        "Distance to the target": ["KID to real pictures"],
        "Resemblance to the target": ["Classified as the target domain"],
    }
