"""What is newest of a recipe, for flows that do one stage: its dataset version and its run.

``workspace/recipes/<recipe>/dataset.json`` holds ``{"version", "trained_for"}``, ``run.json``
``{"name"}``: pointers alone, which may be removed at any time.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from core.errors import SuyanError
from core.files import write_json
from core.tables import Picture, iter_rows
from core.workspace import Workspace
from flows.sync import fetch_dataset
from storage import runs, synced_files

NEWEST = "newest"
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")


def dataset_folder(workspace: Workspace, recipe: str, version: str = NEWEST) -> Path:
    """The folder of a dataset version, by name or the recipe's newest.

    Raises ``ValueError`` for a name that is none, ``SuyanError`` when there is no such version.
    """
    if version == NEWEST:
        version = str(_read(workspace, recipe, "dataset").get("version", ""))
        if not version:
            raise SuyanError(
                f"{recipe} has no dataset in {workspace} yet: run refresh-dataset/{recipe} or "
                f"pipeline/{recipe} first, or name a version"
            )
    _fetch_dataset(workspace, version)
    return _existing(workspace / "datasets", version, "manifest.parquet")


def run_folder(workspace: Workspace, recipe: str, name: str = NEWEST) -> Path:
    """The folder of a training run, by name or the recipe's newest; raises as above."""
    if name == NEWEST:
        name = str(_read(workspace, recipe, "run").get("name", ""))
        if not name:
            raise SuyanError(
                f"{recipe} has no run in {workspace} yet: run train/{recipe} first, or name one"
            )
    _require_plain(workspace / "runs", name)
    runs.fetch(workspace, name)
    return _existing(workspace / "runs", name, "config.json")


def remember_dataset(workspace: Workspace, recipe: str, version: str) -> None:
    """Make ``version`` the recipe's newest dataset."""
    known = _read(workspace, recipe, "dataset")
    if known.get("version") != version:
        _write(workspace, recipe, "dataset", known | {"version": version})


def remember_run(workspace: Workspace, recipe: str, name: str) -> None:
    """Make ``name`` the recipe's newest run."""
    if _read(workspace, recipe, "run").get("name") != name:
        _write(workspace, recipe, "run", {"name": name})


def trained_for(workspace: Workspace, recipe: str) -> Path | None:
    """The dataset that the last training was asked for, if it is still there."""
    version = _read(workspace, recipe, "dataset").get("trained_for")
    if not version:
        return None
    _fetch_dataset(workspace, str(version))
    folder = workspace / "datasets" / str(version)
    return folder if (folder / "manifest.parquet").exists() else None


def remember_trained_for(workspace: Workspace, recipe: str, version: str) -> None:
    """Note that a training on ``version`` was asked for: changes are counted from it on."""
    known = _read(workspace, recipe, "dataset")
    if known.get("trained_for") != version:
        _write(workspace, recipe, "dataset", known | {"trained_for": version})


def changed_share(dataset: Path, reference: Path | None) -> float:
    """How different two dataset versions are, in [0, 1]: pictures that only one of them has, as a
    share of all. 1 without a reference, or when the pictures were prepared differently.
    """
    if reference is None or _config(dataset) != _config(reference):
        return 1.0
    mine, other = _pictures(dataset), _pictures(reference)
    return len(mine ^ other) / max(len(mine | other), 1)


def _pictures(dataset: Path) -> set[tuple[str, str]]:
    rows = iter_rows(dataset / "manifest.parquet", Picture)
    return {(row.side, row.sha256) for row in rows if row.status == "ok"}


def _config(dataset: Path) -> Any:
    return json.loads((dataset / "config.json").read_text(encoding="utf-8"))


def _fetch_dataset(workspace: Workspace, version: str) -> None:
    _require_plain(workspace / "datasets", version)
    fetch_dataset(workspace, version)


def _require_plain(parent: Path, name: str) -> None:
    if not _PLAIN.fullmatch(name):
        raise ValueError(f"{parent.name}: got {name!r}, needed the name of a folder in {parent}")


def _existing(parent: Path, name: str, proof: str) -> Path:
    if not (parent / name / proof).exists():
        known = sorted(path.parent.name for path in parent.glob(f"*/{proof}"))
        raise SuyanError(
            f"{parent / name} is not there; {parent} has {', '.join(known[-5:]) or 'nothing'}"
        )
    return parent / name


def _pointer(workspace: Workspace, recipe: str, what: str) -> Path:
    return workspace / "recipes" / recipe / f"{what}.json"


def _read(workspace: Workspace, recipe: str, what: str) -> dict[str, Any]:
    path = _pointer(workspace, recipe, what)
    synced_files.pull(workspace, path)
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def _write(workspace: Workspace, recipe: str, what: str, value: dict[str, Any]) -> None:
    path = _pointer(workspace, recipe, what)
    write_json(path, value)
    synced_files.push(workspace, path)
