"""The services on which faults are inflicted: a workspace's server, its worker and their runs."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import State
from prefect.settings import PREFECT_API_URL, PREFECT_HOME, temporary_settings
from prefect.states import Cancelling
from rich.console import Console

from core.files import load_json
from core.locks import is_alive
from core.workspace import Workspace
from flows.server.prefect_server import running_server
from flows.server.processes import children
from flows.server.services import down, up, worker_pid

PORT = 4790


class Stand:
    """A server and a worker that can be killed, and a client of the server."""

    def __init__(self, home: Path, port: int = PORT) -> None:
        self.home, self._port = home, port
        self._log = Console(file=io.StringIO())

    def up(self) -> None:
        """Start the services that do not run."""
        up(Workspace(self.home), self._log, port=self._port)

    def allow(self, num: int, *limits: str) -> None:
        """Give each limit ``num`` slots, so that no run waits for the slot of a killed one."""
        with self.client() as client:
            for name in limits:
                limit = GlobalConcurrencyLimitCreate(name=name, limit=num)
                client.create_global_concurrency_limit(limit)

    def down(self) -> None:
        """Stop everything as ``suyan down`` does."""
        down(Workspace(self.home), self._log)

    @property
    def worker(self) -> int:
        pid = worker_pid(Workspace(self.home))
        assert pid is not None
        return pid

    @property
    def server(self) -> int:
        """The leader of the server's process group."""
        return int(load_json(Workspace(self.home).prefect.server_state)["pid"])

    def runs(self) -> list[int]:
        """The processes of flow runs."""
        return children(self.worker)

    def kill(self, *pids: int, number: int = signal.SIGKILL) -> None:
        """Send the signal and wait until the processes have ended."""
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        self.wait(lambda: not any(is_alive(pid) for pid in pids), "processes to end")

    def kill_server(self, number: int = signal.SIGKILL) -> None:
        """Send the signal to the server and its children, and wait until the server has ended."""
        pid = self.server
        os.killpg(pid, number)
        self.wait(lambda: not is_alive(pid), "the server to end")

    @contextlib.contextmanager
    def client(self) -> Iterator[SyncPrefectClient]:
        server = running_server(Workspace(self.home))
        assert server is not None
        settings = {PREFECT_API_URL: server.api_url, PREFECT_HOME: server.home}
        with temporary_settings(updates=settings), get_client(sync_client=True) as client:
            yield client

    def start(self, deployment: str, parameters: dict[str, Any]) -> UUID:
        with self.client() as client:
            deployed = client.read_deployment_by_name(deployment)
            return client.create_flow_run_from_deployment(deployed.id, parameters=parameters).id

    def state(self, run: UUID) -> State[Any]:
        with self.client() as client:
            state = client.read_flow_run(run).state
        assert state is not None
        return state

    def is_in_task(self, run: UUID, name: str) -> bool:
        """Whether a task whose name begins with ``name`` is running."""
        this_run = FlowRunFilter(id=FlowRunFilterId(any_=[run]))
        with self.client() as client:
            tasks = client.read_task_runs(flow_run_filter=this_run)
        return any(
            task.name.startswith(name) and task.state is not None and task.state.is_running()
            for task in tasks
        )

    def cancel(self, run: UUID) -> None:
        """Cancel the run as the button in the UI does."""
        with self.client() as client:
            client.set_flow_run_state(run, Cancelling())

    def wait_for(self, run: UUID, timeout_s: float = 300, every_s: float = 0.1) -> State[Any]:
        """The run's final state."""
        self.wait(lambda: self.state(run).is_final(), "a final state", timeout_s, every_s)
        return self.state(run)

    def wait(
        self, condition: Callable[[], bool], name: str, timeout_s: float = 120, every_s: float = 0.1
    ) -> None:
        """Wait for the condition; raises ``TimeoutError`` that calls it ``name``."""
        deadline = time.monotonic() + timeout_s
        while not condition():
            if time.monotonic() > deadline:
                raise TimeoutError(f"waited {timeout_s:.0f} s in vain for {name}")
            time.sleep(every_s)
