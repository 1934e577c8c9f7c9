"""Copies of forgotten pictures in a workspace's bucket."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from core.workspace import Workspace
from core.workspace_folders import EvaluationFolder, ModelFolder, RunFolder
from flows.removal.copy_names import is_named_after
from storage import snapshots
from storage.forgotten_record import ForgottenRecord, RemovedVersion
from storage.remote import bucket_of
from storage.s3 import Bucket

_IN_RUN, _IN_MODEL = RunFolder(Path()), ModelFolder(Path())
_IN_EVALUATION = EvaluationFolder(Path())
_RUNS = Workspace(Path()).runs.as_posix()
_NOTHING = RemovedVersion()


@dataclass(frozen=True)
class BucketCopies:
    """Objects to remove: files of published folders, and objects that no folder lists."""

    files: dict[str, list[str]]  # paths in each snapshot, by its name
    keys: list[str]

    @property
    def addresses(self) -> list[str]:
        """Every object, as a path below the bucket's prefix."""
        return [
            f"{name}/{path}" for name, paths in self.files.items() for path in paths
        ] + self.keys


def find_in_bucket(workspace: Workspace, record: ForgottenRecord) -> BucketCopies:
    """The objects of the workspace's bucket that show a forgotten picture, dataset versions aside;
    none without a bucket.
    """
    bucket = bucket_of(workspace)
    if bucket is None:
        return BucketCopies({}, [])
    files: dict[str, list[str]] = {}
    keys = set[str]()
    for name, fate in _snapshots(bucket, workspace, record):
        snapshot = snapshots.load(bucket, name)
        paths = [
            path
            for path, sha256 in (snapshot.files if snapshot else {}).items()
            if _shows(path, name, fate) or _is_copy(path, sha256, record)
        ]
        if paths:
            files[name] = paths
        if fate.is_used:
            keys |= snapshots.unlisted(bucket, name, nested=_nested_folders(name))
    datasets = workspace.key(workspace.datasets)
    published = {f"{datasets}/{name}" for name in snapshots.names(bucket, datasets)}
    for name in record.versions:  # half removed, or half sent
        if f"{datasets}/{name}" not in published:
            keys |= bucket.sizes(f"{datasets}/{name}").keys()
    for root in (workspace.originals, workspace.datasets, workspace.runs, workspace.models):
        keys |= {
            key
            for key in bucket.sizes(workspace.key(root))
            if is_named_after(PurePosixPath(key).name, record.heads)
            and not any(key.startswith(f"{name}/") for name in (*files, *published))
        }
    return BucketCopies(files, sorted(keys))


def remove_from_bucket(workspace: Workspace, copies: BucketCopies) -> None:
    """Remove these objects; a published folder then lists its other files."""
    bucket = bucket_of(workspace)
    if bucket is not None:
        for name, paths in copies.files.items():
            snapshots.remove_files(bucket, name, paths)
        bucket.delete(copies.keys)


def _snapshots(
    bucket: Bucket, workspace: Workspace, record: ForgottenRecord
) -> Iterator[tuple[str, RemovedVersion]]:
    """The published folders of runs and models, and what each may show."""
    for run_name in bucket.folders(workspace.key(workspace.runs)):
        run = workspace.run(run_name)
        fate = _run_fate(bucket, workspace.key(run.path), record)
        yield workspace.key(run.path), fate
        for parent in (run.checkpoints, run.evaluations):
            key = workspace.key(parent)
            yield from ((f"{key}/{name}", fate) for name in bucket.folders(key))
    for recipe in bucket.folders(workspace.key(workspace.models)):
        key = workspace.key(workspace.recipe_models(recipe).path)
        for name in snapshots.names(bucket, key):
            fate = _lineage_fate(bucket, f"{key}/{name}", record)
            yield f"{key}/{name}", fate


def _nested_folders(name: str) -> tuple[str, ...]:
    """The folders in a run's published folder whose folders are published on their own."""
    is_run = PurePosixPath(name).parent == PurePosixPath(_RUNS)
    return (_IN_RUN.checkpoints.as_posix(), _IN_RUN.evaluations.as_posix()) if is_run else ()


def _run_fate(bucket: Bucket, name: str, record: ForgottenRecord) -> RemovedVersion:
    config = _load(bucket, name, _IN_RUN.config)
    fate = record.versions.get(str(config.get("dataset", "")), _NOTHING)
    if fate.is_trained_on:
        return fate
    pictures = _load(bucket, name, _IN_RUN.pictures)
    names = (path for files in pictures.values() for path in files)
    if any(is_named_after(PurePosixPath(path).name, record.heads) for path in names):
        return RemovedVersion(is_used=True, is_trained_on=True)
    return fate


def _lineage_fate(bucket: Bucket, name: str, record: ForgottenRecord) -> RemovedVersion:
    lineage = _load(bucket, name, _IN_MODEL.lineage)
    return record.versions.get(str(lineage.get("dataset", "")), _NOTHING)


def _load(bucket: Bucket, name: str, file: Path) -> dict[str, Any]:
    snapshot = snapshots.load(bucket, name)
    content = snapshots.read_file(bucket, name, snapshot, file.as_posix()) if snapshot else b""
    value = json.loads(content) if content else {}
    return value if isinstance(value, dict) else {}


def _shows(path: str, name: str, fate: RemovedVersion) -> bool:
    """Whether a file of a run's or model's published folder may show the picture."""
    file = PurePosixPath(path)
    folders = {
        _IN_RUN.samples_folder().name: fate.in_samples,
        _IN_RUN.samples_folder(averaged=True).name: fate.in_samples,
        _IN_RUN.tensorboard.name: fate.in_samples,
        _IN_RUN.tracking.name: fate.in_samples,
        _IN_EVALUATION.gallery.name: fate.is_used,
    }
    files = {
        _IN_RUN.augmentation.name: fate.in_augmentation,
        _IN_MODEL.report.name: fate.is_used,
        _IN_RUN.checkpoint("").state.name: fate.is_trained_on,
    }
    is_evaluation = f"/{_IN_RUN.evaluations.name}/" in name
    if is_evaluation and file.name in {_IN_MODEL.scores.name, _IN_EVALUATION.figures.name}:
        return fate.is_used
    return folders.get(file.parts[0], False) or files.get(file.name, False)


def _is_copy(path: str, sha256: str, record: ForgottenRecord) -> bool:
    is_known = sha256 in record.copies or sha256 in record.pictures
    return is_known or is_named_after(PurePosixPath(path).name, record.heads)
