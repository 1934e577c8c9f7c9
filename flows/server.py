"""A Prefect server of our own, on loopback, for commands that run the pipeline in this process.

It keeps its database in the workspace and takes the first free port from 4200 on, so that it never
touches another Prefect server of the same machine. A server that a `suyan ui` of the same workspace
already started is used, not started twice.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from scraping.records import SuyanError, write_json

_FIRST_PORT = 4200
_NUM_PORTS = 100
_START_TIMEOUT_S = 120.0


@dataclass(frozen=True)
class Server:
    """Where a running Prefect server answers, and whether this process started it."""

    ui_url: str
    api_url: str
    home: Path  # its PREFECT_HOME
    started_here: bool


@contextlib.contextmanager
def local_server(workspace: Path) -> Iterator[Server]:
    """Yield the workspace's Prefect server; one that was started for this is stopped on leaving.

    Raises ``SuyanError`` with the end of the server's log when it does not come up.
    """
    home = workspace.resolve() / "prefect"
    port = _running_port(home)
    if port is not None:
        yield _server(port, home, started_here=False)
        return
    home.mkdir(parents=True, exist_ok=True)
    port = _free_port()
    process = _start(home, port)
    try:
        _wait_until_healthy(process, port, home / "server.log")
        write_json(home / "server.json", {"pid": process.pid, "port": port})
        yield _server(port, home, started_here=True)
    finally:
        (home / "server.json").unlink(missing_ok=True)
        _stop(process)


def settings(server: Server) -> dict[str, str]:
    """Environment variables that make Prefect in this or a child process use ``server``."""
    return {
        "PREFECT_API_URL": server.api_url,
        "PREFECT_HOME": str(server.home),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
    }


def _server(port: int, home: Path, *, started_here: bool) -> Server:
    url = f"http://127.0.0.1:{port}"
    return Server(ui_url=url, api_url=f"{url}/api", home=home, started_here=started_here)


def _running_port(home: Path) -> int | None:
    try:
        state = json.loads((home / "server.json").read_text())
        pid, port = int(state["pid"]), int(state["port"])
        os.kill(pid, 0)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return port if _healthy(port) else None


def _healthy(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/health", timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _free_port() -> int:
    for port in range(_FIRST_PORT, _FIRST_PORT + _NUM_PORTS):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise SuyanError(f"no free port between {_FIRST_PORT} and {_FIRST_PORT + _NUM_PORTS - 1}")


def _start(home: Path, port: int) -> subprocess.Popen[bytes]:
    environment = {
        **os.environ,
        **settings(_server(port, home, started_here=True)),
        "PREFECT_SERVER_UI_V2_ENABLED": "false",  # the first UI asks nothing of the internet
        "PREFECT_UI_API_URL": f"http://127.0.0.1:{port}/api",
    }
    command = [sys.executable, "-m", "prefect", "server", "start"]
    with (home / "server.log").open("ab") as log:
        return subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", str(port)],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C is for the pipeline, which still talks to the server
        )


def _wait_until_healthy(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + _START_TIMEOUT_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        if _healthy(port):
            return
        time.sleep(0.3)
    tail = log.read_text(errors="replace")[-2000:]
    raise SuyanError(f"the Prefect server did not come up on port {port}; its log ({log}):\n{tail}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
