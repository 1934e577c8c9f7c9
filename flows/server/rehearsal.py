"""A rehearsal: a deployment at the least size, through server and worker, on drawn people.

It needs no network, and uses the services of ``suyan up`` as a real run does.
"""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING
from uuid import UUID

from rich.console import Console

from core.commands import prefect_command, suyan_command
from core.errors import SuyanError
from core.language.messages import localised
from core.workspace import Workspace
from flows.installation import ROOT
from flows.server.processes import children, wait_until_gone
from flows.server.services import Services, services, up, worker_environment, worker_pid
from scraping.offline.corpus import portrait_corpus
from scraping.offline.server import OfflineEngine

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import Log

DEPLOYMENT = "pipeline/makeup"
_NUM_DRAWN = 60  # people of each domain, as many as a trial searches for
_POLL_S = 2.0
_END_S = 30.0  # in which the process of a run that completed ends
_LINES_PER_PAGE = 200  # of a log, in one request
_RUN = re.compile(r"UUID: ([0-9a-f-]{36})")
_OF_PREFECT = re.compile(
    r"Beginning |Finished in state |Created |Worker '|Opening process|Process |Executing |Download|"
    r"Flow run '|Running \d+ deployment|Deployment step|All deployment steps"
)
_PORT = 8770  # of the engine; fixed, so that a second rehearsal finds the first one's work


def rehearse(workspace: Workspace, console: Console, *, is_verbose: bool = False) -> None:
    """Start the services and the offline engine, run ``pipeline/makeup``, and follow the run.

    The messages of the run's log are printed; with ``is_verbose`` all that Prefect prints.
    Services that were not running are stopped at the end, so that no scheduled run follows. Raises
    ``SuyanError`` when the run does not complete.
    """
    with (
        _running(workspace, console) as running,
        OfflineEngine(portrait_corpus(num_good=_NUM_DRAWN), port=_PORT) as engine,
    ):
        arguments = deployment_run(engine.url)
        console.print(
            localised("\nThe offline engine: {url}; the run:", url=engine.url), soft_wrap=True
        )
        line = prefect_command(*arguments, api_url=running.server.api_url)
        console.print(f"    {line}\n", soft_wrap=True, markup=False, highlight=False)
        command = [sys.executable, "-m", "prefect", "--no-prompt", *arguments]
        environment = worker_environment(running.server, workspace)
        if is_verbose:
            output = sys.stderr if console.stderr else None
            status = subprocess.call(command, cwd=ROOT, env=environment, stdout=output)
            is_completed = status == 0
        else:
            command.remove("--watch")
            done = subprocess.run(
                command, cwd=ROOT, env=environment, check=False, capture_output=True, text=True
            )
            is_completed = _follow(done.stdout + done.stderr, running, console)
        wait_until_gone(children(running.worker_pid), _END_S)  # not stopped as if it still worked
    if not is_completed:
        raise SuyanError(
            localised("the rehearsal's run did not complete"),
            remedy=localised(
                "'{command}' shows why", command=suyan_command("ui", workspace=workspace)
            ),
        )


def _follow(output: str, running: Services, console: Console) -> bool:
    """Print the messages of the run that ``output`` names until it ends; whether it completed."""
    from prefect.client.orchestration import get_client
    from prefect.settings import PREFECT_API_URL, temporary_settings

    started = _RUN.search(output)
    if started is None:
        console.print(output, soft_wrap=True, markup=False)
        return False
    run, read_ids = UUID(started[1]), set[UUID]()
    settings = {PREFECT_API_URL: running.server.api_url}
    with temporary_settings(updates=settings), get_client(sync_client=True) as client:
        is_final = False
        while not is_final:
            time.sleep(_POLL_S)  # first, so that the last lines of a run have arrived
            state = client.read_flow_run(run).state
            is_final = state is not None and state.is_final()
            for log in _new_logs(client, run, read_ids):
                if not _OF_PREFECT.match(log.message):
                    console.print(log.message, soft_wrap=True, markup=False, highlight=False)
    return state is not None and state.is_completed()


def _new_logs(client: SyncPrefectClient, run: UUID, read_ids: set[UUID]) -> Iterator[Log]:
    """The run's log lines that were not read before, in the order of their times.

    Lines of different processes arrive out of order, so some are read twice.
    """
    from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId
    from prefect.client.schemas.sorting import LogSort

    of_run = LogFilter(flow_run_id=LogFilterFlowRunId(any_=[run]))
    offset, page = max(0, len(read_ids) - _LINES_PER_PAGE // 2), None
    while page is None or len(page) == _LINES_PER_PAGE:
        page = client.read_logs(of_run, _LINES_PER_PAGE, offset, LogSort.TIMESTAMP_ASC)
        yield from (log for log in page if log.id not in read_ids)
        read_ids |= {log.id for log in page}
        offset += len(page)


def deployment_run(engine_url: str) -> list[str]:
    """The arguments of ``prefect`` that run the deployment against the engine at ``engine_url``."""
    crawl = {
        "engine_url": engine_url,
        "allow_private_hosts": True,
        "requests_per_s_per_host": 100,  # the engine serves only this crawl
        "search_interval_s": 0.1,
    }
    return [
        *("deployment", "run", DEPLOYMENT, "--param", "preset=trial"),
        *("--param", f"parameters={json.dumps({'crawl': crawl})}", "--watch"),
    ]


@contextlib.contextmanager
def _running(workspace: Workspace, console: Console) -> Iterator[Services]:
    if worker_pid(workspace) is not None:
        yield up(workspace, console)
        return
    with services(workspace, console) as started:
        yield started
