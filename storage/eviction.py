"""How much of a workspace in a bucket stays on this machine: what was used longest ago goes first.

Nothing is removed but what can be had again: originals, dataset versions and checkpoints that the
bucket has, byte for byte, and crops, which are made of originals. And nothing while any process
uses the workspace.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from filelock import ReadWriteLock, Timeout

from core.workspace import Workspace
from storage import snapshots
from storage.remote import bucket_of
from storage.s3 import Bucket

_USUAL_GB = 100.0
_REMOVED = ".removed"
_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Part:
    """What goes or stays as one: a file, or folders."""

    paths: tuple[Path, ...]
    num_bytes: int
    used: float  # s since the epoch, of its last file to be read or written
    may_go: Callable[[], bool]


def limit_bytes() -> float:
    """What may stay on this machine: ``SUYAN_CACHE_GB``. Raises ``ValueError`` for no number."""
    given = os.environ.get("SUYAN_CACHE_GB") or str(_USUAL_GB)
    with contextlib.suppress(ValueError):
        if float(given) >= 0:
            return float(given) * 1e9
    raise ValueError(f"SUYAN_CACHE_GB: got {given!r}, needed a number of gigabytes, 0 or more")


@contextlib.contextmanager
def in_use(workspace: Workspace) -> Iterator[None]:
    """Around whatever reads or makes things in a workspace: nothing is removed from it meanwhile.

    After the block it is cut down to ``limit_bytes``, unless another process uses it too. What the
    block needs, it fetches itself. Does nothing where the folder is all there is.
    """
    bucket = bucket_of(workspace)
    if bucket is None:
        yield
        return
    limit = limit_bytes()
    lock = ReadWriteLock(workspace / ".in_use.lock", is_singleton=False)
    try:
        with lock.read_lock():
            yield
        with contextlib.suppress(Timeout), lock.write_lock(blocking=False):
            make_room(bucket, workspace, limit)
    finally:
        lock.close()


def make_room(bucket: Bucket, workspace: Workspace, limit: float) -> int:
    """Remove from the folder, oldest use first, until it holds ``limit`` bytes; how many went.

    For a caller that knows that nobody uses the workspace.
    """
    held = sum(file.stat().st_size for file in _files(workspace.folder))
    before = held
    for part in sorted(_parts(bucket, workspace), key=lambda part: part.used):
        if held <= limit:
            break
        if part.may_go():
            for path in part.paths:
                _remove(path)
            held -= part.num_bytes
    if held < before:
        _logger.info(
            "%.2f GB that the bucket has too were removed from %s, which holds %.2f GB now "
            "(SUYAN_CACHE_GB: %g)", (before - held) / 1e9, workspace, held / 1e9, limit / 1e9,
        )  # fmt: skip
    return before - held


def _parts(bucket: Bucket, workspace: Workspace) -> Iterator[_Part]:
    stored = functools.cache(lambda head: bucket.sizes(f"originals/{head}"))
    for path in _files(workspace / "originals"):
        yield _part(path, may_go=functools.partial(_is_stored, stored, workspace, path))
    for path in _files(workspace / "cache" / "crops"):
        yield _part(path)
    for path in (workspace / "datasets").glob("[!.]*/"):
        name = f"datasets/{path.name}"
        yield _part(path, may_go=functools.partial(_are_published, bucket, {name: path}))
    for run in (workspace / "runs").glob("[!.]*/"):
        # All or none: a run whose newest checkpoint is gone fetches that and the best one.
        steps = {f"runs/{run.name}/checkpoints/{path.name}": path
                 for path in (run / "checkpoints").glob("step_*/")}  # fmt: skip
        if steps:
            yield _part(*steps.values(), may_go=functools.partial(_are_published, bucket, steps))
    for path in [
        *workspace.folder.glob(f"*/.*{_REMOVED}"),
        *workspace.folder.glob(f"*/*/*/.*{_REMOVED}"),
    ]:
        yield _part(path)  # of a killed call


def _part(*paths: Path, may_go: Callable[[], bool] = lambda: True) -> _Part:
    stats = [file.stat() for path in paths for file in _files(path)]
    used = max((max(stat.st_atime, stat.st_mtime) for stat in stats), default=0.0)
    return _Part(paths, sum(stat.st_size for stat in stats), used, may_go)


def _files(path: Path) -> Iterator[Path]:
    if path.is_dir():
        for parent, _, names in os.walk(path):
            yield from (Path(parent, name) for name in names)
    elif path.exists():
        yield path


def _is_stored(stored: Callable[[str], dict[str, int]], workspace: Workspace, path: Path) -> bool:
    """Whether the bucket has this original; its name is its content's."""
    key = path.relative_to(workspace).as_posix()
    return stored(path.parent.name).get(key) == path.stat().st_size


def _are_published(bucket: Bucket, named: dict[str, Path]) -> bool:
    found = {name: snapshots.read(bucket, name) for name in named}
    return all(
        published is not None and snapshots.is_same(named[name], published)
        for name, published in found.items()
    )


def _remove(path: Path) -> None:
    """A folder is there whole or not: it goes under another name first."""
    if not path.is_dir():
        path.unlink(missing_ok=True)
        return
    going = path
    if not path.name.endswith(_REMOVED):
        going = path.with_name(f".{path.name}{_REMOVED}")
        if going.exists():
            shutil.rmtree(going)
        path.rename(going)
    shutil.rmtree(going)
