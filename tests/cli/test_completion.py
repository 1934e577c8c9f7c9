"""Names that a shell completes, as typer's own scripts ask for them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from core.workspace import Workspace

_COMMAND = "import sys; from cli.main import main; sys.argv[0] = 'suyan'; main()"
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    home = Workspace(tmp_path / "home")
    for folder in (
        home.run("cats-1").path,
        home.run(".draft").path,
        home.dataset("cats").path,
        home.recipe_models("makeup").version("step1-a").path,
        home.recipe_models("cats").version("step2-b").path,
        home.pointer("cats", "run").parent,
    ):
        folder.mkdir(parents=True)
    home.recipe_file("cats").touch()
    return home


def _completed(line: str, home: Path, cwd: Path) -> list[str]:
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "_SUYAN_COMPLETE": "complete_bash",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(line.split()) - (not line.endswith(" "))),
        "SUYAN_HOME": str(home),
    }
    done = subprocess.run(
        [sys.executable, "-c", _COMMAND], env=environment, cwd=cwd, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("suyan evaluate ", ["newest", "cats-1"]),
        ("suyan compare cats-1 c", ["cats-1"]),
        ("suyan train c", ["cats"]),
        ("suyan export-dataset ", ["cats"]),
        ("suyan run --recipe ", ["makeup", "seasons", "cats"]),
        ("suyan recipe show c", ["cats"]),
        ("suyan translate --model ", ["step1-a"]),
        ("suyan promote --recipe cats ", ["step2-b"]),
        ("suyan list m", ["models"]),
        ("suyan train --init-from ", ["champion", "step1-a", "cats-1"]),
        ("suyan run --recipe cats --init-from s", ["step2-b"]),
        ("suyan recipe new --from s", ["seasons"]),
    ],
)
def test_names_are_completed(workspace: Workspace, line: str, names: list[str]) -> None:
    assert _completed(line, workspace.folder, workspace.folder.parent) == names


@pytest.mark.slow
def test_the_workspace_on_the_line_counts_and_none_is_no_error(
    workspace: Workspace, tmp_path: Path
) -> None:
    line = f"suyan evaluate --workspace {workspace} "
    assert _completed(line, tmp_path / "none", tmp_path) == ["newest", "cats-1"]
    assert _completed("suyan evaluate ", tmp_path / "none", tmp_path) == ["newest"]
    assert not (tmp_path / "none").exists()
