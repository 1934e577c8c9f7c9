"""``python -m training.tracking.sender NAME RUN`` sends a run to a tracker while it is trained.

A process of its own, since the package may hang, crash, print, or wait for the network. It follows
the files of the run's folder. Its standard input is a pipe from the training: the word that comes
from it is how the training ended (``running``: none was going on, there is only something to send);
a training that is killed sends none. Lines on its standard output are warnings for people.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from core.locks import file_lock
from core.workspace_folders import RunFolder
from training.tracking.tracker import Row, Status, TrackedRun, Tracker, build_tracker
from training.tracking.tracker_record import TrackerRecord, load_record, save_record
from training.tracking.unsent_rows import UnsentRows, unsent_evaluations

CLOSE_S = 120.0
"""The time that a sender has after the end of a training."""

_NICENESS = 5  # the training comes first
_POLL_S = 2.0
_RETRY_S = 60.0
_ROWS_PER_CALL = 30
_MOST_LETTERS = 300  # of an error
_SECRET_NAME = re.compile("KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIAL|AUTH")
_SECRET = re.compile(r"(?<=//)[^/@\s]+(?=@)|\b[0-9A-Za-z_-]{40,}\b")
_LEAST_SECRET = 6  # letters; shorter values are settings


class Sender:
    """Sends what is new in a run's folder. ``build`` connects to the tracker."""

    def __init__(self, run: Path, name: str, build: Callable[[], Tracker]) -> None:
        self._run, self._name, self._build = run, name, build
        self._rows = UnsentRows(run)
        self._tracker: Tracker | None = None

    def send(self) -> None:
        """Send everything new, once: what is sent is recorded before, and taken back if the tracker
        refuses it. Raises what the tracker's package raises.
        """
        tracker = self._tracker or self._open()
        rows = self._rows.after(self._record().step)
        for start in range(0, len(rows), _ROWS_PER_CALL):
            self._send_rows(tracker, rows[start : start + _ROWS_PER_CALL])
        for each in unsent_evaluations(self._run, self._record().evaluations):
            before = self._record()
            sent = {**before.evaluations, each.checkpoint: each.digest}
            self._save(replace(before, evaluations=sent))
            try:
                tracker.log_evaluation(each.step, each.figures, len(before.evaluations))
            except Exception:
                self._save(before)
                raise

    def close(self, status: str) -> None:
        """End the run at the tracker, where it began."""
        if self._tracker is not None:
            if status != Status.RUNNING:
                self._save(replace(self._record(), status=status))
            self._tracker.close(self._record().status)

    def _open(self) -> Tracker:
        record, tracker = self._record(), self._build()
        is_new = not record.id
        id_ = tracker.open(
            TrackedRun(self._run, record.id, record.key, record.hyperparameters, is_new)
        )
        step = record.step if is_new else max(record.step, tracker.last_step())
        self._save(replace(record, id=id_, step=step))
        self._tracker = tracker
        return tracker

    def _send_rows(self, tracker: Tracker, rows: list[Row]) -> None:
        before = self._record()
        self._save(replace(before, step=rows[-1].step))
        try:
            tracker.log(rows)
        except Exception:
            self._save(before)
            raise

    def _record(self) -> TrackerRecord:
        record = load_record(self._run, self._name)
        assert record is not None
        return record

    def _save(self, record: TrackerRecord) -> None:
        save_record(self._run, self._name, record)


def without_secrets(text: str) -> str:
    """An error as one line, without passwords in addresses, long keys, and secrets of the
    environment.
    """
    for name, value in os.environ.items():
        if _SECRET_NAME.search(name.upper()) and len(value) >= _LEAST_SECRET:
            text = text.replace(value, "…")
    line = " ".join(_SECRET.sub("…", text).split()).rstrip(".")
    return line if len(line) <= _MOST_LETTERS else f"{line[:_MOST_LETTERS]}…"


class _End:
    """The end of the training: the word that it leaves, and whether it has come."""

    def __init__(self) -> None:
        self.status = Status.INTERRUPTED
        self.has_come = threading.Event()
        self._parent = os.getppid()
        threading.Thread(target=self._wait, daemon=True).start()

    def _wait(self) -> None:
        ready: list[int] = []
        while not ready and os.getppid() == self._parent:
            ready = select.select([sys.stdin.fileno()], [], [], _POLL_S)[0]
        if ready:
            word = os.read(sys.stdin.fileno(), _MOST_LETTERS).decode().strip()
            self.status = word or Status.INTERRUPTED
        self.has_come.set()
        time.sleep(CLOSE_S)
        os.killpg(os.getpid(), signal.SIGKILL)  # the package's own processes too


def follow(sender: Sender, end: _End, warn: Callable[[str], None]) -> bool:
    """Send until the training ends, and close; returns whether everything was sent."""
    is_failing, retry_at = False, 0.0
    while True:
        is_last = end.has_come.wait(_POLL_S)
        if time.monotonic() < retry_at and not is_last:
            continue
        try:
            sender.send()
            if is_last:
                sender.close(end.status)
                return True
            is_failing = False
        except Exception as error:
            if not is_failing:
                warn(without_secrets(f"{type(error).__name__}: {error}"))
            is_failing, retry_at = True, time.monotonic() + _RETRY_S
        if is_last:
            return False


def main() -> None:
    """Send as the arguments say; the exit status is 0 when everything was sent."""
    name, run = sys.argv[1], Path(sys.argv[2])
    os.nice(_NICENESS)
    for number in (signal.SIGINT, signal.SIGTERM):  # the end of the pipe ends it
        signal.signal(number, signal.SIG_IGN)
    with os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8") as reports:
        silence = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silence, sys.stdout.fileno())  # what packages print may hold keys
        os.dup2(silence, sys.stderr.fileno())

        def warn(text: str) -> None:
            with contextlib.suppress(OSError):  # the training is gone
                print(text, file=reports, flush=True)

        def leave_to_other() -> None:
            if end.has_come.wait(_POLL_S) and end.status == Status.RUNNING:
                os._exit(0)  # the sender of a training is at work, and sends everything

        end = _End()
        with file_lock(RunFolder(run).tracker_lock(name), on_wait=leave_to_other):
            is_sent = follow(Sender(run, name, lambda: build_tracker(name)), end, warn)
    # Packages wait at the exit for what they could not send.
    os._exit(0 if is_sent else 1)


if __name__ == "__main__":
    main()
