"""The command line as people type it: help, errors without Python's names, and no quiet changes."""

import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import typer
from cli_runs import Suyan, printed_commands
from rich.console import Console
from typer.testing import CliRunner

from cli.main import app
from cli.prepare import prepare_crawled
from core.files import write_json
from core.workspace import Workspace
from flows import recipes
from flows.installation import VERSION
from scraping.catalogue.database import catalogue_url
from scraping.catalogue.leases import Leases
from scraping.catalogue.repository import Catalogue
from training.config import TrainConfig
from training.models.factory import build_generator


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "/nonexistent"], "dataset: got /nonexistent, and there is no such folder; need"),
        (
            ["train", "--set", "num_epoch=1"],
            "an unknown option; did you mean num_epochs",
        ),
        (["train", "--set", "num_epochs"], "--set: got 'num_epochs', needed OPTION=VALUE"),
        (["run", "--params", "none.json"], "--params: found no file none.json, needed the JSON"),
        (["run", "--recipe", "none"], "--recipe: got 'none', needed one of makeup"),
        (["run", "--recipe", "makup"], "one of makeup, seasons; did you mean makeup?"),
        (["trian"], "there is no command trian; did you mean train?"),
        (["train", "--recpie", "x"], "train: there is no option --recpie; did you mean --recipe?"),
        (["train", "--set"], "train: --set: needs a value"),
        (["curate", "kep", "1"], "got 'kep', needed keep, drop, move or different; did you mean k"),
        (
            ["translate", "x", "--strength", "2.1"],
            "translate: --strength: input should be less tha",
        ),
        (["translate"], "translate: the argument PHOTO is missing"),
        (["train", "a", "b"], "train: got b, which is too much"),
        (["--verison"], "there is no option --verison; did you mean --version?"),
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


def test_a_mistyped_parameter_of_a_file_is_answered_by_the_nearest(
    suyan: Suyan, tmp_path: Path
) -> None:
    parameters = json.loads(suyan("run", "--show")[1])
    parameters["train"]["num_epoch"] = 1
    (tmp_path / "my.json").write_text(json.dumps(parameters))
    status, text = suyan("run", "--params", "my.json", "--show")
    assert status == 2
    assert "train.num_epoch: there is no such parameter; did you mean num_epochs" in text


def test_a_stop_by_ctrl_c_says_that_work_is_saved(
    suyan: Suyan, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("cli.doctor.examine", stop)
    status, text = suyan("doctor")
    assert status == 130
    assert "Interrupted: finished work is saved; the same command goes on." in text


@pytest.mark.parametrize("place", [0, 1, 3])
def test_debug_shows_the_trace_wherever_it_stands(suyan: Suyan, place: int) -> None:
    arguments = ["run", "--params", "none.json"]
    arguments.insert(place, "--debug")
    with pytest.raises(ValueError, match=r"none\.json"):
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
        ["forget", "0" * 64], ["export-dataset", "x"], ["evaluate"], ["down"],
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
    assert (status, text) == (0, f"suyan {VERSION}\n")
    assert suyan("train", "-h")[0] == 0


def test_flags_have_no_type_and_the_workspace_comes_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    for name in typer.main.get_command(app).commands:  # type: ignore[attr-defined]
        text = CliRunner().invoke(app, [name, "--help"]).output
        assert not re.search(r"<[\w\[\]]+>", text), name  # a type of Python
        assert not re.search(r"[{}]", text.split("╭")[0]), name
        options = re.findall(r"│ (?:\*  )?(?:-\w )? *(--[\w-]+)", text)
        if "--workspace" in options:
            assert options[-2:] == ["--workspace", "--help"], name


def test_one_name_of_a_value_is_one_noun_in_every_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    nouns: dict[str, set[str]] = {}
    for name, command in typer.main.get_command(app).commands.items():  # type: ignore[attr-defined]
        if not hasattr(command, "commands"):
            usage, _, table = CliRunner().invoke(app, [name, "--help"]).output.partition("╭")
            assert re.search(rf"{name} \[OPTIONS\]( \[?[A-Z|]+(\.\.\.)?\]?)*\s", usage), usage
            for option, noun in re.findall(r"(--[\w-]+) +([A-Z]+(?:[A-Z|=…/:]|s3)*)(?= )", table):
                nouns.setdefault(option, set()).add(noun)
    assert nouns["--workspace"] == {"FOLDER|s3://…"}
    assert nouns.pop("--out") == {"FOLDER", "FILE"}  # the latter of compare, which writes one
    assert nouns.pop("--domain") == {"DOMAIN", "NAME=FOLDER"}  # the latter of offline-engine
    assert {option for option, each in nouns.items() if len(each) > 1} == set()
    vague = {option for option, each in nouns.items() if each & {"TEXT", "PATH", "X", "STR"}}
    assert vague == {"--note", "--reason"}


def test_options_come_in_the_same_order_everywhere() -> None:
    commands = typer.main.get_command(app).commands.values()  # type: ignore[attr-defined]
    orders = [
        [option.opts[0] for option in command.params if option.opts[0].startswith("--")]
        for command in commands
    ]
    for first in orders:
        for second in orders:
            shared = [option for option in first if option in second]
            assert shared == [option for option in second if option in first]


def test_the_exit_statuses_are_documented(suyan: Suyan) -> None:
    status, text = suyan("--help")
    assert status == 0
    for number in ("0", "1", "2", "130"):
        assert re.search(rf"^ - {number}[:,]", text, re.MULTILINE), number


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
        prepare_crawled(parameters, workspace, Console(quiet=True))

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


def test_an_interrupted_crawl_is_told_from_one_that_is_under_way(
    suyan: Suyan, tmp_path: Path
) -> None:
    home = Workspace(tmp_path / "home")
    home.folder.mkdir()
    with Catalogue(catalogue_url(home)) as catalogue:
        catalogue.begin_round("bare-1", "bare", 100, 1.0)
        status, text = suyan("status", "--workspace", "home")
        assert status == 0
        assert "UTC: interrupted" in text
        leases = Leases(catalogue, "bare-1", 60)
        leases.renew()
        assert "UTC: under way" in suyan("status", "--workspace", "home")[1]
        leases.close()
        catalogue.finish_round("bare-1", 2.0)
        assert "UTC: finished" in suyan("status", "--workspace", "home")[1]
        home.crawl("bare-1").path.mkdir(parents=True)
        write_json(home.crawl("bare-1").summary, {"partial": True})
        assert "UTC: partial, the next run tries" in suyan("status", "--workspace", "home")[1]


def test_a_list_of_nothing_says_so_and_where_there_is_something(
    suyan: Suyan, tmp_path: Path
) -> None:
    empty = tmp_path / "home"
    empty.mkdir()
    status, text = suyan("list", "datasets", "--workspace", "home")
    assert status == 0
    assert "home has no dataset yet" in text
    assert printed_commands(text) == [["prepare", "--workspace", "home"]]
    demo = Workspace(tmp_path / "workspace" / "demo")
    manifest = demo.dataset("makeup-bare-0").manifest
    manifest.parent.mkdir(parents=True)
    manifest.touch()
    demo.catalogue.touch()
    assert "with --workspace workspace/demo" in suyan("list", "datasets", "--workspace", "home")[1]
    status, text = suyan("status", "--workspace", "home")
    assert status == 2
    assert "that of workspace/demo with --workspace workspace/demo" in " ".join(text.split())
    status, text = suyan("list", "crawls", "--json", "--workspace", "home")
    assert status == 0
    assert "[]" in text.splitlines()
