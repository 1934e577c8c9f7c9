"""A Prefect server of our own, on loopback, with its database in the workspace.

It takes the first free port from 4200 on, so that it never touches another Prefect server of the
same machine. `suyan run` and `suyan ui` start one and stop it on leaving; `suyan up` leaves it
running (``owner`` in ``server.json``), or takes over the one that they started. None is started
twice.
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
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from core.errors import SuyanError
from core.files import write_json
from core.workspace import Workspace

_LOOPBACK = "127.0.0.1"
_OUR_LOGGERS = "core,storage,scraping,preprocessing,training,evaluation,serving,flows"
_LOCAL = (_LOOPBACK, "localhost", "::1")
_ANYWHERE = ("0.0.0.0", "::")  # reached by way of loopback from here
_FIRST_PORT = 4200
_NUM_PORTS = 100
_START_TIMEOUT_S = 300.0  # a busy machine imports slowly


@dataclass(frozen=True)
class Server:
    """Where a running Prefect server answers, and whether this process started it."""

    ui_url: str
    api_url: str
    home: Path  # its PREFECT_HOME
    started_here: bool


@contextlib.contextmanager
def local_server(workspace: Workspace) -> Iterator[Server]:
    """Yield the workspace's Prefect server; one that was started for this is stopped on leaving,
    unless ``suyan up`` has taken it over meanwhile.

    Raises ``SuyanError`` with the end of the server's log when it does not come up.
    """
    home = prefect_home(workspace)
    running = running_server(workspace)
    if running is not None:
        yield running
        return
    server, pid = start_server(workspace, owner="command")
    try:
        yield server
    finally:
        if _state(home).get("owner") != "up":
            (home / "server.json").unlink(missing_ok=True)
            stop_process(pid)


def prefect_home(workspace: Workspace) -> Path:
    """The folder of the workspace's Prefect: database, logs, state of server and worker."""
    return workspace.prefect.resolve()


def running_server(workspace: Workspace) -> Server | None:
    """The server that answers for this workspace already, if there is one."""
    home = prefect_home(workspace)
    state = _state(home)
    try:
        pid, port, host = int(state["pid"]), int(state["port"]), str(state.get("host", _LOOPBACK))
    except (KeyError, ValueError, TypeError):
        return None
    if not is_alive(pid, "prefect") or not _healthy(port, host):
        return None
    return _server(port, home, host, started_here=False)


def start_server(
    workspace: Workspace, *, owner: str, host: str = _LOOPBACK, port: int | None = None
) -> tuple[Server, int]:
    """Start a server that outlives this process; it and its process's number, once it answers.

    ``owner`` is ``"up"`` for one that stays, ``"command"`` for one that its starter stops.

    Raises ``SuyanError`` with the end of the server's log when it does not come up, ``ValueError``
    for a ``host`` beyond this machine without ``PREFECT_SERVER_API_AUTH_STRING``.
    """
    if host not in _LOCAL and not os.environ.get("PREFECT_SERVER_API_AUTH_STRING"):
        raise ValueError(
            f"--host: got {host!r}, where others could reach the server and run code through it; "
            "needed PREFECT_SERVER_API_AUTH_STRING=user:password in the environment first "
            "(and the same as PREFECT_API_AUTH_STRING for who uses it)"
        )
    home = prefect_home(workspace)
    home.mkdir(parents=True, exist_ok=True)
    port = port or _free_port()
    server = _server(port, home, host, started_here=True)
    pid = _start(server, host, port)
    try:
        _wait_until_healthy(pid, port, host, home / "server.log")
        state = {"pid": pid, "port": port, "host": host, "owner": owner}
        write_json(home / "server.json", state)
    except BaseException:
        stop_process(pid)
        raise
    return server, pid


def adopt_server(workspace: Workspace) -> None:
    """Keep a running server beyond the command that started it."""
    home = prefect_home(workspace)
    write_json(home / "server.json", {**_state(home), "owner": "up"})


def stop_server(workspace: Workspace) -> bool:
    """Stop the workspace's server; whether there was one."""
    home = prefect_home(workspace)
    pid = _state(home).get("pid")
    (home / "server.json").unlink(missing_ok=True)
    return isinstance(pid, int) and is_alive(pid, "prefect") and stop_process(pid)


def settings(server: Server) -> dict[str, str]:
    """Environment variables that make Prefect in this or a child process use ``server``.

    What the environment already says about frequency and logs stays.
    """
    chosen = {
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",  # what automations.yaml waits for
        "PREFECT_LOGGING_EXTRA_LOGGERS": _OUR_LOGGERS,
        "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
    }
    return {
        **{name: os.environ.get(name, value) for name, value in chosen.items()},
        "PREFECT_API_URL": server.api_url,
        "PREFECT_HOME": str(server.home),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
    }


