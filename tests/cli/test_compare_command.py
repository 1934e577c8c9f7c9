"""``suyan compare``: two runs beside each other, as tables, as JSON and as one page."""

import json
import re
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from cli_runs import Suyan, printed_commands
from safetensors.torch import load_file, save_file

from core.files import load_json, write_json
from core.workspace import Workspace
from evaluation.config import EvaluateConfig
from evaluation.data.held_out import load_held_out, load_pictures
from evaluation.features.extractor import load_offline
from evaluation.metrics.distances import kid
from evaluation.scores import load_scores

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
NAMES: dict[str, Any] = json.loads((GOLDEN / "names.json").read_text(encoding="utf-8"))
RUN = str(NAMES["run"])


@pytest.fixture
def golden(tmp_path: Path) -> Workspace:
    """The golden workspace with a second run: of another seed, and with a KID that is lower."""
    with tarfile.open(GOLDEN / "workspace.tar.xz") as archive:
        archive.extractall(tmp_path / "workspace", filter="data")
    workspace = Workspace(tmp_path / "workspace")
    other = workspace.run("other")
    shutil.copytree(workspace.run(RUN).path, other.path)
    config = load_json(other.config)
    config["train"] |= {"seed": 7}
    del config["train"]["pool_size"]  # 2: an earlier version had no such field
    write_json(other.config, config)

    def lower(scores: dict[str, Any]) -> None:
        for key in ("value", "low", "high"):
            scores["directions"]["A2B"]["kid"][key] -= 0.3

    change_scores(workspace, lower)
    return workspace


def change_scores(workspace: Workspace, change: Callable[[dict[str, Any]], None]) -> None:
    path = workspace.run("other").evaluation("step_00000010").scores
    scores = load_json(path)
    change(scores)
    write_json(path, scores)


def _result(text: str) -> dict[str, Any]:
    (line,) = [line for line in text.splitlines() if line.startswith("{")]
    result: dict[str, Any] = json.loads(line)
    return result


def test_two_runs_are_compared(suyan: Suyan, golden: Workspace) -> None:
    status, text = suyan("compare", RUN, "other", "--json")
    assert status == 0, text
    result = _result(text)
    assert result["settings"] == [
        {"name": "train.pool_size", "first": 2, "second": 50},
        {"name": "train.seed", "first": 0, "second": 7},
    ]
    surely = [row for row in result["figures"] if row["surely_better"]]
    (row,) = surely
    assert (row["direction"], row["figure"]) == ("makeup → bare", "kid")
    assert (row["better"], row["surely_better"]) == ("lower", "second")
    assert row["second"]["high"] < row["first"]["low"]
    assert result["same_pictures"]
    assert result["num_pictures"] == {"makeup → bare": 8, "bare → makeup": 8}
    for line in ("second: other, step 10", "train.seed"):
        assert line in text
    page = Path(result["page"]).read_text(encoding="utf-8")
    assert page.count('src="data:image/jpeg') == 2 * 8 * 3
    assert not re.search(r'(src|href)="(?!data:)', page)
    assert page.count("surely better</small>") == 1
    nothing = {"value": 0.0, "low": 0.0, "high": 0.0}  # the same weights on the same pictures
    assert result["paired_kid"] == {"makeup → bare": nothing, "bare → makeup": nothing}
    assert text.count("KID on the same pictures, second − first: 0") == 2
    assert page.count("neither is surely better") == 2


