"""Starts, finds and stops processes that outlive the command that starts them."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from core.locks import is_alive

_POLL_S = 0.1


def start_detached(
    command: Sequence[str], environment: Mapping[str, str], log: Path, folder: Path
) -> int:
    """Start a process in a session of its own, which Ctrl-C does not reach; returns its pid.

    Its output is appended to ``log``; it works in ``folder``.
    """
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    process.returncode = 0  # otherwise Popen warns that its process still runs
    return process.pid


def stop_process(pid: int, timeout_s: float = 10.0) -> bool:
    """Send SIGTERM to the process group of ``pid``, and SIGKILL if it still runs after
    ``timeout_s``; returns whether there was such a group.
    """
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(pid, number)
        except (ProcessLookupError, PermissionError):
            return number == signal.SIGKILL
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)  # otherwise a dead child counts as running
            if not is_alive(pid):
                return True
            time.sleep(_POLL_S)
    return True


def children(pid: int) -> list[int]:
    """The processes that ``pid`` started; an empty list on systems without ``/proc``."""
    pids: list[int] = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            pids += [int(child) for child in path.read_text(encoding="utf-8").split()]
    return pids


def environment_of(pid: int) -> dict[str, str]:
    """The environment that ``pid`` started with; empty on systems without ``/proc``."""
    try:
        entries = Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace").split("\0")
    except OSError:  # it is gone, or another user's
        return {}
    return dict(entry.split("=", 1) for entry in entries if "=" in entry)


def wait_until_gone(pids: Iterable[int], timeout_s: float) -> None:
    """Wait until none of the processes runs, ``timeout_s`` seconds at most."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline and any(is_alive(pid) for pid in pids):
        time.sleep(_POLL_S)
