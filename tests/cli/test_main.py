"""The command line as people type it: help, errors without Python's names, and no quiet changes."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
import typer
from rich.console import Console
from typer.testing import CliRunner

from cli.main import app, main
from cli.prepare import prepare_crawled
from core.workspace import Workspace
from flows import recipes
from training.config import TrainConfig
from training.models.factory import build_generator

Suyan = Callable[..., tuple[int, str]]


@pytest.fixture
def suyan(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Iterator[Suyan]:
    """A function that runs the command in an empty folder; returns its status and its output."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.delenv("SUYAN_HOME", raising=False)
    handler = signal.getsignal(signal.SIGTERM)

    def run(*arguments: object) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["suyan", *map(str, arguments)])
        try:
            main()
        except SystemExit as ended:
            status = ended.code or 0
        else:
            status = 0
        captured = capsys.readouterr()
        return int(status), captured.out + captured.err

    yield run
    signal.signal(signal.SIGTERM, handler)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "/nonexistent"], "dataset: got /nonexistent, and there is no such folder; need"),
        (["train", "--set", "num_epoch=1"], "an unknown option; needed num_epochs,"),
        (["train", "--set", "num_epochs"], "--set: got 'num_epochs', needed OPTION=VALUE"),
        (["run", "--params", "none.json"], "none.json: No such file or directory"),
        (["run", "--recipe", "none"], "--recipe: got 'none', needed one of makeup"),
    ],
)
def test_an_error_is_a_sentence_without_names_of_python(
    suyan: Suyan, tmp_path: Path, arguments: list[str], message: str
) -> None:
    status, text = suyan(*arguments)
    assert status == 2
    assert text.startswith("Error: ")
    assert message in text
    assert not re.search(r"Error\b.*Error\b|\[Errno|Traceback", text)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("place", [0, 1, 3])
def test_debug_shows_the_trace_wherever_it_stands(suyan: Suyan, place: int) -> None:
    arguments = ["run", "--params", "none.json"]
    arguments.insert(place, "--debug")
    with pytest.raises(FileNotFoundError):
        suyan(*arguments)


@pytest.mark.parametrize("command", ["run", "crawl", "prepare", "train", "up", "doctor", "status"])
def test_a_workspace_that_is_a_file_is_named(suyan: Suyan, tmp_path: Path, command: str) -> None:
    (tmp_path / "afile").write_text("")
    status, text = suyan(command, "--workspace", "afile")
    assert (status, text) == (
        2,
        "Error: --workspace: afile is a file, needed a folder or s3://bucket/prefix\n",
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ["curate", "keep", "0123456789"], ["promote", "x"], ["rollback"], ["status"],
        ["forget", "0" * 64], ["export-dataset", "x"], ["evaluate"],
    ],
)  # fmt: skip
def test_a_misspelt_workspace_is_not_made(
    suyan: Suyan, tmp_path: Path, arguments: list[str]
) -> None:
    status, text = suyan(*arguments, "--workspace", "workspcae")
    assert status == 2
    assert "found no folder workspcae" in text
    assert list(tmp_path.iterdir()) == []


def test_help_is_grouped_and_short_options_and_the_version_are_there(suyan: Suyan) -> None:
    status, text = suyan("-h")
    assert status == 0
    panels = re.findall(r"╭─ ([A-Z][^─]*) ─", text)
    assert len(panels) >= 6
    assert panels[0] == "Options"
    assert "Commands" not in panels
    status, text = suyan("--version")
    assert (status, text) == (0, "suyan 0.1.0\n")
    assert suyan("train", "-h")[0] == 0


def test_flags_have_no_type_and_the_workspace_comes_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    for name in typer.main.get_command(app).commands:  # type: ignore[attr-defined]
        text = CliRunner().invoke(app, [name, "--help"]).output
        assert "<bool>" not in text, name
        options = re.findall(r"│ (?:\*  )?(?:-\w )? *(--[\w-]+)", text)
        if "--workspace" in options:
            assert options[-2:] == ["--workspace", "--help"], name


