"""A rehearsal: a deployment at the least size, through server and worker, on drawn people.

It needs no network, and uses the services of ``suyan up`` as a real run does.
"""

from __future__ import annotations

import contextlib
import json
import shlex
import subprocess
import sys
from collections.abc import Iterator

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
_PORT = 8770  # of the engine; fixed, so that a second rehearsal finds the first one's work


def rehearse(workspace: Workspace, console: Console) -> None:
    """Start the services and the offline engine, run ``pipeline/makeup``, and follow the run.

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
        done = subprocess.run(
            [sys.executable, "-m", "prefect", "--no-prompt", *arguments],
            cwd=ROOT,
            env=worker_environment(running.server, workspace),
            check=False,
        )
    if done.returncode:
        raise SuyanError(
            "the rehearsal's run did not complete",
            remedy=f"'{suyan_command('ui', workspace=workspace)}' shows why",
        )


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
