"""The services of scheduled runs: starts and stops server, work pool, deployments and worker.

Every function may be called again at any time: a service that exists is left unchanged.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from core.commands import prefect_command, suyan_command
from core.errors import SuyanError
from core.files import atomic_file, digest, file_sha256, try_load_json, write_json
from core.language.messages import localised
from core.locks import is_alive
from core.workspace import Workspace
from flows.deployments import (
    FLOW_NAMES,
    WORK_POOL,
    build_deployments,
    prefect_yaml,
    schedule_lines,
)
from flows.installation import PACKAGES, ROOT
from flows.recipe_files.library import SHIPPED_NAMES, shipped_recipe, workspace_recipes
from flows.recipe_files.recipe import Recipe
from flows.server.prefect_server import (
    Server,
    adopt_server,
    client_environment,
    running_server,
    start_server,
    stop_server,
)
from flows.server.processes import children, start_detached, stop_process, wait_until_gone

_COMMAND_TIMEOUT_S = 900.0  # on a busy machine; seconds on a quiet one
_SAVE_TIMEOUT_S = 150.0  # more than the worker waits for its runs
_OUTPUT_TAIL = 3000  # characters that an error quotes


@dataclass(frozen=True)
class Services:
    """The running services of a workspace."""

    server: Server
    worker_pid: int


def up(
    workspace: Workspace,
    console: Console,
    *,
    host: str = "127.0.0.1",
    port: int | None = None,
    redeploy: bool = False,
) -> Services:
    """Start all services and print the address of the UI.

    Raises ``SuyanError`` with the output of the command that failed, ``ValueError`` for a host
    beyond this machine without a password, and for a recipe of the workspace that is refused.
    """
    recipes = workspace_recipes(workspace)  # a recipe that is refused stops nothing
    server = _server_up(workspace, console, host, port)
    environment = worker_environment(server, workspace)
    # In a separate process, here and below: Prefect reads its settings when it is imported.
    _command(environment, sys.executable, "-m", "flows.server.resources")
    console.print(
        localised(
            "Work pool   {work_pool}, and the automations of automations.yaml", work_pool=WORK_POOL
        )
    )
    _deploy(server, recipes, environment, console, always=redeploy)
    pid = _worker_up(workspace, environment, console)
    deployment = f"{FLOW_NAMES[0]}/{SHIPPED_NAMES[0]}"
    run = prefect_command("deployment", "run", deployment, api_url=server.api_url)
    console.print(
        localised(
            "\nThe Prefect UI: [bold]{ui_url}[/bold]\nFor Prefect's own commands: export "
            "PREFECT_API_URL={api_url}\nStart a run there, or: {run}",
            ui_url=server.ui_url,
            api_url=server.api_url,
            run=run,
        ),
        soft_wrap=True,
        highlight=False,
    )
    return Services(server, pid)


def down(workspace: Workspace, console: Console) -> dict[str, bool]:
    """Stop runs (a training saves first), worker and server; all files stay.

    Returns whether the ``worker`` and the ``server`` were running.
    """
    pid = worker_pid(workspace)
    if pid is not None:
        if runs := children(pid):
            console.print(localised("Runs        {num} asked to save and stop …", num=len(runs)))
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)  # it has its runs save
        wait_until_gone([pid], _SAVE_TIMEOUT_S)
        stop_process(pid)
    workspace.prefect.worker_state.unlink(missing_ok=True)
    console.print(
        localised("Worker      stopped") if pid else localised("Worker      was not running")
    )
    stopped = stop_server(workspace)
    console.print(
        localised("Server      stopped") if stopped else localised("Server      was not running")
    )
    return {"worker": pid is not None, "server": stopped}


@contextlib.contextmanager
def services(workspace: Workspace, console: Console, port: int | None = None) -> Iterator[Services]:
    """``up`` on entering, ``down`` on leaving: for tests and benchmarks."""
    try:
        yield up(workspace, console, port=port)
    finally:
        down(workspace, console)


def worker_environment(server: Server, workspace: Workspace) -> dict[str, str]:
    """The environment of a worker, and so of the runs that it starts."""
    return {
        "PREFECT_WORKER_QUERY_SECONDS": "5",
        **os.environ,
        **client_environment(server),
        "SUYAN_HOME": str(workspace.folder.resolve()),
        "PWD": str(ROOT),  # prefect_yaml() uses it as the folder of the code
    }


def worker_pid(workspace: Workspace) -> int | None:
    """The pid of the workspace's worker; ``None`` when it does not run."""
    state = try_load_json(workspace.prefect.worker_state) or {}
    pid = state.get("pid")
    return pid if isinstance(pid, int) and is_alive(pid, "prefect") else None


def is_deployed(server: Server, workspace: Workspace) -> bool:
    """Whether the server has the deployments of the present code and of the present recipes.

    Raises ``ValueError`` for a recipe that is refused.
    """
    stamp = _deployed_stamp(server, workspace_recipes(workspace))
    return try_load_json(server.folder.deployed) == stamp


