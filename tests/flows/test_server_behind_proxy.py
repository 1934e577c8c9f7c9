"""The workspace's own Prefect server is reached although the environment names a dead proxy."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DEAD = "http://127.0.0.1:9"
_USE = """
import asyncio, os, sys
from pathlib import Path
from core.workspace import Workspace
from flows.server.prefect_server import client_environment, local_server, running_server

async def use():
    from prefect.client.orchestration import get_client
    from prefect.events import Event
    from prefect.events.clients import PrefectEventsClient
    async with get_client() as client:
        print("api", await client.api_healthcheck())
    async with PrefectEventsClient() as events:
        await events.emit(Event(event="suyan.test", resource={"prefect.resource.id": "suyan"}))
    print("events sent")

workspace = Workspace(Path(sys.argv[1]))
with local_server(workspace) as server:
    os.environ.update(client_environment(server))
    print("found", running_server(workspace) is not None)
    asyncio.run(use())
"""


@pytest.mark.slow
def test_start_api_and_events_need_no_proxy(tmp_path: Path) -> None:
    names = ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "ALL_PROXY")
    environment = {
        name: value
        for name, value in os.environ.items()
        if name.lower() != "no_proxy" and not name.startswith("PREFECT_")
    }
    done = subprocess.run(
        [sys.executable, "-c", _USE, str(tmp_path)],
        cwd=ROOT, env=environment | dict.fromkeys(names, DEAD), capture_output=True, text=True,
        check=False, timeout=280,
    )  # fmt: skip
    assert done.stdout.splitlines() == ["found True", "api None", "events sent"], done.stderr
