"""A rehearsal: a deployment at the least size, through server and worker, on drawn people.

It needs no network, and uses the services of ``suyan up`` as a real run does.
"""

from __future__ import annotations

import contextlib
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterable, Iterator

from rich.console import Console

from core.commands import suyan_command
from core.errors import SuyanError
from core.workspace import Workspace
from flows.installation import ROOT
from flows.server.services import Services, services, up, worker_environment, worker_pid
from scraping.offline.corpus import portrait_corpus
from scraping.offline.server import OfflineEngine

DEPLOYMENT = "pipeline/makeup"
_NUM_DRAWN = 60  # people of each domain, as many as a trial searches for
_LONGEST_LINE = 1000  # characters, so that no message is cut into several lines
_LOGGED = re.compile(r"▪ +[\d:.]+ +\S+ (.*)")
_OF_PREFECT = re.compile(
    r"Beginning |Finished in state |Created |Worker '|Opening process|Process |Executing |Download"
)
_PORT = 8770  # of the engine; fixed, so that a second rehearsal finds the first one's work


def rehearse(workspace: Workspace, console: Console, *, is_verbose: bool = False) -> None:
    """Start the services and the offline engine, run ``pipeline/makeup``, and follow the run.

    The run's own log lines are printed; with ``is_verbose`` Prefect's events and lines too.
    Services that were not running are stopped at the end, so that no scheduled run follows. Raises
    ``SuyanError`` when the run does not complete.
    """
    with (
        _running(workspace, console) as running,
        OfflineEngine(portrait_corpus(num_good=_NUM_DRAWN), port=_PORT) as engine,
    ):
        arguments = deployment_run(engine.url)
        console.print(f"\nThe offline engine: {engine.url}; the run:", soft_wrap=True)
        console.print(f"    {shlex.join(['prefect', *arguments])}\n", soft_wrap=True, markup=False)
        with subprocess.Popen(
            [sys.executable, "-m", "prefect", "--no-prompt", *arguments],
            cwd=ROOT,
            env=worker_environment(running.server, workspace) | {"COLUMNS": str(_LONGEST_LINE)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as watching:
            assert watching.stdout is not None
            for line in watching.stdout if is_verbose else own_lines(watching.stdout):
                console.print(line.rstrip(), soft_wrap=True, markup=False, highlight=False)
    if watching.returncode:
        raise SuyanError(
            "the rehearsal's run did not complete",
            remedy=f"'{suyan_command('ui', workspace=workspace)}' shows why",
        )


def own_lines(lines: Iterable[str]) -> Iterator[str]:
    """The messages of the run's log among the lines of ``prefect deployment run --watch``.

    Events, times and numbers of runs are left out, and so are Prefect's own messages.
    """
    is_own = False
    for line in lines:
        logged = _LOGGED.match(line)
        if logged:
            is_own = not _OF_PREFECT.match(logged[1])
            if is_own:
                yield logged[1]
        elif line.startswith(" ") and is_own:  # of a message of several lines
            yield line.strip()
        else:
            is_own = False


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
