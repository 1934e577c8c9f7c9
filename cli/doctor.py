"""Is everything here that a run needs? Each finding says what was found and what to do about it."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import shutil
import sqlite3
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rich.console import Console

from core.errors import SuyanError
from core.workspace import Workspace
from flows.installation import ROOT
from flows.server.prefect_server import Server, prefect_home, running_server
from storage.remote import is_shared

Level = Literal["ok", "note", "problem"]
_MIN_PYTHON = (3, 11)
_LOW_DISK_GB, _NO_DISK_GB = 20.0, 2.0
_LARGE_DATABASE_MB = 2000.0
_TIMEOUT_S = 8.0
_COLOURS = {"ok": "green", "note": "yellow", "problem": "red"}


@dataclass(frozen=True)
class Finding:
    """``level``: ok; note, which may be as you want it; problem, which keeps runs from working."""

    what: str
    level: Level
    found: str
    remedy: str = ""


def examine(workspace: Workspace, recipe: str) -> Iterator[Finding]:
    """Findings, one check after another; a check that breaks is a finding too. Leaves all as
    it was.
    """
    checks: list[tuple[str, Callable[[], Finding]]] = [
        ("Python", _python),
        ("packages", _packages),
        ("server code", _server_code),
        ("disk", lambda: _disk(workspace)),
        ("face model", _face_model),
        ("Inception weights", _inception),
        ("device", _device),
        ("object storage", lambda: _bucket(workspace)),
        ("catalogue", lambda: _database(workspace / "catalogue.sqlite", "catalogue")),
        ("Prefect database", lambda: _database(prefect_home(workspace) / "prefect.db",
                                               "Prefect database")),
        ("server", lambda: _server(workspace)),
        ("worker", lambda: _worker(workspace)),
        ("deployments", lambda: _deployments(workspace)),
        ("access", lambda: _access(workspace)),
        ("search", lambda: _search(recipe)),
    ]  # fmt: skip
    for what, check in checks:
        try:
            yield check()
        except Exception as error:
            yield Finding(what, "problem", f"{type(error).__name__}: {error}", "Read the message.")


def print_findings(findings: Iterator[Finding], console: Console) -> bool:
    """Print each as it comes, what to do beneath it; whether there was no problem."""
    problems = 0
    for finding in findings:
        mark = f"[{_COLOURS[finding.level]}]{finding.level:<8}[/]"
        console.print(f"{mark} [bold]{finding.what:<18}[/] ", end="")
        console.print(finding.found, markup=False, highlight=False, soft_wrap=True)
        if finding.remedy:
            text = f"{'':<28}→ {finding.remedy}"
            console.print(text, markup=False, highlight=False, soft_wrap=True)
        problems += finding.level == "problem"
    console.print("Problems: " + (str(problems) if problems else "none"))
    return problems == 0


def _python() -> Finding:
    found = platform.python_version()
    if sys.version_info < _MIN_PYTHON:
        return Finding("Python", "problem", found, "Install Python 3.11 or newer, make setup.")
    return Finding("Python", "ok", f"{found} in {sys.prefix}")


def _packages() -> Finding:
    """Against constraints.txt, the versions that are known to work together."""
    known = dict(
        line.split("==") for line in (ROOT / "constraints.txt").read_text().split() if "==" in line
    )
    names = ("prefect", "fastapi", "torch", "torchvision", "pillow", "albumentations")
    differing = [
        f"{name} {installed} (known good: {known[name]})"
        for name in names
        for installed in [importlib.metadata.version(name)]
        if name in known and installed.split("+")[0] != known[name]
    ]
    if differing:
        return Finding("packages", "note", ", ".join(differing), "make clean setup")
    return Finding("packages", "ok", ", ".join(f"{name} {known[name]}" for name in names[:3]))


def _server_code() -> Finding:
    """A newer FastAPI keeps the server of Prefect 3.8 from being imported."""
    try:
        importlib.import_module("prefect.server.api.server")
    except Exception as error:
        remedy = "make clean setup: constraints.txt has the FastAPI that fits this Prefect."
        return Finding("server code", "problem", f"cannot be imported: {error}", remedy)
    return Finding("server code", "ok", "can be imported")


def _disk(workspace: Workspace) -> Finding:
    place = workspace.folder.resolve()
    while not place.exists():
        place = place.parent
    if not os.access(place, os.W_OK):
        remedy = "Choose another folder with --workspace or SUYAN_HOME."
        return Finding("disk", "problem", f"{place} cannot be written to", remedy)
    free_gb = shutil.disk_usage(place).free / 1e9
    found = f"{free_gb:.0f} GB free at {workspace.folder.resolve()}"
    remedy = "A recipe takes about 1 GB of pictures, a training some GB of checkpoints."
    if free_gb < _NO_DISK_GB:
        return Finding("disk", "problem", found, remedy)
    return Finding("disk", "note", found, remedy) if free_gb < _LOW_DISK_GB else Finding(
        "disk", "ok", found
    )  # fmt: skip


def _bucket(workspace: Workspace) -> Finding:
    """Writes, reads and removes an object of its own."""
    from storage.remote import address_of, bucket_of

    if not is_shared(workspace):
        return Finding("object storage", "ok", "not used: the workspace is a folder")
    try:
        bucket = bucket_of(workspace)
        assert bucket is not None
        took_s = bucket.probe()
    except SuyanError as error:
        what, _, remedy = str(error).partition(". ")
        return Finding("object storage", "problem", what, remedy)
    found = f"{address_of(workspace)} can be written to ({1000 * took_s:.0f} ms a request)"
    return Finding("object storage", "ok", found)


def _face_model() -> Finding:
    from core.errors import MissingModelError
    from preprocessing.analysis.face_detector import model_file

    try:
        return Finding("face model", "ok", str(model_file().name))
    except MissingModelError as error:
        return Finding("face model", "problem", str(error), "make setup")


def _inception() -> Finding:
    from evaluation.features.inception import find_weights

    file, why = find_weights("cached", None)
    if file is None:
        return Finding("Inception weights", "note", "not here: reports do without", why)
    return Finding("Inception weights", "ok", str(file))


def _device() -> Finding:
    import torch

    if torch.cuda.is_available():
        return Finding("device", "ok", torch.cuda.get_device_name())
    found = f"no GPU; {os.cpu_count()} CPU cores"
    return Finding("device", "note", found, "Train with the preset small (suyan run --small).")


def _database(path: Path, what: str) -> Finding:
    """Opens it for reading alone, and looks at every page."""
    if what == "catalogue" and os.environ.get("SUYAN_CATALOGUE_URL"):
        return Finding(what, "ok", "SUYAN_CATALOGUE_URL names another one; not looked into")
    if what == "catalogue" and is_shared(Workspace(path.parent)):
        remedy = "Set SUYAN_CATALOGUE_URL: docs/scaling.md, 'Object storage'."
        return Finding(what, "problem", "none: a bucket holds no database", remedy)
    if not path.exists():
        return Finding(what, "ok", f"{path}: not made yet")
    megabytes = sum(part.stat().st_size for part in path.parent.glob(f"{path.name}*")) / 1e6
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=_TIMEOUT_S) as connection:
        (state,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    connection.close()
    found = f"{path}, {megabytes:.0f} MB"
    if state != "ok":
        return Finding(what, "problem", f"{found}: {state}", "Restore a copy of this file.")
    if megabytes > _LARGE_DATABASE_MB:
        remedy = "docs/weekly-running.md, 'Retention', says what makes it smaller."
        return Finding(what, "note", found, remedy)
    return Finding(what, "ok", found)


def _server(workspace: Workspace) -> Finding:
    server = running_server(workspace)
    if server is not None:
        return Finding("server", "ok", server.ui_url)
    stale = (prefect_home(workspace) / "server.json").exists()
    found = "was running, and does not answer" if stale else "not running"
    return Finding("server", "problem" if stale else "note", found, "suyan up")


def _worker(workspace: Workspace) -> Finding:
    from flows.server.services import worker_pid

    home = prefect_home(workspace)
    if worker_pid(home) is not None:
        return Finding("worker", "ok", f"running; its log: {home / 'worker.log'}")
    stale = (home / "worker.json").exists()
    found = "was running, and is gone: runs wait" if stale else "not running"
    return Finding("worker", "problem" if stale else "note", found, "suyan up")


def _deployments(workspace: Workspace) -> Finding:
    from flows.server.services import deployed_digest

    server = running_server(workspace)
    if server is None:
        return Finding("deployments", "note", "no server to ask", "suyan up")
    stamp = server.home / "deployed.json"
    if not stamp.exists():
        return Finding("deployments", "note", "not made by suyan up", "suyan up")
    if json.loads(stamp.read_text()).get("digest") != deployed_digest(server):
        return Finding("deployments", "note", "older than the code here", "suyan up")
    return Finding("deployments", "ok", "as prefect.yaml says")


def _access(workspace: Workspace) -> Finding:
    """Whoever reaches the server can run code through it."""
    server = running_server(workspace)
    state = prefect_home(workspace) / "server.json"
    host = str(json.loads(state.read_text()).get("host", "")) if server else "127.0.0.1"
    if host in {"127.0.0.1", "localhost", "::1"}:
        return Finding("access", "ok", "this machine alone (loopback)")
    if server is not None and _answers_anybody(server):
        remedy = "suyan down; set PREFECT_SERVER_API_AUTH_STRING, or bind to 127.0.0.1."
        return Finding("access", "problem", f"{host}, without a password", remedy)
    return Finding("access", "ok", f"{host}, with a password")


def _answers_anybody(server: Server) -> bool:
    try:
        with urllib.request.urlopen(f"{server.api_url}/version", timeout=_TIMEOUT_S):
            return True
    except urllib.error.HTTPError:
        return False


def _search(recipe: str) -> Finding:
    """One harmless request to the search engine's home page."""
    from flows.recipes import RECIPES

    if recipe not in RECIPES:
        raise ValueError(f"recipe: {recipe!r} is unknown; there are {', '.join(RECIPES)}")
    url = RECIPES[recipe]().crawl_a.engine_url
    request = urllib.request.Request(f"{url}/", headers={"User-Agent": "Mozilla/5.0"})
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:
            return Finding("search", "ok", f"{url} answers ({answer.status})")
    except (urllib.error.URLError, OSError) as error:
        remedy = "Check the network or proxy (HTTPS_PROXY). Without it: make demo, or suyan run "
        remedy += "--engine-url with the offline engine."
        return Finding("search", "note", f"{url}: {error}", remedy)