def test_a_decision_about_no_picture_is_refused(suyan: Suyan, tmp_path: Path) -> None:
    home = Workspace(tmp_path / "home")
    original = home.original("ab" * 32, "jpg")
    original.parent.mkdir(parents=True)
    original.write_bytes(b"")
    before = sorted(home.folder.rglob("*"))
    status, text = suyan("curate", "drop", "abababab", "cdcdcdcd", "--workspace", "home")
    assert status == 2
    assert "got cdcdcdcd, which begins the sha256 of no original" in text
    assert sorted(home.folder.rglob("*")) == before
    assert suyan("curate", "drop", "abababab", "--workspace", "home")[0] == 0


def test_a_failed_promotion_leaves_nothing(suyan: Suyan, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    assert suyan("promote", "x", "--workspace", "home")[0] == 2
    assert suyan("rollback", "--workspace", "home")[0] == 2
    assert list((tmp_path / "home").iterdir()) == []


def test_an_import_replaces_only_when_told_to(suyan: Suyan, tmp_path: Path) -> None:
    config = TrainConfig(num_blocks=1, ngf=4, crop_px=64, load_px=64)
    (tmp_path / "theirs").mkdir()
    torch.save(build_generator(config).state_dict(), tmp_path / "theirs" / "latest_net_G.pth")
    assert suyan("import", "theirs", "--out", "ours", "--domain-a", "horse")[0] == 0
    status, text = suyan("import", "theirs", "--out", "ours", "--domain-a", "apple")
    assert status == 2
    assert "ours is not empty" in text
    prepared = tmp_path / "ours" / "prepare.json"
    assert json.loads(prepared.read_text())["domain_a"] == "horse"
    arguments = ("import", "theirs", "--out", "ours", "--domain-a", "apple", "--overwrite")
    assert suyan(*arguments)[0] == 0
    assert json.loads(prepared.read_text())["domain_a"] == "apple"


def test_prepare_takes_the_only_crawl_and_else_names_them(tmp_path: Path) -> None:
    workspace, parameters = Workspace(tmp_path), recipes.RECIPES["makeup"]()

    def prepare() -> None:
        prepare_crawled(parameters, workspace, Console(quiet=True), program="suyan")

    for digits in ("0" * 12, "1" * 12):
        crawl = workspace.crawl(f"makeup-{digits}")
        crawl.path.mkdir(parents=True)
        crawl.listing.write_bytes(b"")
    with pytest.raises(
        ValueError, match=r"makeup: .*crawls of this domain: makeup-0+, makeup-1+\)"
    ):
        prepare()
    workspace.crawl("makeup-" + "1" * 12).listing.unlink()
    with pytest.raises(ValueError, match=r"^bare: .*domain: none\)"):
        prepare()


def test_an_engine_on_an_occupied_port_announces_nothing(suyan: Suyan) -> None:
    with socket.socket() as occupied:
        occupied.bind(("127.0.0.1", 0))
        occupied.listen()
        port = occupied.getsockname()[1]
        assert suyan("offline-engine", "--port", port) == (
            2,
            f"Error: port {port} is in use; choose another one with --port\n",
        )


_PRINTS = """
import sys
from cli.console import OUTPUT, print_line
from cli.main import _require_utf8
import typer
_require_utf8()
print_line(OUTPUT, "妆容 → 素颜")
typer.echo("妆容 → 素颜")
open(sys.argv[1], "w").write("素颜")
print(open(sys.argv[1]).read())
"""


@pytest.mark.parametrize(
    ("encoding", "printed"),
    [("utf-8", "utf-8"), ("ascii", "utf-8"), ("iso8859-1", "iso8859-1"), ("gbk", "gbk")],
)
def test_chinese_is_printed_and_written_in_every_locale(
    tmp_path: Path, encoding: str, printed: str
) -> None:
    script = tmp_path / "素颜.py"
    script.write_text(_PRINTS, encoding="utf-8")
    environment = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    environment["PYTHONIOENCODING"] = encoding
    done = subprocess.run(
        [sys.executable, script, tmp_path / "妆容.txt"], capture_output=True, env=environment,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "妆容.txt").read_text(encoding="utf-8") == "素颜"
    expected = "妆容 → 素颜".encode(printed, "backslashreplace")
    assert done.stdout.splitlines() == [
        expected,
        expected,
        "素颜".encode(printed, "backslashreplace"),
    ]
