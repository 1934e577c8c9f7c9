"""The command ``suyan doctor``: checks of everything that a run needs, each with its remedy."""

from __future__ import annotations

import importlib
import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import typer

from cli.command_group import CommandGroup
from cli.console import OUTPUT, error_text, padded, print_result, print_text
from cli.inventory.machine_findings import (
    TIMEOUT_S,
    Finding,
    compiler_finding,
    device_finding,
    locale_finding,
    named_server_finding,
    proxy_finding,
    torch_finding,
)
from cli.options import WORKSPACE, Recipe, WorkspaceOption, load_parameters
from core.commands import bounded, is_repository, make_command, pip_command, suyan_command
from core.errors import SuyanError
from core.language.messages import localisable, localised
from core.workspace import Workspace

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

    from flows.server.prefect_server import Server
    from scraping.config import CrawlConfig

app = CommandGroup("Prefect and services")
_MIN_PYTHON = (3, 11)
_LOW_DISK_GB, _NO_DISK_GB = 20.0, 2.0
_LARGE_DATABASE_MB = 2000.0
_COLOURS = {
    localisable("ok"): "green", localisable("note"): "yellow", localisable("problem"): "red",
}  # fmt: skip


@app.command()
def doctor(recipe: Recipe = "makeup", workspace: WorkspaceOption = WORKSPACE) -> None:
    """Check versions, ports, disk, models, databases, services and the search; print remedies."""
    if not print_findings(examine(workspace, recipe), OUTPUT):
        raise typer.Exit(1)


def examine(workspace: Workspace, recipe: str) -> Iterator[Finding]:
    """The findings, one check after another; a check that raises gives a finding too.

    Changes nothing in the workspace.
    """
    checks: list[tuple[str, Callable[[], Finding]]] = [
        ("Python", _python),
        ("locale", locale_finding),
        ("packages", _packages),
        ("server code", _server_code),
        ("disk", lambda: _disk(workspace)),
        (localisable("face model"), _face_model),
        ("Inception weights", _inception),
        ("torch", torch_finding),
        ("device", lambda: device_finding(workspace, recipe)),
        ("compiler", compiler_finding),
        ("object storage", lambda: _bucket(workspace)),
        ("catalogue", lambda: _catalogue(workspace)),
        (
            localisable("Prefect database"),
            lambda: _database("Prefect database", workspace.prefect.database),
        ),
        ("server", lambda: _server(workspace)),
        ("worker", lambda: _worker(workspace)),
        ("deployments", lambda: _deployments(workspace)),
        ("access", lambda: _access(workspace)),
        ("proxy", proxy_finding),
        ("search", lambda: _search(workspace, recipe)),
    ]
    for subject, check in checks:
        try:
            yield check()
        except SuyanError as error:
            yield Finding(subject, "problem", error.problem, error.remedy)
        except Exception as error:
            observation = localised("this check failed: {error}", error=error_text(error))
            yield Finding(subject, "problem", observation, localised("Read the message."))


def print_findings(findings: Iterator[Finding], console: Console) -> bool:
    """Print each finding as it comes, its remedy below it; returns whether no problem was found."""
    printed = []
    for finding in findings:
        printed.append(finding)
        level = padded(localised(finding.level), 8)
        subject = padded(localised(finding.subject), 18)
        mark = f"[{_COLOURS[finding.level]}]{level}[/]"
        console.print(f"{mark} [bold]{subject}[/] ", end="")
        print_text(console, finding.observation)
        if finding.remedy:
            print_text(console, f"{'':<28}→ {finding.remedy}")
    num_problems = sum(finding.level == "problem" for finding in printed)
    console.print(
        localised("Problems: ") + (str(num_problems) if num_problems else localised("none"))
    )
    print_result({"findings": printed, "num_problems": num_problems})
    return num_problems == 0


def _python() -> Finding:
    version = platform.python_version()
    if sys.version_info < _MIN_PYTHON:
        return Finding(
            "Python",
            "problem",
            localised("{version}, needed 3.11", version=version),
            make_command("setup"),
        )
    return Finding(
        "Python", "ok", localised("{version} in {prefix}", version=version, prefix=sys.prefix)
    )


