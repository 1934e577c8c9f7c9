"""Bring up what scheduled runs need, and take it down: server, work pool, deployments, worker.

Everything here may be called again at any time: what is there already is left as it is.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from core.errors import SuyanError
from core.files import digest, file_sha256, write_json
from core.workspace import Workspace
from flows.installation import ROOT
from flows.server.prefect_server import (
    Server,
    adopt_server,
    detached,
    is_alive,
    prefect_home,
    running_server,
    settings,
    start_server,
    stop_process,
    stop_server,
)

POOL = "local"
_COMMAND_TIMEOUT_S = 300.0
_SAVE_TIMEOUT_S = 120.0  # how long a training may take for one step and a checkpoint
_STAGES = ("flows", "scraping", "preprocessing", "training", "evaluation", "serving")


@dataclass(frozen=True)
class Services:
    """What runs for a workspace."""

    server: Server
    worker_pid: int


def up(workspace: Workspace, console: Console, *, host: str = "127.0.0.1", port: int | None = None,
       redeploy: bool = False) -> Services:  # fmt: skip
    """Bring up everything and print where the UI is.

    Raises ``SuyanError`` with the output of the command that failed, ``ValueError`` for a host
    that is not this machine without authentication.
    """
    if not (ROOT / "prefect.yaml").exists():
        raise SuyanError(
            f"{ROOT} has no prefect.yaml: 'suyan up' runs from a clone of the repository "
            "(make setup), not from an installed package"
        )
    server = _server_up(workspace, console, host, port)
    environment = worker_environment(server, workspace)
    # In a process of its own, here and below: Prefect reads its settings when it is imported.
    _command(environment, sys.executable, "-m", "flows.server.resources")
    console.print(f"Work pool   {POOL}, and the automations of automations.yaml")
    _deploy(server, environment, console, again=redeploy)
    pid = _worker_up(server, environment, console)
    console.print(
        f"\nThe Prefect UI: [bold]{server.ui_url}[/bold]\n"
        f"For Prefect's own commands: export PREFECT_API_URL={server.api_url}\n"
        "Start a run there, or: prefect deployment run pipeline/makeup",
        soft_wrap=True,
    )
    return Services(server, pid)


def down(workspace: Workspace, console: Console) -> None:
    """Stop runs (a training saves first), worker and server; everything is kept."""
    home = prefect_home(workspace)
    pid = worker_pid(home)
    if pid is not None:
        runs = children(pid)
        for run in runs:
            with contextlib.suppress(ProcessLookupError):
                os.kill(run, signal.SIGTERM)
        if runs:
            console.print(f"Runs        {len(runs)} asked to save and stop …")
            _wait_until_gone(runs)
        stop_process(pid)
    (home / "worker.json").unlink(missing_ok=True)
    console.print("Worker      " + ("stopped" if pid else "was not running"))
    stopped = stop_server(workspace)
    console.print("Server      " + ("stopped" if stopped else "was not running"))


def worker_environment(server: Server, workspace: Workspace) -> dict[str, str]:
    """The environment of a worker, and so of the runs that it starts."""
    return {
        "PREFECT_WORKER_QUERY_SECONDS": "5",
        **os.environ,
        **settings(server),
        "SUYAN_HOME": str(workspace.folder.resolve()),
        "PWD": str(ROOT),  # what prefect.yaml takes as the folder of the code
    }


def worker_pid(home: Path) -> int | None:
    """The process of the workspace's worker, when it runs."""
    try:
        pid = int(json.loads((home / "worker.json").read_text())["pid"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return pid if is_alive(pid, "prefect") else None


def deployed_digest(server: Server) -> str:
    """Changes when deployments must be made again: other code, other deployments, other server."""
    files = [ROOT / "prefect.yaml", ROOT / "automations.yaml"]
    files += sorted(path for stage in _STAGES for path in (ROOT / stage).glob("*.py"))
    return digest([str(ROOT), server.api_url, *(file_sha256(path) for path in files)])


def _server_up(workspace: Workspace, console: Console, host: str, port: int | None) -> Server:
    server = running_server(workspace)
    if server is not None:
        adopt_server(workspace)
        if port is not None and not server.ui_url.endswith(f":{port}"):
            console.print(f"[yellow]It runs at {server.ui_url}; 'suyan down' first[/yellow]")
        console.print(f"Server      {server.ui_url} (was running)")
        return server
    console.print("Server      starting …")
    server, _ = start_server(workspace, owner="up", host=host, port=port)
    console.print(f"Server      {server.ui_url}; its log: {server.home / 'server.log'}",
                  soft_wrap=True)  # fmt: skip
    return server


def _deploy(server: Server, environment: dict[str, str], console: Console, *, again: bool) -> None:
    """Make the deployments, unless these very ones are there: what was changed in the UI stays."""
    stamp = server.home / "deployed.json"
    wanted = {"digest": deployed_digest(server)}
    if not again and stamp.exists() and json.loads(stamp.read_text()) == wanted:
        console.print("Deployments up to date")
        return
    stamp.unlink(missing_ok=True)
    _prefect(environment, "deploy", "--all")
    write_json(stamp, wanted)
    console.print("Deployments crawl, refresh-dataset, train, evaluate, pipeline: makeup, seasons")


def _worker_up(server: Server, environment: dict[str, str], console: Console) -> int:
    pid = worker_pid(server.home)
    if pid is not None:
        console.print("Worker      was running")
        return pid
    log = server.home / "worker.log"
    command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", POOL]
    started = detached(command, environment, log, ROOT)
    write_json(server.home / "worker.json", {"pid": started})
    console.print(f"Worker      started; its log: {log}", soft_wrap=True)
    return started


def _prefect(environment: dict[str, str], *arguments: str) -> str:
    return _command(environment, sys.executable, "-m", "prefect", "--no-prompt", *arguments)


def _command(environment: dict[str, str], *command: str) -> str:
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=_COMMAND_TIMEOUT_S,
        check=False,
    )
    output = done.stdout + done.stderr
    if done.returncode:
        raise SuyanError(f"{' '.join(command[1:])} ended with {done.returncode}:\n{output[-3000:]}")
    return output


def children(pid: int) -> list[int]:
    """Processes that ``pid`` started, as far as /proc tells."""
    found: list[int] = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found += [int(child) for child in path.read_text().split()]
    return found


def _wait_until_gone(pids: list[int]) -> None:
    deadline = time.monotonic() + _SAVE_TIMEOUT_S
    while time.monotonic() < deadline and any(is_alive(pid, "") for pid in pids):
        time.sleep(0.2)


@contextlib.contextmanager
def services(workspace: Workspace, console: Console, port: int | None = None) -> Iterator[Services]:
    """``up`` on entering, ``down`` on leaving: for tests and benchmarks."""
    try:
        yield up(workspace, console, port=port)
    finally:
        down(workspace, console)
