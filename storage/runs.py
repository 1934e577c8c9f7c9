"""Training runs in a bucket, so that another machine can continue or evaluate them.

Each checkpoint (``runs/<run>/checkpoints/step_<n>``) and each evaluation
(``runs/<run>/evaluation/<checkpoint>``) is a snapshot of its own; the snapshot ``runs/<run>`` holds
the other files (configuration, logs, samples, ``best.json``).
"""

from __future__ import annotations

import contextlib
import logging
import shutil
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

from core.errors import SuyanError
from core.files import try_load_json
from core.language.messages import localised
from core.workspace import Workspace
from core.workspace_folders import RunFolder
from storage import snapshots
from storage.remote import bucket_of
from storage.s3 import Bucket

_logger = logging.getLogger(__name__)
_POLL_S = 2.0


def fetch(workspace: Workspace, name: str) -> bool:
    """Download the run ``name`` if the bucket's newest checkpoint is newer; returns whether it was.

    Downloads the newest checkpoint, the best one, their evaluations and the run's other files:
    enough to continue the training and to evaluate it.
    """
    bucket = bucket_of(workspace)
    if bucket is None:
        return False
    run = workspace.run(name)
    remote = snapshots.names(bucket, workspace.key(run.checkpoints))
    is_newer = False
    if remote and remote[-1] > _newest(run):
        key = workspace.key(run.path)
        snapshot = snapshots.load(bucket, key)
        if snapshot is not None:
            snapshots.download(bucket, run.path, key, snapshot)
        is_newer = _fetch_folder(bucket, workspace, run.checkpoint(remote[-1]).path)
        best = _best(run)
        if best in remote:
            _fetch_folder(bucket, workspace, run.checkpoint(best).path)
    for checkpoint in set(remote) & set(_checkpoints(run)):
        _fetch_folder(bucket, workspace, run.evaluation(checkpoint).path)
    return is_newer


@contextlib.contextmanager
def publisher(workspace: Workspace, name: str) -> Iterator[None]:
    """During the block, publish the run's checkpoints as they are saved; after it, the whole run.

    A thread publishes during the training; when checkpoints are saved faster than they are sent,
    only the newest and the best are sent. An error in the thread is logged as a warning; an error
    at the end of the block is raised.
    """
    bucket = bucket_of(workspace)
    if bucket is None:
        yield
        return
    ended = threading.Event()
    thread = threading.Thread(
        target=_publish_until,
        args=(ended, bucket, workspace, workspace.run(name)),
        name="publisher",
    )
    thread.start()
    try:
        yield
    except BaseException:
        ended.set()
        thread.join()
        with contextlib.suppress(SuyanError, OSError):  # the training's own error matters more
            publish(workspace, name)
        raise
    ended.set()
    thread.join()
    publish(workspace, name)


def publish(workspace: Workspace, name: str) -> None:
    """Publish the newest and the best checkpoint of the run, and its other files.

    Checkpoints that the run has deleted are deleted from the bucket.
    """
    bucket = bucket_of(workspace)
    run = workspace.run(name)
    if bucket is not None and _newest(run):
        _publish_checkpoints(bucket, workspace, run)
        _publish_other_files(bucket, workspace, run)


def publish_evaluation(workspace: Workspace, name: str, checkpoint: str) -> None:
    """Publish the evaluation of a checkpoint of the run ``name``, in place of an earlier one."""
    bucket = bucket_of(workspace)
    if bucket is not None:
        folder = workspace.run(name).evaluation(checkpoint).path
        snapshots.publish(bucket, folder, workspace.key(folder), replace=True)


def _fetch_folder(bucket: Bucket, workspace: Workspace, folder: Path) -> bool:
    return snapshots.fetch(bucket, folder, workspace.key(folder))


def _publish_until(
    ended: threading.Event, bucket: Bucket, workspace: Workspace, run: RunFolder
) -> None:
    published: list[str] = []
    while not ended.wait(_POLL_S):
        current = [_newest(run), _best(run)]
        if current == published or not current[0]:
            continue
        try:
            _publish_checkpoints(bucket, workspace, run)
            _publish_other_files(bucket, workspace, run)
            published = current
        except (SuyanError, OSError) as error:  # the training may delete it while it is read here
            _logger.warning(localised("this checkpoint is not in the bucket yet: %s"), error)


def _publish_checkpoints(bucket: Bucket, workspace: Workspace, run: RunFolder) -> None:
    newest, best = _newest(run), _best(run)
    for name in dict.fromkeys(filter(None, (newest, best))):
        if name in _checkpoints(run):
            folder = run.checkpoint(name).path
            snapshots.publish(bucket, folder, workspace.key(folder))
    current = {*_checkpoints(run), best}
    for name in bucket.folders(workspace.key(run.checkpoints)):
        if name < newest and name not in current:
            snapshots.delete(bucket, workspace.key(run.checkpoint(name).path))


def _publish_other_files(bucket: Bucket, workspace: Workspace, run: RunFolder) -> None:
    """Publish a copy: a log that grows while it is sent would not match its digest."""
    left_out = (  # the first two are snapshots of their own; a checkpoint replaces the last
        run.evaluations, run.checkpoints, run.starting_point.path,
    )  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="suyan-run-") as name:
        copy = Path(name)
        for path in sorted(run.path.rglob("*")):
            is_left_out = any(path.is_relative_to(folder) for folder in left_out)
            if path == run.best or not is_left_out:
                _copy(path, copy / path.relative_to(run.path))
        snapshots.publish(bucket, copy, workspace.key(run.path), replace=True)


def _copy(path: Path, target: Path) -> None:
    if path.is_file() and not path.name.startswith("."):
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)


def _checkpoints(run: RunFolder) -> list[str]:
    """Names of the checkpoints on this machine, the oldest first."""
    return sorted(path.name for path in run.checkpoints.glob("step_*") if path.is_dir())


def _newest(run: RunFolder) -> str:
    return max(_checkpoints(run), default="")


def _best(run: RunFolder) -> str:
    """Name of the checkpoint that validated best; "" before the first validation."""
    return str((try_load_json(run.best) or {}).get("checkpoint", ""))