def _packages() -> Finding:
    """Compares versions with constraints.txt, whose versions are known to work together; a package
    that was installed without the repository has no such file.
    """
    from importlib.metadata import version

    from flows.installation import ROOT

    names = ("prefect", "fastapi", "torch", "torchvision", "pillow", "albumentations")
    if not (ROOT / "constraints.txt").is_file():
        return Finding("packages", "ok", ", ".join(f"{name} {version(name)}" for name in names[:3]))
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").split()
    tested = dict(line.split("==") for line in lines if "==" in line)
    differing = [
        localised(
            "{name} {installed} (known good: {tested})",
            name=name,
            installed=installed,
            tested=tested[name],
        )
        for name in names
        for installed in [version(name)]
        if name in tested and installed.split("+")[0] != tested[name]
    ]
    if differing:
        return Finding("packages", "note", ", ".join(differing), make_command("clean", "setup"))
    return Finding("packages", "ok", ", ".join(f"{name} {tested[name]}" for name in names[:3]))


def _server_code() -> Finding:
    """Imports the server of Prefect 3.8, which fails with newer versions of FastAPI."""
    try:
        importlib.import_module("prefect.server.api.server")
    except Exception as error:
        remedy = (
            make_command("clean", "setup")  # constraints.txt has the FastAPI that fits
            if is_repository()
            else pip_command(*bounded("prefect", "fastapi", "sqlalchemy"))
        )
        return Finding(
            "server code", "problem", localised("cannot be imported: {error}", error=error), remedy
        )
    return Finding("server code", "ok", localised("can be imported"))


def _disk(workspace: Workspace) -> Finding:
    folder = workspace.folder.resolve()
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    if not os.access(existing, os.W_OK):
        remedy = localised("Choose another folder with --workspace or SUYAN_HOME.")
        return Finding(
            "disk",
            "problem",
            localised("{existing} cannot be written to", existing=existing),
            remedy,
        )
    free_gb = shutil.disk_usage(existing).free / 1e9
    observation = localised("{free:.0f} GB free at {folder}", free=free_gb, folder=folder)
    remedy = localised("A recipe takes about 1 GB of pictures, a training some GB of checkpoints.")
    if free_gb < _NO_DISK_GB:
        return Finding("disk", "problem", observation, remedy)
    if free_gb < _LOW_DISK_GB:
        return Finding("disk", "note", observation, remedy)
    return Finding("disk", "ok", observation)


def _bucket(workspace: Workspace) -> Finding:
    """Writes, reads and removes an object of its own."""
    from storage.remote import address_of, bucket_of, is_shared

    if not is_shared(workspace):
        return Finding("object storage", "ok", localised("not used: the workspace is a folder"))
    bucket = bucket_of(workspace)
    assert bucket is not None
    seconds = bucket.probe()
    observation = localised(
        "{address} can be written to ({ms:.0f} ms a request)",
        address=address_of(workspace),
        ms=1000 * seconds,
    )
    return Finding("object storage", "ok", observation)


def _face_model() -> Finding:
    from preprocessing.analysis.face_network import FaceModel, model_file

    files = [model_file(model).name for model in FaceModel]
    return Finding("face models", "ok", localised(" and ").join(files))


def _inception() -> Finding:
    from evaluation.features.inception import find_weights

    file, remedy = find_weights("cached", None)
    if file is None:
        return Finding(
            "Inception weights",
            "note",
            localised("missing: reports leave Inception figures out"),
            remedy,
        )
    return Finding("Inception weights", "ok", str(file))


def _catalogue(workspace: Workspace) -> Finding:
    from storage.remote import is_shared

    if os.environ.get("SUYAN_CATALOGUE_URL"):
        return Finding(
            "catalogue", "ok", localised("another one (SUYAN_CATALOGUE_URL); not checked")
        )
    if is_shared(workspace):
        remedy = localised("Set SUYAN_CATALOGUE_URL: docs/scaling.md, 'Object storage'.")
        return Finding(
            "catalogue", "problem", localised("none: a bucket holds no database"), remedy
        )
    return _database("catalogue", workspace.catalogue)


