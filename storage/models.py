"""Models in a bucket: versions of a recipe, and which of them is its champion."""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Iterable, Iterator
from pathlib import Path

from core.errors import TransientError
from core.workspace import Workspace
from storage import snapshots, synced_files
from storage.remote import bucket_of
from storage.s3 import Bucket

_logger = logging.getLogger(__name__)


def fetch(workspace: Workspace, recipe: str, wanted: str | None = None) -> None:
    """Bring the recipe's champion here, or the version whose name ``wanted`` is or begins.

    What is nowhere is left to who looks for it. A bucket out of reach is a warning where there is
    something to use here.
    """
    bucket = bucket_of(workspace)
    if bucket is None or (wanted is not None and Path(wanted).is_dir()):
        return
    models = workspace / "models" / recipe
    try:
        if wanted is None:
            synced_files.follow(workspace, models / "champion.json")
            chosen = _pointed(models)[:1]
        else:
            known = snapshots.names(bucket, _key(recipe))
            begun = [name for name in known if name.startswith(wanted)]
            chosen = [wanted] if wanted in known else begun if len(begun) == 1 else []
        for name in chosen:
            snapshots.fetch(bucket, models / name, f"{_key(recipe)}/{name}")
    except TransientError as error:
        if not any(models.glob("*/config.json")):
            raise
        _logger.warning("%s. Until then, models that are here are used", error)


@contextlib.contextmanager
def changing(workspace: Workspace, recipe: str, wanted: str | None = None) -> Iterator[None]:
    """Around whatever stores a model or moves the pointer: see, then send, what others do too.

    The block finds the pointer as it is, the champion before it, and the version ``wanted``. What
    it stored is published before the pointer moves. Raises ``TransientError`` when another machine
    moved the pointer meanwhile.
    """
    bucket = bucket_of(workspace)
    if bucket is None:
        yield
        return
    models = workspace / "models" / recipe
    known = snapshots.names(bucket, _key(recipe))
    _publish(bucket, [one for one in _stored(models) if one.name not in known])  # by a killed call
    with synced_files.changing(workspace, models / "champion.json"):
        for name in dict.fromkeys([*_pointed(models), *([wanted] if wanted else [])]):
            snapshots.fetch(bucket, models / name, f"{_key(recipe)}/{name}", replace=True)
        before = _stored(models)
        yield
        _publish(bucket, [one for one, at in _stored(models).items() if before.get(one) != at])


def _publish(bucket: Bucket, versions: Iterable[Path]) -> None:
    for folder in versions:
        name = f"{_key(folder.parent.name)}/{folder.name}"
        snapshots.publish(bucket, folder, name, again=True)


def _stored(models: Path) -> dict[Path, int]:
    """The versions that are here, and when they were last described."""
    found = models.glob("[!.]*/model.json")
    return {path.parent: path.stat().st_mtime_ns for path in sorted(found)}


def _pointed(models: Path) -> list[str]:
    """The champion and the one before it, as ``champion.json`` names them."""
    try:
        pointer = json.loads((models / "champion.json").read_text(encoding="utf-8"))
        named = [pointer["model"], *reversed(pointer.get("previous", []))][:2]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    return [str(name) for name in named if Path(str(name)).name == str(name)]


def _key(recipe: str) -> str:
    return f"models/{recipe}"
