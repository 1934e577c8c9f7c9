"""A Prefect server for one workspace, on loopback, with its database in the workspace.

It takes the first free port from 4200 on, and so does not disturb other Prefect servers of this
machine. `suyan run` and `suyan ui` start a server and stop it when they end; a server of `suyan up`
stays, and `suyan up` takes over a running one (``owner`` in the server's state). A workspace has
one server.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

import psutil

from core.errors import SuyanError
from core.files import try_load_json, write_json
from core.language.messages import localised
from core.locks import is_alive
from core.proxies import loopback_exemption
from core.workspace import Workspace
from core.workspace_folders import PrefectFolder
from flows.installation import PACKAGES
from flows.server.processes import start_detached, stop_process

Owner = Literal["up", "command"]
"""The owner of a server, which stops it: ``suyan down``, or the command that started it."""

_LOOPBACK = "127.0.0.1"
LOOPBACK_HOSTS = (_LOOPBACK, "localhost", "::1")
_WILDCARD_HOSTS = ("0.0.0.0", "::")  # addresses that this machine reaches by loopback
_FIRST_PORT = 4200
_NUM_PORTS = 100
_START_TIMEOUT_S = 300.0  # long, because imports are slow on a busy machine
_HEALTH_TIMEOUT_S = 2.0
_POLL_S = 0.3
_LOG_TAIL = 2000  # characters that an error quotes


@dataclass(frozen=True)
class Server:
    """A running Prefect server: its addresses, and whether this process started it."""

    ui_url: str
    api_url: str
    home: Path  # its PREFECT_HOME
    started_here: bool
    host: str = _LOOPBACK  # address that it listens on

    @property
    def folder(self) -> PrefectFolder:
        """Its state, logs and database."""
        return PrefectFolder(self.home)


@dataclass(frozen=True)
class _State:
    """The state of a workspace's server, as it is saved."""

    pid: int
    port: int
    host: str
    owner: Owner


def _do_nothing() -> None: ...


@contextlib.contextmanager
def local_server(
    workspace: Workspace, *, meanwhile: Callable[[], None] = _do_nothing
) -> Iterator[Server]:
    """The workspace's Prefect server during the block; it is started if none runs.

    ``meanwhile`` is called before the block, while the server starts; again where it must start on
    another port. A server that was started here is stopped afterwards, unless ``suyan up`` took it
    over. Raises ``SuyanError`` with the end of the server's log when it does not start.
    """
    running = running_server(workspace)
    if running is not None:
        meanwhile()
        yield running
        return
    server, pid = start_server(workspace, owner="command", meanwhile=meanwhile)
    try:
        yield server
    finally:
        state = _load_state(workspace)
        if state is None or state.owner != "up":
            workspace.prefect.server_state.unlink(missing_ok=True)
            stop_process(pid)


def running_server(workspace: Workspace) -> Server | None:
    """The workspace's server, if it runs and answers."""
    state = _load_state(workspace)
    if state is None or not is_alive(state.pid, "prefect"):
        return None
    if not _is_healthy(state.host, state.port):
        return None
    return _server(workspace, state.host, state.port, started_here=False)


def start_server(
    workspace: Workspace,
    *,
    owner: Owner,
    host: str = _LOOPBACK,
    port: int | None = None,
    meanwhile: Callable[[], None] = _do_nothing,
) -> tuple[Server, int]:
    """Start a server that outlives this process; returns it and its pid once it answers.

    ``meanwhile`` is called while it starts.

    Raises ``SuyanError`` with the end of the server's log when it does not start, ``ValueError``
    for a ``host`` beyond this machine without ``PREFECT_SERVER_API_AUTH_STRING``.
    """
    if host not in LOOPBACK_HOSTS and not os.environ.get("PREFECT_SERVER_API_AUTH_STRING"):
        raise ValueError(
            localised(
                "--host: got {host!r}, where others could reach the server and run code "
                "through it; needed PREFECT_SERVER_API_AUTH_STRING=user:password in the "
                "environment first (and the same as PREFECT_API_AUTH_STRING for its users)",
                host=host,
            )
        )
    while True:
        chosen = port or _free_port()
        try:
            return _start(workspace, owner, host, chosen, meanwhile)
        except SuyanError:
            if port is not None or _is_free(chosen):
                raise
            # otherwise another program was faster: try the next port


def _start(
    workspace: Workspace, owner: Owner, host: str, port: int, meanwhile: Callable[[], None]
) -> tuple[Server, int]:
    folder = workspace.prefect
    folder.path.mkdir(parents=True, exist_ok=True)
    server = _server(workspace, host, port, started_here=True)
    pid = start_detached(
        [sys.executable, "-m", "prefect", "server", "start", "--host", host, "--port", str(port)],
        {**os.environ, **client_environment(server), **_server_environment(server)},
        folder.server_log,
        folder.path,
    )
    try:
        meanwhile()
        _wait_until_healthy(pid, port, host, folder.server_log)
        _save_state(workspace, _State(pid, port, host, owner))
    except BaseException:
        stop_process(pid)
        raise
    return server, pid


