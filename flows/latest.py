"""A recipe's dataset versions and training runs: their names, and the pointers to the newest.

``recipes/<recipe>/dataset.json`` holds ``{"version", "trained_for"}``, ``run.json`` ``{"name"}``.
These pointers may be removed at any time; the next flow of the recipe writes them again.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from core.commands import suyan_command
from core.config_identity import identity
from core.errors import SuyanError, nearest, suggestion
from core.files import digest, load_json, try_load_json, write_json
from core.language.messages import localised
from core.tables import Picture, iter_rows
from core.workspace import Workspace
from core.workspace_folders import DatasetFolder, RunFolder
from flows.removal.training_guard import require_none_forgotten
from flows.sync import fetch_dataset
from storage import runs, synced_files
from storage.forgotten_record import load_record
from storage.remote import bucket_of
from training.config import TrainConfig

NEWEST = "newest"
_FOLDER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
_NUM_LISTED = 5  # folders that an error names
_DATASET, _RUN = "dataset", "run"  # names of the pointers


def run_name(config: TrainConfig, version: str) -> str:
    """The name of the run that trains with ``config`` on a dataset version.

    The same settings give the same name, so that a training is resumed in its folder.
    """
    return f"{version}-{digest(identity(config), 8)}"


def dataset_folder(workspace: Workspace, recipe: str, version: str = NEWEST) -> Path:
    """The folder of a dataset version: the one of this name, or the recipe's newest.

    Raises ``ValueError`` for a text that cannot be a folder's name, and ``SuyanError`` when such a
    version is neither here nor in the bucket, or holds a forgotten picture.
    """
    if version == NEWEST:
        version = str(_load_pointer(workspace, recipe, _DATASET).get("version", ""))
        if not version:
            raise SuyanError(
                localised(
                    "{recipe} has no dataset in {workspace} yet, needed one, or the name of a "
                    "version",
                    recipe=recipe,
                    workspace=workspace,
                ),
                remedy=_make_dataset(workspace, recipe),
            )
    _fetch_dataset(workspace, version)
    dataset = workspace.dataset(version)
    if not dataset.manifest.exists():
        _refuse_removed(workspace, version)
    _require(dataset.path, dataset.manifest, _make_dataset(workspace, recipe))
    if not dataset.split("trainA").is_dir():
        raise SuyanError(
            localised(
                "{path} holds no pictures, needed a dataset: too few originals were usable, "
                "and {card_page} says why",
                path=dataset.path,
                card_page=dataset.card_page,
            ),
            remedy=localised("Crawl more, or lower prepare.min_images, and prepare again"),
        )
    require_none_forgotten(dataset.path, workspace)
    return dataset.path


def run_folder(workspace: Workspace, recipe: str, name: str = NEWEST) -> Path:
    """The folder of a training run: the one of this name, or the recipe's newest.

    Raises ``ValueError`` and ``SuyanError`` as ``dataset_folder`` does.
    """
    if name == NEWEST:
        name = str(_load_pointer(workspace, recipe, _RUN).get("name", ""))
        if not name:
            raise SuyanError(
                localised(
                    "{recipe} has no run in {workspace} yet, needed one, or the name of a run",
                    recipe=recipe,
                    workspace=workspace,
                ),
                remedy=_make_run(workspace, recipe),
            )
    _require_folder_name(workspace.runs, name)
    run = workspace.run(name)
    runs.fetch(workspace, name)
    _require(run.path, run.config, _make_run(workspace, recipe))
    return run.path


def trained_dataset(workspace: Workspace, recipe: str, run: Path) -> Path:
    """The folder of the dataset version that ``run`` was trained on; raises ``SuyanError``."""
    version = str(load_json(RunFolder(run).config)["dataset"])
    return dataset_folder(workspace, recipe, version)


def remember_dataset(workspace: Workspace, recipe: str, version: str) -> None:
    """Make ``version`` the recipe's newest dataset."""
    pointer = _load_pointer(workspace, recipe, _DATASET)
    if pointer.get("version") != version:
        _save_pointer(workspace, recipe, _DATASET, pointer | {"version": version})


def remember_run(workspace: Workspace, recipe: str, name: str) -> None:
    """Make ``name`` the recipe's newest run."""
    if _load_pointer(workspace, recipe, _RUN).get("name") != name:
        _save_pointer(workspace, recipe, _RUN, {"name": name})


def trained_for(workspace: Workspace, recipe: str) -> Path | None:
    """The dataset for which the last training was requested; ``None`` if it is gone."""
    version = _load_pointer(workspace, recipe, _DATASET).get("trained_for")
    if not version:
        return None
    _fetch_dataset(workspace, str(version))
    dataset = workspace.dataset(str(version))
    return dataset.path if dataset.manifest.exists() else None