def _deployed_stamp(server: Server, recipes: Iterable[Recipe]) -> dict[str, Any]:
    """Digests of the code and the server, and of the deployments of each of a person's recipes: a
    change makes deploying necessary.
    """
    files: list[Path] = []
    for pattern in ("*.py", "*.yaml"):
        files += sorted(path for package in PACKAGES for path in (ROOT / package).rglob(pattern))
    code = digest([str(ROOT), server.api_url, *(file_sha256(path) for path in files)])
    return {
        "digest": code,
        "recipes": {recipe.name: digest(build_deployments(recipe)) for recipe in recipes},
    }


def _server_up(workspace: Workspace, console: Console, host: str, port: int | None) -> Server:
    server = running_server(workspace)
    if server is not None:
        adopt_server(workspace)
        if port is not None and not server.ui_url.endswith(f":{port}"):
            stop = suyan_command("down", workspace=workspace)
            text = localised(
                "[yellow]It runs at {url} already[/yellow]; for another port, stop it first: "
                "{stop}",
                url=server.ui_url,
                stop=stop,
            )
            console.print(text, soft_wrap=True, highlight=False)
        console.print(localised("Server      {ui_url} (was running)", ui_url=server.ui_url))
        return server
    console.print(localised("Server      starting …"))
    server, _ = start_server(workspace, owner="up", host=host, port=port)
    log = server.folder.server_log
    console.print(
        localised("Server      {ui_url}; its log: {log}", ui_url=server.ui_url, log=log),
        soft_wrap=True,
    )
    return server


def _deploy(
    server: Server,
    recipes: Sequence[Recipe],
    environment: Mapping[str, str],
    console: Console,
    *,
    always: bool,
) -> None:
    """Deploy what changed: everything with the code, a person's recipe with its file. Changes made
    in the UI to other deployments stay.
    """
    file, stamp = server.folder.deployed, _deployed_stamp(server, recipes)
    former = try_load_json(file) or {}
    former_recipes: dict[str, str] = former.get("recipes", {})
    is_new_code = always or former.get("digest") != stamp["digest"]
    changed = [
        recipe
        for recipe in recipes
        if is_new_code or former_recipes.get(recipe.name) != stamp["recipes"][recipe.name]
    ]
    removed = sorted(former_recipes.keys() - stamp["recipes"].keys())
    if not (is_new_code or changed or removed):
        console.print(
            localised(
                "Deployments up to date; schedules are as the page Deployments of the UI shows them"
            )
        )
        return
    # A name leaves this file after its deployments left the server.
    write_json(file, {"recipes": dict.fromkeys(former_recipes | stamp["recipes"], "")})
    if removed:
        _command(environment, sys.executable, "-m", "flows.server.resources", "--remove", *removed)
        rest = localised("their pictures, datasets, runs and models stay")
        console.print(
            localised(
                "Removed     {names}: no such recipe any more; {rest}",
                names=", ".join(removed),
                rest=rest,
            )
        )
    deployed = [shipped_recipe(name) for name in SHIPPED_NAMES] if is_new_code else []
    deployed += changed
    if deployed:
        with atomic_file(server.folder.recipe_deployments) as text:
            text.write(prefect_yaml(deployed).encode())
        deploy = (sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all")
        _command(environment, *deploy, "--prefect-file", str(server.folder.recipe_deployments))
    write_json(file, stamp)
    if deployed:
        names = ", ".join(recipe.name for recipe in deployed)
        console.print(
            localised("Deployments {flows}: {recipes}", flows=", ".join(FLOW_NAMES), recipes=names)
        )
    for line in schedule_lines(deployed, server.api_url):
        console.print(localised("Scheduled   {line}", line=line), soft_wrap=True, highlight=False)


def _worker_up(workspace: Workspace, environment: Mapping[str, str], console: Console) -> int:
    pid = worker_pid(workspace)
    if pid is not None:
        console.print(localised("Worker      was running"))
        return pid
    folder = workspace.prefect
    command = [sys.executable, "-m", "flows.server.prefect_worker"]
    pid = start_detached(command, environment, folder.worker_log, ROOT)
    write_json(folder.worker_state, {"pid": pid})
    console.print(
        localised("Worker      started; its log: {log}", log=folder.worker_log),
        soft_wrap=True,
    )
    return pid


def _command(environment: Mapping[str, str], *command: str) -> str:
    """Run a command in the folder of the code; returns its output."""
    try:
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=environment,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=_COMMAND_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise SuyanError(
            localised(
                "{names} did not end within {seconds:g} s; run the same again when the machine is "
                "less busy",
                names=" ".join(command[1:]),
                seconds=_COMMAND_TIMEOUT_S,
            )
        ) from error
    output = done.stdout + done.stderr
    if done.returncode:
        tail = output[-_OUTPUT_TAIL:]
        raise SuyanError(
            localised(
                "{names} ended with {returncode}:\n{tail}",
                names=" ".join(command[1:]),
                returncode=done.returncode,
                tail=tail,
            )
        )
    return output