def adopt_server(workspace: Workspace) -> None:
    """Let a running server outlive the command that started it."""
    state = _load_state(workspace)
    if state is not None:
        _save_state(workspace, replace(state, owner="up"))


def stop_server(workspace: Workspace) -> bool:
    """Stop the workspace's server; returns whether there was one."""
    state = _load_state(workspace)
    workspace.prefect.server_state.unlink(missing_ok=True)
    return state is not None and is_alive(state.pid, "prefect") and stop_process(state.pid)


def client_environment(server: Server) -> dict[str, str]:
    """Environment variables by which Prefect, here or in a child process, uses ``server``.

    The environment may set the variables of the heartbeat and of the logs to other values. The
    server is asked without a proxy.
    """
    defaults = {
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",  # seconds; automations.yaml depends on it
        "PREFECT_LOGGING_EXTRA_LOGGERS": ",".join(PACKAGES),
        "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
    }
    return {
        **{name: os.environ.get(name, value) for name, value in defaults.items()},
        **loopback_exemption(os.environ, server.host),
        "PREFECT_API_URL": server.api_url,
        "PREFECT_HOME": str(server.home),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
    }


def _server_environment(server: Server) -> dict[str, str]:
    """Further variables of the server itself; the environment may set each to another value."""
    defaults = {
        "PREFECT_SERVER_UI_V2_ENABLED": "false",  # version 1 needs no internet
        "PREFECT_UI_API_URL": server.api_url,
        # Otherwise any page open in a browser could talk to a server on loopback:
        "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": server.ui_url,
        "PREFECT_SERVER_CSRF_PROTECTION_ENABLED": "true",
        # A run that waits for approval ends its waiting itself, and goes on:
        "PREFECT_SERVER_SERVICES_PAUSE_EXPIRATIONS_ENABLED": "false",
        # Slots that runs hold survive a restart of the server:
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": (
            "prefect.server.concurrency.lease_storage.filesystem"
        ),
        # Runs leave the database after 90 days, events after 7:
        "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "events,flow_runs",
    }
    return {name: os.environ.get(name, value) for name, value in defaults.items()}


def _server(workspace: Workspace, host: str, port: int, *, started_here: bool) -> Server:
    url = _url(host, port)
    return Server(
        ui_url=url,
        api_url=f"{url}/api",
        home=workspace.prefect.path,
        started_here=started_here,
        host=host,
    )


def _url(host: str, port: int) -> str:
    return f"http://{_LOOPBACK if host in _WILDCARD_HOSTS else host}:{port}"


def _load_state(workspace: Workspace) -> _State | None:
    """The state as it was saved; ``None`` where it is missing or torn."""
    values = try_load_json(workspace.prefect.server_state) or {}
    try:
        return _State(
            pid=int(values["pid"]),
            port=int(values["port"]),
            host=str(values.get("host", _LOOPBACK)),
            owner="up" if values.get("owner") == "up" else "command",
        )
    except (KeyError, ValueError, TypeError):
        return None


def _save_state(workspace: Workspace, state: _State) -> None:
    write_json(workspace.prefect.server_state, asdict(state))


def _is_healthy(host: str, port: int) -> bool:
    url = f"{_url(host, port)}/api/health"
    try:
        return open_directly(url, _HEALTH_TIMEOUT_S) == 200
    except OSError:
        return False


def open_directly(url: str, timeout_s: float) -> int:
    """The status of a GET without a proxy.

    Raises ``urllib.error.HTTPError`` for one of 400 or more, ``OSError`` without an answer.
    """
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=timeout_s) as answer:
        return int(answer.status)


def _free_port() -> int:
    last = _FIRST_PORT + _NUM_PORTS - 1
    for port in range(_FIRST_PORT, last + 1):
        if _is_free(port):
            return port
    raise SuyanError(
        localised(
            "found no free port between {first} and {last}, needed one for the "
            "Prefect server: stop other programs, or choose another one for the command "
            "up with --port",
            first=_FIRST_PORT,
            last=last,
        )
    )


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server itself does
        try:
            probe.bind((_LOOPBACK, port))
        except OSError:
            return False
    return True


def _wait_until_healthy(pid: int, port: int, host: str, log: Path) -> None:
    deadline = time.monotonic() + _START_TIMEOUT_S
    while time.monotonic() < deadline:
        if not is_alive(pid):
            break
        if _is_healthy(host, port) and _listens(pid, port):
            return
        time.sleep(_POLL_S)
    tail = log.read_text(encoding="utf-8", errors="replace")[-_LOG_TAIL:]
    raise SuyanError(
        localised(
            "the Prefect server did not come up on port {port}; its log ({log}):\n{tail}",
            port=port,
            log=log,
            tail=tail,
        )
    )


def _listens(pid: int, port: int) -> bool:
    """Whether process ``pid``, or a child of it, listens on ``port``.

    If two servers were started on one port at the same moment, one of them is about to end; the
    answers of the other must not be taken for its own.
    """
    try:
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
        sockets = [connection for member in family for connection in member.net_connections("tcp")]
    except psutil.Error:
        return False
    return any(
        connection.status == psutil.CONN_LISTEN
        and connection.laddr
        and connection.laddr.port == port
        for connection in sockets
    )
