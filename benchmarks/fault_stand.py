"""Where faults are inflicted: a workspace's server and worker, runs started on them, processes."""

from __future__ import annotations

import contextlib
import io
import json
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

from core.locks import is_alive
from core.workspace import Workspace
from flows.server.prefect_server import running_server
from flows.server.processes import children
from flows.server.services import down, up, worker_pid

PORT = 4790


class Stand:
    """Services that can be hurt, and a client of their server."""

    def __init__(self, home: Path, port: int = PORT) -> None:
        self.home, self._port = home, port
        self._log = Console(file=io.StringIO())

    def up(self) -> None:
        """Bring up whatever does not run."""
        up(Workspace(self.home), self._log, port=self._port)

    def allow(self, num: int, *limits: str) -> None:
        """As many at a time: else who comes after a kill waits a minute for the dead one's slot."""
        with self.client() as client:
            for name in limits:
                limit = GlobalConcurrencyLimitCreate(name=name, limit=num)
                client.create_global_concurrency_limit(limit)

    def down(self) -> None:
        """As a person would: suyan down."""
        down(Workspace(self.home), self._log)

    @property
    def worker(self) -> int:
        pid = worker_pid(self.home / "prefect")
        assert pid is not None
        return pid

    @property
    def server(self) -> int:
        """The leader of the server's process group."""
        return int(json.loads((self.home / "prefect" / "server.json").read_text())["pid"])

    def runs(self) -> list[int]:
        """Processes of flow runs."""
        return children(self.worker)

    def kill(self, *pids: int, number: int = signal.SIGKILL) -> None:
        """Send the signal and wait until they are gone."""
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        self.wait(lambda: not any(is_alive(pid) for pid in pids), "processes to end")

    def kill_server(self, number: int = signal.SIGKILL) -> None:
        """The server and what it started."""
        pid = self.server
        os.killpg(pid, number)
        self.wait(lambda: not is_alive(pid), "the server to end")

    @contextlib.contextmanager
    def client(self) -> Iterator[SyncPrefectClient]:
        server = running_server(Workspace(self.home))
        assert server is not None
        told = {PREFECT_API_URL: server.api_url, PREFECT_HOME: server.home}
        with temporary_settings(updates=told), get_client(sync_client=True) as client:
            yield client

    def start(self, deployment: str, parameters: dict[str, Any]) -> UUID:
        with self.client() as client:
            found = client.read_deployment_by_name(deployment)
            return client.create_flow_run_from_deployment(found.id, parameters=parameters).id

    def state(self, run: UUID) -> State[Any]:
        with self.client() as client:
            state = client.read_flow_run(run).state
        assert state is not None
        return state

    def is_in_task(self, run: UUID, name: str) -> bool:
        """Whether a task of that kind is running."""
        wanted = FlowRunFilter(id=FlowRunFilterId(any_=[run]))
        with self.client() as client:
            tasks = client.read_task_runs(flow_run_filter=wanted)
        return any(
            task.name.startswith(name) and task.state is not None and task.state.is_running()
            for task in tasks
        )

    def cancel(self, run: UUID) -> None:
        """What the button in the UI does."""
        with self.client() as client:
            client.set_flow_run_state(run, Cancelling())

    def wait_for(self, run: UUID, timeout_s: float = 300, every_s: float = 0.1) -> State[Any]:
        """The run's final state."""
        self.wait(lambda: self.state(run).is_final(), "a final state", timeout_s, every_s)
        return self.state(run)

    def wait(
        self, what: Callable[[], bool], name: str, timeout_s: float = 120, every_s: float = 0.1
    ) -> None:
        deadline = time.monotonic() + timeout_s
        while not what():
            if time.monotonic() > deadline:
                raise TimeoutError(f"waited {timeout_s:.0f} s in vain for {name}")
            time.sleep(every_s)