def test_the_paired_difference_is_surer_than_the_intervals(suyan: Suyan, golden: Workspace) -> None:
    checkpoint = golden.run("other").checkpoint("step_00000010").path
    for name in ("G_A", "G_A_ema"):  # a network that paints every picture grey
        path = checkpoint / f"{name}.safetensors"
        save_file({key: torch.zeros_like(each) for key, each in load_file(path).items()}, path)
    status, text = suyan("compare", RUN, "other", "--pictures", 1, "--json")
    assert status == 0, text
    change = _result(text)["paired_kid"]["makeup → bare"]
    assert change["low"] < change["value"] < change["high"] < 0  # ten steps taught worse than grey
    assert "second is surely better" in text
    assert "second: surely better" in Path("comparison.html").read_text(encoding="utf-8")
    scores = load_scores(golden.run(RUN).evaluation("step_00000010").scores)
    held_out = load_held_out(EvaluateConfig(), golden.dataset(str(NAMES["dataset"])))
    files = [row.file for row in held_out.test["B"]]
    real = load_pictures(golden.dataset(str(NAMES["dataset"])).path, files, scores.px or 0)
    extract = load_offline().cached_in(golden.features)
    grey = np.full((len(held_out.test["A"]), *real.shape[1:]), 128, np.uint8)
    own = scores.directions["A2B"].figure("kid")
    assert own is not None
    assert change["value"] == pytest.approx(kid(extract(grey), extract(real)) - own.value, abs=0.01)


def test_without_a_paired_difference_the_reason_is_said(suyan: Suyan, golden: Workspace) -> None:
    status, text = suyan("compare", RUN, "other", "--unpaired", "--pictures", 1, "--json")
    assert status == 0
    result = _result(text)
    assert (result["paired_kid"], result["no_paired_kid"]) == ({}, "it was not asked for")
    change_scores(golden, lambda scores: scores.update(px=256))
    status, text = suyan("compare", RUN, "other", "--overwrite", "--pictures", 1)
    assert status == 0
    assert "No paired difference of KID: the networks take pictures of 32 and 256 px." in text


def test_the_tables_fit_a_terminal_and_a_page_is_not_replaced(
    suyan: Suyan, golden: Workspace
) -> None:
    status, text = suyan("compare", "other", "newest", "--language", "zh", "--pictures", 1)
    assert status == 0, text
    assert "KID to real pictures (lower)" in text
    assert "first" in next(line for line in text.splitlines() if line.endswith("  first"))
    page = Path("comparison.html")
    before = page.read_bytes()
    assert "两次训练的比较" in before.decode()
    status, text = suyan("compare", RUN, "other")
    assert status == 2
    assert "comparison.html is there already; choose another file, or --overwrite" in text
    assert page.read_bytes() == before


def test_a_run_is_the_same_as_itself(suyan: Suyan, golden: Workspace) -> None:
    status, text = suyan("compare", RUN, RUN, "--pictures", 1, "--json")
    assert status == 0
    result = _result(text)
    assert result["settings"] == []
    assert not [row for row in result["figures"] if row["surely_better"]]
    lines = text.splitlines()
    after = lines[lines.index("All settings are the same") + 1]
    assert after == "makeup → bare"  # no table without rows


def test_without_their_pictures_runs_are_compared_by_their_figures(
    suyan: Suyan, golden: Workspace
) -> None:
    change_scores(golden, lambda scores: scores.update(dataset="gone"))
    status, text = suyan("compare", RUN, "other")
    assert status == 0, text
    assert "No pictures side by side: workspace/datasets/gone/manifest.parquet is not there" in text
    assert "The figures are not of the same held-out pictures" in text
    assert "No pictures are shown" in Path("comparison.html").read_text(encoding="utf-8")


def test_what_cannot_be_compared_says_so(suyan: Suyan, golden: Workspace) -> None:
    change_scores(golden, lambda scores: scores.update(domains={"A": "cat", "B": "dog"}))
    status, text = suyan("compare", RUN, "other")
    assert status == 2
    assert "found makeup ↔ bare and cat ↔ dog, needed runs of the same domains" in text
    shutil.rmtree(golden.run("other").evaluations)
    status, text = suyan("compare", RUN, "other")
    assert status == 2
    assert printed_commands(text)[0][:2] == ["evaluate", "other"]
    status, text = suyan("compare", RUN, "anothr")
    assert status == 2
    assert "anothr is not there" in text
    assert not Path("comparison.html").exists()