def remember_trained_for(workspace: Workspace, recipe: str, version: str) -> None:
    """Record that a training on ``version`` was requested, from which changes are counted."""
    pointer = _load_pointer(workspace, recipe, _DATASET)
    if pointer.get("trained_for") != version:
        _save_pointer(workspace, recipe, _DATASET, pointer | {"trained_for": version})


def replace_dataset(workspace: Workspace, version: str, replacement: str) -> None:
    """Let every recipe's pointers name ``replacement`` where they name ``version``; "": nothing."""
    bucket = bucket_of(workspace)
    recipes = {path.name for path in workspace.pointers.glob("[!.]*/")}
    if bucket is not None:
        recipes |= set(bucket.folders(workspace.key(workspace.pointers)))
    for recipe in sorted(recipes):
        pointer = _load_pointer(workspace, recipe, _DATASET)
        changed = {
            key: replacement if value == version else value for key, value in pointer.items()
        }
        if changed != pointer:
            _save_pointer(workspace, recipe, _DATASET, changed)


def changed_share(dataset: Path, reference: Path | None) -> float:
    """The share of two versions' pictures that only one of them has, in [0, 1].

    1 without a reference, or if the two were prepared with different settings.
    """
    if reference is None:
        return 1.0
    new, old = DatasetFolder(dataset), DatasetFolder(reference)
    if load_json(new.config) != load_json(old.config):
        return 1.0
    new_pictures, old_pictures = _pictures(new), _pictures(old)
    return len(new_pictures ^ old_pictures) / max(len(new_pictures | old_pictures), 1)


def _pictures(dataset: DatasetFolder) -> set[tuple[str, str]]:
    """Side and sha256 of each picture that is used."""
    rows = iter_rows(dataset.manifest, Picture)
    return {(row.side, row.sha256) for row in rows if row.status == "ok"}


def _fetch_dataset(workspace: Workspace, version: str) -> None:
    _require_folder_name(workspace.datasets, version)
    fetch_dataset(workspace, version)


def _require_folder_name(parent: Path, name: str) -> None:
    if not _FOLDER_NAME.fullmatch(name):
        raise ValueError(
            localised(
                "{noun}: got {name!r}, needed the name of a folder in {parent}",
                noun=parent.name,
                name=name,
                parent=parent,
            )
        )


def _refuse_removed(workspace: Workspace, version: str) -> None:
    """Raise ``SuyanError`` for a version that was removed with a forgotten picture in it."""
    removed = load_record(workspace).versions.get(version)
    if removed is None:
        return
    replacement = removed.replacement
    raise SuyanError(
        localised(
            "{path} was removed, because it held a picture that was forgotten",
            path=workspace.dataset(version).path,
        ),
        remedy=localised(
            "Its other pictures are the version {replacement}: {command}",
            replacement=replacement,
            command=suyan_command("train", replacement, workspace=workspace),
        )
        if replacement
        else localised(
            "Make a new version: {command}", command=suyan_command("prepare", workspace=workspace)
        ),
    )


def _require(folder: Path, file: Path, remedy: str) -> None:
    """Raise ``SuyanError`` unless ``folder`` has ``file``, without which it is incomplete.

    ``remedy`` makes the first folder of this kind.
    """
    if file.exists():
        return
    siblings = sorted(path.parent.name for path in folder.parent.glob(f"[!.]*/{file.name}"))
    near = suggestion(nearest(folder.name, siblings))
    names = ", ".join(siblings[-_NUM_LISTED:]) or "nothing yet"
    raise SuyanError(
        localised(
            "{folder} is not there; {parent} has {names}{near}",
            folder=folder,
            parent=folder.parent,
            names=names,
            near=near,
        ),
        remedy="" if siblings else remedy,
    )


def _make_dataset(workspace: Workspace, recipe: str) -> str:
    return _remedy("prepare", f"refresh-dataset/{recipe}", workspace, recipe)


def _make_run(workspace: Workspace, recipe: str) -> str:
    return _remedy("train", f"train/{recipe}", workspace, recipe)


def _remedy(command: str, deployment: str, workspace: Workspace, recipe: str) -> str:
    line = suyan_command(command, workspace=workspace, recipe=recipe)
    return f"Run '{line}', or the deployment {deployment} in the Prefect UI"


def _load_pointer(workspace: Workspace, recipe: str, name: str) -> dict[str, Any]:
    """The pointer's content; empty where it is missing or torn."""
    path = workspace.pointer(recipe, name)
    synced_files.pull(workspace, path)
    return try_load_json(path) or {}


def _save_pointer(workspace: Workspace, recipe: str, name: str, value: dict[str, Any]) -> None:
    path = workspace.pointer(recipe, name)
    write_json(path, value)
    synced_files.push(workspace, path)
