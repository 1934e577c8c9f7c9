"""``--json``: the standard output is one line of JSON, and all else goes to the error output."""

import json
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from cli_runs import PROGRAM, Suyan
from PIL import Image

from cli.main import app, main
from core.workspace import Workspace
from scraping.offline.corpus import portrait

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
NAMES: dict[str, Any] = json.loads((GOLDEN / "names.json").read_text(encoding="utf-8"))
SERVING = {"offline-engine", "review", "ui", "web"}  # they run until Ctrl-C
Json = Callable[..., Any]


@pytest.fixture
def golden(tmp_path: Path) -> Workspace:
    with tarfile.open(GOLDEN / "workspace.tar.xz") as archive:
        archive.extractall(tmp_path / "workspace", filter="data")
    return Workspace(tmp_path / "workspace")


@pytest.fixture
def as_json(
    suyan: Suyan, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Json:
    """A function that runs a command with ``--json``; returns what its standard output holds."""

    def run(*arguments: object, status: int = 0) -> Any:
        words = [str(PROGRAM), *map(str, arguments), "--json"]
        monkeypatch.setattr(sys, "argv", words)
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        assert (ended.value.code or 0) == status, captured.err
        lines = captured.out.splitlines()
        assert len(lines) == (status != 2), captured.out
        return json.loads(lines[0]) if lines else captured.err

    return run


def test_runs_models_datasets_and_crawls_are_listed(as_json: Json, golden: Workspace) -> None:
    dataset, run, model = NAMES["dataset"], NAMES["run"], NAMES["model"]
    (row,) = as_json("list", "runs")
    assert (row["run"], row["dataset"], row["step"]) == (run, dataset, 10)
    assert (row["epoch"], row["num_epochs"]) == (2, 2)
    kid = row["kid"]["makeup → bare"]
    assert kid["low"] < kid["value"] < kid["high"]
    (row,) = as_json("list", "models")
    assert (row["model"], row["recipe"], row["is_champion"]) == (model, "makeup", True)
    (row,) = as_json("list", "datasets")
    assert (row["dataset"], row["newest_of"]) == (dataset, ["makeup"])
    assert row["counts"] == {"testA": 26, "testB": 17, "trainA": 29, "trainB": 39}
    crawls = as_json("list", "crawls")
    assert {row["crawl"] for row in crawls} == {*NAMES["crawls"]}
    assert {row["num_originals"] for row in crawls} == {57}
    golden.recipe_files.mkdir(exist_ok=True)
    golden.recipe_file("cats").write_text("from: seasons\n")
    recipes = as_json("list", "recipes")
    assert [row["recipe"] for row in recipes] == ["makeup", "seasons", "cats"]
    assert recipes == as_json("recipe", "list")


def test_half_of_a_run_a_draft_and_an_old_run_are_no_error(
    as_json: Json, golden: Workspace
) -> None:
    (golden.runs / "nothing").mkdir()
    (golden.runs / ".draft").mkdir()
    begun = golden.run("begun")
    begun.path.mkdir()
    begun.config.write_text('{"dataset": "d", "train": {"num_epochs": 3}}')
    (golden.datasets / "half").mkdir()
    rows = {row["run"]: row for row in as_json("list", "runs")}
    assert rows.keys() == {"begun", NAMES["run"]}
    assert (rows["begun"]["epoch"], rows["begun"]["kid"]) == (0, {})
    assert len(as_json("list", "datasets")) == 1


def test_a_list_is_a_table_for_people(suyan: Suyan, golden: Workspace) -> None:
    for kind, name in (("runs", "run"), ("models", "model"), ("datasets", "dataset")):
        status, text = suyan("list", kind)
        assert status == 0
        assert NAMES[name] in text
        assert all(len(line) <= 80 for line in text.splitlines()), text


def test_status_and_the_ends_of_commands_are_json(
    as_json: Json, golden: Workspace, tmp_path: Path
) -> None:
    status = as_json("status")
    assert {crawl["state"] for crawl in status["crawls"]} == {"finished"}
    assert status["crawls"][0]["phrases"][0]["stored"] == 57
    assert as_json("promote", NAMES["model"]) == {"recipe": "makeup", "champion": NAMES["model"]}
    exported = as_json("export-dataset", NAMES["dataset"])
    ((file, num_bytes),) = exported["bytes"].items()
    assert Path(file).stat().st_size == num_bytes
    (original, *_) = golden.originals.glob("*/*")
    curated = as_json("curate", "drop", original.stem[:12])
    assert Path(curated["file"]).is_file()
    Image.fromarray(portrait("makeup", 3)).save(tmp_path / "a.jpg")
    Image.new("RGB", (64, 64)).save(tmp_path / "black.jpg")
    translated = as_json("translate", "a.jpg", "black.jpg", status=1)
    first, second = translated["photos"]
    assert Path(first["output"]).is_file()
    assert (second["output"], bool(second["reason"])) == (None, True)
    assert as_json("run", "--show")["recipe"] == "makeup"
    assert as_json("recipe", "new", "cats")["file"].endswith("cats.yaml")
    assert as_json("recipe", "check") == {
        "cats": {
            "problem": None,
            "notes": [
                "crawl_a: still the phrases of makeup", "crawl_b: still the phrases of makeup",
            ],
        }
    }  # fmt: skip


def test_ends_of_services_are_json(as_json: Json, golden: Workspace) -> None:
    assert as_json("down") == {"worker": False, "server": False}
    error = as_json("notify", "--off", status=2)
    assert "found no running Prefect server" in error


def test_an_error_leaves_the_standard_output_empty(as_json: Json, golden: Workspace) -> None:
    assert "did you mean makeup" in as_json("run", "--recipe", "makup", status=2)


def test_every_command_with_a_result_takes_json() -> None:
    group: Any = typer.main.get_command(app)
    commands = group.commands | group.commands["recipe"].commands
    without = {
        name
        for name, command in commands.items()
        if "--json" not in [spelling for option in command.params for spelling in option.opts]
    }
    assert without == {*SERVING, "recipe"}
