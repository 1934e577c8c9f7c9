"""Eviction: keeps a machine's folder of a workspace in a bucket below a size.

The least recently used data go first, and only data that can be restored: originals, dataset
versions and checkpoints that the bucket has with the same content, and crops and thumbnails, which
are computed from originals. Nothing is removed while a process uses the workspace.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from filelock import ReadWriteLock, Timeout

from core.language.messages import localised
from core.workspace import Workspace
from storage import snapshots
from storage.remote import bucket_of
from storage.s3 import Bucket

_DEFAULT_LIMIT_GB = 100.0
_REMOVED_SUFFIX = ".removed"
_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Entry:
    """Files or folders that are evicted together or not at all."""

    paths: tuple[Path, ...]
    num_bytes: int
    used_at: float  # s since the epoch: when one of its files was last read or written
    is_recoverable: Callable[[], bool]


def limit_bytes() -> float:
    """Size limit of a machine's folder: ``SUYAN_CACHE_GB``, default 100 GB.

    Raises ``ValueError`` for a value that is no number.
    """
    text = os.environ.get("SUYAN_CACHE_GB") or str(_DEFAULT_LIMIT_GB)
    with contextlib.suppress(ValueError):
        if float(text) >= 0:
            return float(text) * 1e9
    raise ValueError(
        localised(
            "SUYAN_CACHE_GB: got {text!r}, needed a number of gigabytes, 0 or more", text=text
        )
    )


@contextlib.contextmanager
def in_use(workspace: Workspace) -> Iterator[None]:
    """Keep every process from evicting anything while the block uses the workspace.

    After the block, data are evicted down to ``limit_bytes``, unless another process uses the
    workspace. The block itself fetches the data that it needs. Does nothing without a bucket.
    """
    bucket = bucket_of(workspace)
    if bucket is None:
        yield
        return
    limit = limit_bytes()
    lock = ReadWriteLock(workspace.in_use_lock, is_singleton=False)
    try:
        with lock.read_lock():
            yield
        with contextlib.suppress(Timeout), lock.write_lock(blocking=False):
            evict(bucket, workspace, limit)
    finally:
        lock.close()


def evict(bucket: Bucket, workspace: Workspace, max_bytes: float) -> int:
    """Remove the least recently used data until the folder holds at most ``max_bytes``; returns the
    number of bytes removed.

    The caller makes sure that no process uses the workspace.
    """
    before = num_bytes = sum(file.stat().st_size for file in _files(workspace.folder))
    for entry in sorted(_entries(bucket, workspace), key=lambda entry: entry.used_at):
        if num_bytes <= max_bytes:
            break
        if entry.is_recoverable():
            for path in entry.paths:
                _remove(path)
            num_bytes -= entry.num_bytes
    if num_bytes < before:
        _logger.info(
            localised("removed %.2f GB, which the bucket has, from %s; it holds %.2f GB now "
            "(SUYAN_CACHE_GB: %g)"),
            (before - num_bytes) / 1e9, workspace, num_bytes / 1e9, max_bytes / 1e9,
        )  # fmt: skip
    return before - num_bytes


def _entries(bucket: Bucket, workspace: Workspace) -> Iterator[_Entry]:
    sizes = functools.cache(lambda folder: bucket.sizes(workspace.key(folder)))
    for path in _files(workspace.originals):
        yield _entry(path, is_recoverable=functools.partial(_is_stored, sizes, workspace, path))
    for folder in (workspace.crops, workspace.thumbnails):
        for path in _files(folder):
            yield _entry(path)
    for path in workspace.datasets.glob("[!.]*/"):
        yield _entry(path, is_recoverable=_publication_check(bucket, workspace, path))
    for run in workspace.runs.glob("[!.]*/"):
        # All checkpoints or none: a run without its newest one fetches that and the best one again.
        checkpoints = tuple(workspace.run(run.name).checkpoints.glob("step_*/"))
        if checkpoints:
            is_published = _publication_check(bucket, workspace, *checkpoints)
            yield _entry(*checkpoints, is_recoverable=is_published)
    for pattern in (f"*/.*{_REMOVED_SUFFIX}", f"*/*/*/.*{_REMOVED_SUFFIX}"):
        for path in workspace.folder.glob(pattern):  # from a killed call
            yield _entry(path)


def _entry(*paths: Path, is_recoverable: Callable[[], bool] = lambda: True) -> _Entry:
    stats = [file.stat() for path in paths for file in _files(path)]
    used_at = max((max(stat.st_atime, stat.st_mtime) for stat in stats), default=0.0)
    return _Entry(paths, sum(stat.st_size for stat in stats), used_at, is_recoverable)


def _files(path: Path) -> Iterator[Path]:
    if path.is_dir():
        for parent, _, names in os.walk(path):
            yield from (Path(parent, name) for name in names)
    elif path.exists():
        yield path


def _is_stored(
    sizes: Callable[[Path], Mapping[str, int]], workspace: Workspace, path: Path
) -> bool:
    """Whether the bucket has this original; its name is the digest of its content."""
    return sizes(path.parent).get(workspace.key(path)) == path.stat().st_size


def _publication_check(bucket: Bucket, workspace: Workspace, *folders: Path) -> Callable[[], bool]:
    """A function that says whether the bucket has all these folders with the same content."""

    def are_published() -> bool:
        stored = [snapshots.load(bucket, workspace.key(folder)) for folder in folders]
        return all(
            snapshot is not None and snapshots.is_identical(folder, snapshot)
            for folder, snapshot in zip(folders, stored, strict=True)
        )

    return are_published


def _remove(path: Path) -> None:
    """Remove a file or a folder; a folder is renamed first, so that no reader sees half of it."""
    if not path.is_dir():
        path.unlink(missing_ok=True)
        return
    renamed = path
    if not path.name.endswith(_REMOVED_SUFFIX):
        renamed = path.with_name(f".{path.name}{_REMOVED_SUFFIX}")
        if renamed.exists():
            shutil.rmtree(renamed)
        path.rename(renamed)
    shutil.rmtree(renamed)