def _server_settings(server: Server) -> dict[str, str]:
    """What a server itself is told besides; the environment may say otherwise."""
    chosen = {
        "PREFECT_SERVER_UI_V2_ENABLED": "false",  # the first UI asks nothing of the internet
        "PREFECT_UI_API_URL": server.api_url,
        # Any page open in a browser could else talk to a server on loopback:
        "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": server.ui_url,
        "PREFECT_SERVER_CSRF_PROTECTION_ENABLED": "true",
        # A run that waits for approval ends its waiting itself, and goes on:
        "PREFECT_SERVER_SERVICES_PAUSE_EXPIRATIONS_ENABLED": "false",
        # Slots that are held survive a restart:
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": (
            "prefect.server.concurrency.lease_storage.filesystem"
        ),
        # Runs older than 90 days leave the database, events older than 7:
        "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "events,flow_runs",
    }
    return {name: os.environ.get(name, value) for name, value in chosen.items()}


def _server(port: int, home: Path, host: str, *, started_here: bool) -> Server:
    url = f"http://{_LOOPBACK if host in _ANYWHERE else host}:{port}"
    return Server(ui_url=url, api_url=f"{url}/api", home=home, started_here=started_here)


def _state(home: Path) -> dict[str, Any]:
    try:
        state = json.loads((home / "server.json").read_text())
    except (OSError, ValueError):
        return {}
    return state if isinstance(state, dict) else {}


def is_alive(pid: int, command: str) -> bool:
    """Whether process ``pid`` runs and, where /proc can tell, has ``command`` in its command line:
    after a reboot the number may be another program's.
    """
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    try:
        line = Path(f"/proc/{pid}/cmdline").read_bytes()
        is_zombie = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True
    return command.encode() in line and not is_zombie


def _healthy(port: int, host: str) -> bool:
    address = _LOOPBACK if host in _ANYWHERE else host
    try:
        with urllib.request.urlopen(f"http://{address}:{port}/api/health", timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _free_port() -> int:
    for port in range(_FIRST_PORT, _FIRST_PORT + _NUM_PORTS):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server itself does
            try:
                probe.bind((_LOOPBACK, port))
            except OSError:
                continue
            return port
    raise SuyanError(f"no free port between {_FIRST_PORT} and {_FIRST_PORT + _NUM_PORTS - 1}")


def _start(server: Server, host: str, port: int) -> int:
    command = [sys.executable, "-m", "prefect", "server", "start"]
    return detached(
        [*command, "--host", host, "--port", str(port)],
        {**os.environ, **settings(server), **_server_settings(server)},
        server.home / "server.log",
        server.home,
    )


def detached(command: Sequence[str], environment: dict[str, str], log: Path, folder: Path) -> int:
    """Start a process in a session of its own, so that it outlives us and our Ctrl-C; its number.

    What it says is appended to ``log``.
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
    process.returncode = 0  # else Popen complains that nobody waits for it
    return process.pid


def _wait_until_healthy(pid: int, port: int, host: str, log: Path) -> None:
    deadline = time.monotonic() + _START_TIMEOUT_S
    while time.monotonic() < deadline:
        if not is_alive(pid, ""):
            break
        if _healthy(port, host) and _listens(pid, port):
            return
        time.sleep(0.3)
    tail = log.read_text(errors="replace")[-2000:]
    raise SuyanError(f"the Prefect server did not come up on port {port}; its log ({log}):\n{tail}")


def _listens(pid: int, port: int) -> bool:
    """Whether it is process ``pid``, or a child, that answers: of two servers that were started at
    the same moment on the same port, one is about to end.
    """
    try:
        process = psutil.Process(pid)
        found = [process, *process.children(recursive=True)]
        sockets = [one for member in found for one in member.net_connections("tcp")]
    except psutil.Error:
        return False
    return any(
        one.status == psutil.CONN_LISTEN and one.laddr and one.laddr.port == port for one in sockets
    )


def stop_process(pid: int, patience_s: float = 10.0) -> bool:
    """SIGTERM to the process group of ``pid``, SIGKILL when it stays; whether it ran."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(pid, number)
        except (ProcessLookupError, PermissionError):
            return number == signal.SIGKILL
        deadline = time.monotonic() + patience_s
        while time.monotonic() < deadline:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)  # else our own dead child counts as running
            if not is_alive(pid, ""):
                return True
            time.sleep(0.1)
    return True