def _database(subject: str, path: Path) -> Finding:
    """Opens the file read-only, and checks every page."""
    import sqlite3

    if not path.exists():
        return Finding(subject, "ok", localised("{path}: not created yet", path=path))
    megabytes = sum(part.stat().st_size for part in path.parent.glob(f"{path.name}*")) / 1e6
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=TIMEOUT_S) as connection:
        (state,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    connection.close()
    observation = f"{path}, {megabytes:.0f} MB"
    if state != "ok":
        return Finding(
            subject, "problem", f"{observation}: {state}", localised("Restore a copy of the file.")
        )
    if megabytes > _LARGE_DATABASE_MB:
        remedy = localised("docs/weekly-running.md, 'Retention', describes how to shrink it.")
        return Finding(subject, "note", observation, remedy)
    return Finding(subject, "ok", observation)


def _server(workspace: Workspace) -> Finding:
    from flows.server.prefect_server import running_server

    server = running_server(workspace)
    if server is not None:
        return Finding("server", "ok", server.ui_url)
    if _named_server():
        return named_server_finding()
    if workspace.prefect.server_state.exists():
        return Finding("server", "problem", localised("does not answer any more"), _up(workspace))
    return Finding("server", "note", localised("not running"), _up(workspace))


def _worker(workspace: Workspace) -> Finding:
    from flows.server.services import worker_pid

    folder = workspace.prefect
    if worker_pid(workspace) is not None:
        return Finding(
            "worker",
            "ok",
            localised("running; its log: {log}", log=folder.worker_log),
        )
    if url := _named_server():
        return Finding("worker", "ok", localised("not checked: one of {url}", url=url))
    if folder.worker_state.exists():
        return Finding(
            "worker", "problem", localised("has ended: scheduled runs wait"), _up(workspace)
        )
    return Finding("worker", "note", localised("not running"), _up(workspace))


def _named_server() -> str:
    """The server that commands use in place of the workspace's own, as in a container."""
    from core.proxies import without_password

    return without_password(os.environ.get("PREFECT_API_URL", ""))


def _up(workspace: Workspace) -> str:
    return suyan_command("up", workspace=workspace)


def _deployments(workspace: Workspace) -> Finding:
    from flows.server.prefect_server import running_server
    from flows.server.services import is_deployed

    server = running_server(workspace)
    if server is None and (url := _named_server()):
        return Finding("deployments", "ok", localised("not checked: those of {url}", url=url))
    if server is None:
        return Finding("deployments", "note", localised("unknown without a server"), _up(workspace))
    if not server.folder.deployed.exists():
        return Finding("deployments", "note", localised("not registered"), _up(workspace))
    if not is_deployed(server, workspace):
        return Finding(
            "deployments", "note", localised("older than code or recipes"), _up(workspace)
        )
    return Finding("deployments", "ok", localised("as code and recipes say"))


def _access(workspace: Workspace) -> Finding:
    """Checks whether others can reach the server, through which they could run code."""
    from flows.server.prefect_server import LOOPBACK_HOSTS, running_server

    server = running_server(workspace)
    if server is None or server.host in LOOPBACK_HOSTS:
        return Finding("access", "ok", localised("only this machine (loopback)"))
    if _answers_anybody(server):
        remedy = localised(
            "Set PREFECT_SERVER_API_AUTH_STRING, or let it listen on 127.0.0.1, after {command}",
            command=suyan_command("down", workspace=workspace),
        )
        return Finding(
            "access", "problem", localised("{host}, without a password", host=server.host), remedy
        )
    return Finding("access", "ok", localised("{host}, with a password", host=server.host))


def _answers_anybody(server: Server) -> bool:
    import urllib.error

    from flows.server.prefect_server import open_directly

    try:
        return open_directly(f"{server.api_url}/version", TIMEOUT_S) == 200
    except urllib.error.HTTPError:
        return False


def _search(workspace: Workspace, recipe: str) -> Finding:
    """Sends one harmless request to the search engine's home page."""
    return search_finding(load_parameters(recipe, workspace=workspace).crawl_a)


def search_finding(config: CrawlConfig) -> Finding:
    """Whether a crawl's engines answer: the first problem (no answer) or note (a refusal)."""
    from core.errors import TransientError, UnknownHostError
    from scraping.search.client import SearchClient
    from scraping.search.engines import build_engines

    limits = {"num_tries": 1, "total_timeout_s": TIMEOUT_S}
    engines = build_engines(config)
    engine = engines[0]
    try:
        for engine in engines:
            SearchClient(config.model_copy(update=limits), engine).check()
    except (TransientError, UnknownHostError) as error:
        remedy = localised(
            "Check the network, its name server, and a proxy (https_proxy). Without a network: "
            "{command}",
            command=suyan_command("demo"),
        )
        return Finding("search", "problem", f"{engine.url}: {error.problem}", remedy)
    except SuyanError as error:
        return Finding("search", "note", f"{engine.url}: {error.problem}", error.remedy)
    urls = localised(" and ").join(each.url for each in engines)
    answer = (
        localised("{urls} answers", urls=urls)
        if len(engines) == 1
        else localised("{urls} answer", urls=urls)
    )
    return Finding("search", "ok", answer)
