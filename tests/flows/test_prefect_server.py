import http.server
import os
import subprocess
import sys
import threading
import tomllib
from pathlib import Path

import pytest

from core.errors import SuyanError
from core.files import write_json
from core.workspace import Workspace
from flows.server import prefect_server

ROOT = Path(__file__).resolve().parents[2]


def _state(workspace: Path, **values: object) -> None:
    write_json(Workspace(workspace).prefect.server_state, values)


def test_no_server_is_none(tmp_path: Path) -> None:
    assert prefect_server.running_server(Workspace(tmp_path)) is None
    assert prefect_server.stop_server(Workspace(tmp_path)) is False


def test_a_number_that_is_another_program_now_is_no_server(tmp_path: Path) -> None:
    _state(tmp_path, pid=1, port=4200)
    assert prefect_server.running_server(Workspace(tmp_path)) is None
    assert prefect_server.stop_server(Workspace(tmp_path)) is False  # it did not kill process 1


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pid": "x", "port": 1}'])
def test_a_torn_state_file_is_no_server(tmp_path: Path, content: str) -> None:
    _state(tmp_path)
    Workspace(tmp_path).prefect.server_state.write_text(content)
    assert prefect_server.running_server(Workspace(tmp_path)) is None


@pytest.mark.remedy(", where others could reach the server and run code through it; ")
def test_another_host_needs_a_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PREFECT_SERVER_API_AUTH_STRING", raising=False)
    with pytest.raises(ValueError, match="PREFECT_SERVER_API_AUTH_STRING"):
        prefect_server.start_server(Workspace(tmp_path), owner="up", host="0.0.0.0")
    assert not list(tmp_path.iterdir())
    monkeypatch.setenv("PREFECT_SERVER_API_AUTH_STRING", "user:password")
    monkeypatch.setattr(prefect_server, "_start", lambda *arguments: arguments)
    started = prefect_server.start_server(Workspace(tmp_path), owner="up", host="0.0.0.0")
    assert started[2] == "0.0.0.0"


@pytest.mark.remedy("found no free port between ")
def test_a_machine_without_a_free_port_gets_one_by_hand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prefect_server, "_is_free", lambda port: port == 4999)
    monkeypatch.setattr(prefect_server, "_start", lambda *arguments: arguments)
    with pytest.raises(SuyanError, match="another one for the command up with --port"):
        prefect_server.start_server(Workspace(tmp_path), owner="up")
    assert prefect_server.start_server(Workspace(tmp_path), owner="up", port=4999)[3] == 4999


def test_what_is_done_meanwhile_is_done_while_the_server_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace, steps = Workspace(tmp_path), []
    monkeypatch.setattr(prefect_server, "_free_port", lambda: 4999)
    monkeypatch.setattr(prefect_server, "start_detached", lambda *_: steps.append("start") or 42)
    monkeypatch.setattr(prefect_server, "_wait_until_healthy", lambda *_: steps.append("wait"))
    monkeypatch.setattr(prefect_server, "stop_process", lambda pid: steps.append(f"stop {pid}"))
    with prefect_server.local_server(workspace, meanwhile=lambda: steps.append("draw")):
        assert steps == ["start", "draw", "wait"]
    assert steps.pop() == "stop 42"

    def interrupt() -> None:
        raise KeyboardInterrupt

    steps.clear()
    with pytest.raises(KeyboardInterrupt):
        prefect_server.start_server(workspace, owner="command", meanwhile=interrupt)
    assert steps == ["start", "stop 42"]
    assert not workspace.prefect.server_state.exists()


def test_the_environment_may_choose_another_heartbeat(monkeypatch: pytest.MonkeyPatch) -> None:
    server = prefect_server.Server("http://h", "http://h/api", Path("/x"), started_here=False)
    assert prefect_server.client_environment(server)["PREFECT_FLOWS_HEARTBEAT_FREQUENCY"] == "30"
    monkeypatch.setenv("PREFECT_FLOWS_HEARTBEAT_FREQUENCY", "60")
    assert prefect_server.client_environment(server)["PREFECT_FLOWS_HEARTBEAT_FREQUENCY"] == "60"


def test_the_log_of_a_run_has_the_lines_of_every_package() -> None:
    """``storage`` was missing: the list of loggers was typed."""
    server = prefect_server.Server("http://h", "http://h/api", Path("/x"), started_here=False)
    loggers = prefect_server.client_environment(server)["PREFECT_LOGGING_EXTRA_LOGGERS"].split(",")
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert "storage" in packages
    assert packages <= set(loggers)


def test_a_plain_server_is_told_what_up_tells_its_own() -> None:
    """``prefect server start`` in the repository's folder reads its settings from
    pyproject.toml."""
    pyproject = ROOT / "pyproject.toml"
    server = tomllib.loads(pyproject.read_text(encoding="utf-8"))["tool"]["prefect"]["server"]
    ours = prefect_server._server_environment(
        prefect_server.Server("http://h", "http://h/api", Path("/x"), started_here=False)
    )
    cleaned = ",".join(server["services"]["db_vacuum"]["enabled"])
    assert cleaned == ours["PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED"]
    assert server["services"]["pause_expirations"]["enabled"] is False
    assert ours["PREFECT_SERVER_SERVICES_PAUSE_EXPIRATIONS_ENABLED"] == "false"
    lease_storage = server["concurrency"]["lease_storage"]
    assert lease_storage == ours["PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE"]


def test_the_health_of_another_server_on_the_port_is_not_taken_for_ones_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Healthy(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()

    log = tmp_path / "server.log"
    log.write_text("address already in use")
    monkeypatch.setattr(prefect_server, "_START_TIMEOUT_S", 1.0)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Healthy) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        prefect_server._wait_until_healthy(os.getpid(), other.server_port, "127.0.0.1", log)
        late = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        with pytest.raises(SuyanError, match="address already in use"):
            prefect_server._wait_until_healthy(late.pid, other.server_port, "127.0.0.1", log)
        late.kill()
        late.wait()
        other.shutdown()


def test_a_port_that_another_program_took_meanwhile_is_left_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ports = iter((4999, 5000))
    started: list[int] = []

    def start(
        _workspace: Workspace, _owner: str, _host: str, port: int, *_: object
    ) -> tuple[str, int]:
        started.append(port)
        if port == 4999:
            raise SuyanError("address already in use")
        return "server", 1

    monkeypatch.setattr(prefect_server, "_free_port", lambda: next(ports))
    monkeypatch.setattr(prefect_server, "_is_free", lambda port: port != 4999)
    monkeypatch.setattr(prefect_server, "_start", start)
    assert prefect_server.start_server(Workspace(tmp_path), owner="up") == ("server", 1)
    assert started == [4999, 5000]
    with pytest.raises(SuyanError, match="already in use"):
        prefect_server.start_server(Workspace(tmp_path), owner="up", port=4999)
