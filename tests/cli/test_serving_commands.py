"""The printed commands that serve are started as they stand, answer, and end by Ctrl-C."""

import os
import re
import signal
import socket
import subprocess
import tarfile
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cli_runs import PROGRAM, Suyan, printed_commands

from cli import doctor
from core.commands import suyan_command
from core.workspace import Workspace

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
ROOT = Path(__file__).resolve().parents[2]
START_TIMEOUT_S = 600.0


class Started:
    """A command that serves, in a process of its own as a shell starts it."""

    def __init__(self, words: list[str], folder: Path) -> None:
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")
        }
        environment |= {"COLUMNS": "200", "PYTHONUNBUFFERED": "1"}
        self.text = ""
        self._process = subprocess.Popen(
            [str(PROGRAM), *words],
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            # As at a terminal: a job in the background of a shell ignores Ctrl-C.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
        )

    def until(self, pattern: str) -> str:
        """Wait for ``pattern`` in the output; returns its first group."""
        assert self._process.stdout is not None
        killer = threading.Timer(START_TIMEOUT_S, self._process.kill)
        killer.start()
        try:
            for line in self._process.stdout:
                self.text += line
                if found := re.search(pattern, line):
                    return found[1]
        finally:
            killer.cancel()
        raise AssertionError(f"it ended without {pattern!r}:\n{self.text}")

    def end(self, number: int = signal.SIGINT) -> int:
        """Ctrl-C; returns the status."""
        self._process.send_signal(number)
        rest, _ = self._process.communicate(timeout=300)
        self.text += rest
        return self._process.returncode


@contextmanager
def started(words: list[str], folder: Path) -> Iterator[Started]:
    command = Started(words, folder)
    try:
        yield command
    finally:
        if command._process.poll() is None:
            command.end(signal.SIGTERM)


def _answer(url: str) -> str:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    page = urllib.request.Request(url, headers={"Accept": "text/html"})  # as a browser asks
    with opener.open(page, timeout=60) as answer:
        assert answer.status == 200
        return str(answer.read().decode())


def _free_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return str(probe.getsockname()[1])


def _line(text: str, command: str) -> list[str]:
    return next(words for words in printed_commands(text) if words[0] == command)


def test_up_ui_and_down_as_they_are_printed_start_and_stop_the_server(
    suyan: Suyan, tmp_path: Path
) -> None:
    workspace = Workspace(tmp_path / "my files")
    workspace.folder.mkdir()
    down = _line(suyan_command("down", workspace=workspace), "down")
    try:
        with started(_line(doctor._server(workspace).remedy, "up"), tmp_path) as command:
            url = command.until(r"The Prefect UI: (\S+)")
        assert "Prefect" in _answer(url)
        ui = _line(suyan_command("ui", workspace=workspace), "ui")
        with started(ui, tmp_path) as page:
            assert page.until(r"The Prefect UI: (\S+)/runs") == url
            assert "Prefect" in _answer(f"{url}/runs")
            page.end()
        assert "Prefect" in _answer(url)  # the page's end leaves the server to the other command
    finally:
        status, text = suyan(*down)
    assert status == 0
    assert "Worker      stopped" in text
    assert "Server      stopped" in text
    with pytest.raises(OSError, match="refused"):
        _answer(url)


def test_the_review_of_a_version_answers_and_ends_by_ctrl_c(tmp_path: Path) -> None:
    folder = tmp_path / "my files"
    with tarfile.open(ROOT / "tests" / "golden" / "workspace.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    (dataset,) = Workspace(folder).datasets.glob("makeup-bare-*")
    line = suyan_command("review", dataset.name, workspace=Workspace(folder), recipe="makeup")
    port = _free_port()  # the printed line takes a port that may be in use here
    with started([*_line(line, "review"), "--port", port], tmp_path) as command:
        url = command.until(r"review it at (\S+)")
        assert f":{port}" in url
        assert "<!doctype html>" in _answer(url)
        assert command.end() == 130


def test_the_demo_begins_to_draw_and_ctrl_c_says_how_to_go_on(suyan: Suyan, tmp_path: Path) -> None:
    _, text = suyan("translate", tmp_path / "photo.jpg")
    with started(_line(text, "demo"), tmp_path) as command:
        assert int(command.until(r"draw the truth [1-9]\d*/(\d+)")) > 100
        assert command.end() == 130
    assert "the same command goes on" in command.text
    assert "Traceback" not in command.text
