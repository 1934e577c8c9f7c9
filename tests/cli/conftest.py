"""The command as people type it, in this process."""

import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_runs import PROGRAM, Suyan

from cli.main import main


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
        monkeypatch.setattr(sys, "argv", [str(PROGRAM), *map(str, arguments)])
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
