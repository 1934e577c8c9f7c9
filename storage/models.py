"""Models in a bucket: the versions of each recipe, and the pointer to its champion."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterable, Iterator
from pathlib import Path

from core.champion_pointer import load_champion
from core.errors import TransientError
from core.language.messages import localised
from core.workspace import Workspace
from core.workspace_folders import ModelFolder, RecipeModels
from storage import snapshots, synced_files
from storage.hub.hub_address import is_hub_address
from storage.remote import bucket_of
from storage.s3 import Bucket

_logger = logging.getLogger(__name__)


def fetch(workspace: Workspace, recipe: str, version: str | None = None) -> None:
    """Download the recipe's champion, or the version whose name is ``version`` or begins with it.

    A version found neither here nor in the bucket is no error here; the caller raises. Raises
    ``TransientError`` when the bucket cannot be reached; if this machine has models of the recipe,
    logs a warning instead.
    """
    bucket = bucket_of(workspace)
    if bucket is None or (version and (Path(version).is_dir() or is_hub_address(version))):
        return
    models = workspace.recipe_models(recipe)
    try:
        if version is None:
            synced_files.pull(workspace, models.champion)
            names = list(load_champion(models).fetchable[:1])
        else:
            names = _matching(snapshots.names(bucket, workspace.key(models.path)), version)
        for name in names:
            folder = models.version(name).path
            snapshots.fetch(bucket, folder, workspace.key(folder))
    except TransientError as error:
        if not any(model.config.is_file() for model in _model_folders(models)):
            raise
        _logger.warning(localised("%s. Until then the models on this machine are used"), error)


@contextlib.contextmanager
def update(workspace: Workspace, recipe: str, version: str | None = None) -> Iterator[None]:
    """Fetch before, and publish after, a block that stores a model or moves the pointer.

    Within the block this machine has the pointer, the champion, the champion before it, and
    ``version``. Versions that the block stores are published before the pointer moves. Raises
    ``TransientError`` when another machine moved the pointer meanwhile.
    """
    bucket = bucket_of(workspace)
    if bucket is None:
        yield
        return
    models = workspace.recipe_models(recipe)
    published = snapshots.names(bucket, workspace.key(models.path))
    left_over = [path for path in _write_times(models) if path.name not in published]
    _publish(bucket, workspace, left_over)  # from a killed call
    with synced_files.update(workspace, models.champion):
        names = [*load_champion(models).fetchable, *([version] if version else [])]
        for name in dict.fromkeys(names):
            folder = models.version(name).path
            snapshots.fetch(bucket, folder, workspace.key(folder), replace=True)
        before = _write_times(models)
        yield
        after = _write_times(models)
        _publish(bucket, workspace, [path for path in after if before.get(path) != after[path]])


def _matching(names: list[str], version: str) -> list[str]:
    """The name equal to ``version``, else the only one that begins with it."""
    if version in names:
        return [version]
    longer = [name for name in names if name.startswith(version)]
    return longer if len(longer) == 1 else []


def _publish(bucket: Bucket, workspace: Workspace, folders: Iterable[Path]) -> None:
    for folder in folders:
        snapshots.publish(bucket, folder, workspace.key(folder), replace=True)


def _write_times(models: RecipeModels) -> dict[Path, int]:
    """The folders of the versions on this machine, and when their lineage was last written, ns."""
    return {
        model.path: model.lineage.stat().st_mtime_ns
        for model in _model_folders(models)
        if model.lineage.is_file()
    }


def _model_folders(models: RecipeModels) -> list[ModelFolder]:
    return [ModelFolder(path) for path in sorted(models.path.glob("[!.]*/"))]
