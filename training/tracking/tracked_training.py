"""Trackers beside a training: a process for each, which nothing of the training waits for."""

from __future__ import annotations

import contextlib
import contextvars
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import get_args

from core.language.messages import localised
from training.tracking.sender import CLOSE_S
from training.tracking.tracker import Status, TrackerName, Value
from training.tracking.tracker_record import TrackerRecord, create_record, load_record
from training.tracking.unsent_rows import UnsentRows, unsent_evaluations

_logger = logging.getLogger(__name__)
_GRACE_S = 15.0  # beyond the sender's own limit
_INTERRUPTED_S = 5.0  # a person waits for the end
_left_alone: list[subprocess.Popen[str]] = []


@contextlib.contextmanager
def tracked(
    names: Iterable[str], run: Path, hyperparameters: Mapping[str, Value]
) -> Iterator[None]:
    """During the block, the trackers follow ``run``; after it they have all of it.

    A tracker that fails is a warning. One that cannot send everything in two minutes is ended; what
    it lacks is sent when the same training goes on or is evaluated. After an exception, which the
    trackers see as an interruption, nothing waits longer than seconds.
    """
    senders = []
    for name in names:
        try:
            create_record(run, name, hyperparameters)
            senders.append(_SenderProcess(name, run))
        except OSError as error:
            _logger.warning(localised("%s cannot be started: %s; training goes on"), name, error)
    try:
        yield
    except BaseException:
        for sender in senders:
            sender.end(Status.INTERRUPTED)
        for sender in senders:
            sender.wait(_INTERRUPTED_S, is_killed=False)
        raise
    for sender in senders:
        sender.end(Status.FINISHED)
    for sender in senders:
        sender.wait(CLOSE_S + _GRACE_S)


def send_evaluations(run: Path) -> None:
    """Send the figures of the run's evaluations, and rows that are missing, to its trackers.

    Returns after about two minutes at the latest; an error is a warning.
    """
    senders = []
    for name in get_args(TrackerName):
        try:
            record = load_record(run, name)
            if record is not None and _is_behind(run, record):
                senders.append(_SenderProcess(name, run))
        except OSError as error:
            _logger.warning(localised("%s cannot be started: %s"), name, error)
    for sender in senders:
        sender.end(Status.RUNNING)
    for sender in senders:
        sender.wait(CLOSE_S + _GRACE_S)


def _is_behind(run: Path, record: TrackerRecord) -> bool:
    has_evaluations = any(True for _ in unsent_evaluations(run, record.evaluations))
    return has_evaluations or bool(UnsentRows(run).after(record.step))


class _SenderProcess:
    """The process that sends a run to one tracker."""

    def __init__(self, name: str, run: Path) -> None:
        self._name = name
        self._process = subprocess.Popen(
            [sys.executable, "-m", "training.tracking.sender", name, str(run.absolute())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            encoding="utf-8",
            errors="replace",
            env={"MLFLOW_DISABLE_TELEMETRY": "true", **os.environ},
            start_new_session=True,  # Ctrl-C is for the training, whose end ends it
        )
        # The context holds the run of Prefect that the warnings belong to.
        forward = contextvars.copy_context().run
        self._reader = threading.Thread(target=forward, args=(self._warn_of,), daemon=True)
        self._reader.start()

    def end(self, status: str) -> None:
        """Tell the process how the training ended."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):  # it has ended before, which ``wait`` reports
            self._process.stdin.write(f"{status}\n")
            self._process.stdin.close()

    def wait(self, seconds: float, *, is_killed: bool = True) -> None:
        """Wait until everything is sent; after ``seconds`` end the process, or leave it alone."""
        try:
            code = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            if not is_killed:
                _left_alone.append(self._process)  # it ends by itself
                return
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            code = self._process.wait()
        self._reader.join()
        assert self._process.stdout is not None
        self._process.stdout.close()
        if code:
            _logger.warning(
                localised(
                    "%s does not have everything of this run; the rest is sent when the same "
                    "training "
                    "is started again, or evaluated"
                ),
                self._name,
            )

    def _warn_of(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            _logger.warning(
                localised("%s: %s; the run goes on without it"), self._name, line.strip()
            )
