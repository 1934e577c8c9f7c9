"""Training runs in a bucket: their checkpoints as they are saved, so that another machine goes on.

``runs/<run>/checkpoints/step_<n>`` and ``runs/<run>/evaluation/<checkpoint>`` are published folders
of their own; ``runs/<run>`` holds the rest (configuration, logs, samples, ``best.json``).
"""

from __future__ import annotations

import contextlib
import json
import logging
import shutil
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

from core.errors import SuyanError
from core.workspace import Workspace
from storage import snapshots
from storage.remote import bucket_of
from storage.s3 import Bucket

_logger = logging.getLogger(__name__)
_LOOK_EVERY_S = 2.0


def fetch(run: Path) -> bool:
    """Bring the run here where the bucket's is further than ours; whether anything came.

    The newest checkpoint, the best one, the evaluation of both, and the rest: enough to go on
    training and to evaluate. ``run`` is a folder in ``runs/`` of a workspace.
    """
    bucket = bucket_of(_home(run))
    if bucket is None:
        return False
    theirs = snapshots.names(bucket, f"{_key(run)}/checkpoints")
    came = False
    if theirs and theirs[-1] > max(_here(run), default=""):
        rest = snapshots.read(bucket, _key(run))
        if rest is not None:
            snapshots.bring(bucket, run, _key(run), rest)
        came = snapshots.fetch(
            bucket, run / "checkpoints" / theirs[-1], _checkpoint(run, theirs[-1])
        )
        best = _best(run)
        if best in theirs:
            snapshots.fetch(bucket, run / "checkpoints" / best, _checkpoint(run, best))
    for name in set(theirs) & set(_here(run)):
        snapshots.fetch(bucket, run / "evaluation" / name, f"{_key(run)}/evaluation/{name}")
    return came


@contextlib.contextmanager
def sharing(run: Path) -> Iterator[None]:
    """Publish each checkpoint soon after it is saved, and all of the run at the end of the block.

    Sending takes its time beside the training; where it is slower than saving, only the newest and
    the best are sent. A failure to send is a warning until the end of the block.
    """
    bucket = bucket_of(_home(run))
    if bucket is None:
        yield
        return
    ended = threading.Event()
    sender = threading.Thread(target=_keep_sending, args=(bucket, run, ended), name="sharing")
    sender.start()
    try:
        yield
    except BaseException:
        ended.set()
        sender.join()
        with contextlib.suppress(SuyanError, OSError):  # of two errors the training's own matters
            send(run)
        raise
    ended.set()
    sender.join()
    send(run)


def send(run: Path) -> None:
    """Publish the newest and the best checkpoint, and the rest; drop those not kept any more."""
    bucket = bucket_of(_home(run))
    if bucket is not None and _newest(run):
        _send_checkpoints(bucket, run)
        _send_rest(bucket, run)


def send_evaluation(evaluation: Path) -> None:
    """Publish ``runs/<run>/evaluation/<checkpoint>``, in place of an earlier one."""
    run = evaluation.parents[1]
    bucket = bucket_of(_home(run))
    if bucket is not None:
        name = f"{_key(run)}/evaluation/{evaluation.name}"
        snapshots.publish(bucket, evaluation, name, again=True)


def _keep_sending(bucket: Bucket, run: Path, ended: threading.Event) -> None:
    sent: list[str] = []
    while not ended.wait(_LOOK_EVERY_S):
        wanted = [_newest(run), _best(run)]
        if wanted == sent or not wanted[0]:
            continue
        try:
            _send_checkpoints(bucket, run)
            _send_rest(bucket, run)
            sent = wanted
        except (SuyanError, OSError) as error:  # it may have been dropped while we read it
            _logger.warning("this checkpoint is not in the bucket yet: %s", error)


def _send_checkpoints(bucket: Bucket, run: Path) -> None:
    newest, best = _newest(run), _best(run)
    for name in dict.fromkeys(filter(None, (newest, best))):
        if name in _here(run):
            snapshots.publish(bucket, run / "checkpoints" / name, _checkpoint(run, name))
    kept = {*_here(run), best}
    for name in bucket.folders(f"{_key(run)}/checkpoints"):
        if name < newest and name not in kept:
            snapshots.withdraw(bucket, _checkpoint(run, name))


def _send_rest(bucket: Bucket, run: Path) -> None:
    """A copy of it: logs grow while they are read, and would not be what their digest says."""
    apart = ("evaluation", "checkpoints")
    with tempfile.TemporaryDirectory(prefix="suyan-run-") as name:
        copy = Path(name)
        for path in sorted(run.rglob("*")):
            inside = path.relative_to(run)
            if path.is_file() and inside.parts[0] not in apart and not path.name.startswith("."):
                (copy / inside).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, copy / inside)
        best = run / "checkpoints" / "best.json"
        if best.is_file():
            (copy / "checkpoints").mkdir()
            shutil.copyfile(best, copy / "checkpoints" / best.name)
        snapshots.publish(bucket, copy, _key(run), again=True)


def _here(run: Path) -> list[str]:
    return sorted(path.name for path in (run / "checkpoints").glob("step_*") if path.is_dir())


def _newest(run: Path) -> str:
    return max(_here(run), default="")


def _best(run: Path) -> str:
    try:
        best = json.loads((run / "checkpoints" / "best.json").read_text(encoding="utf-8"))
        return str(best["checkpoint"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _home(run: Path) -> Workspace:
    return Workspace(run.parents[1])


def _key(run: Path) -> str:
    return f"runs/{run.name}"


def _checkpoint(run: Path, name: str) -> str:
    return f"{_key(run)}/checkpoints/{name}"
