"""Progress of a stage: log lines with the time still needed, bars and pictures in the Prefect UI.

What is shown is throttled by time, and in long stages by their length, so that a training of weeks
leaves hundreds of lines and not millions. A Prefect server that is away for a while stops nothing.
"""

from __future__ import annotations

import contextlib
import logging
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast
from uuid import UUID

from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.exceptions import MissingContextError
from prefect.logging import get_run_logger

_NUM_SHOWN = 24  # times that a training's page is written


def run_logger() -> logging.Logger | logging.LoggerAdapter[logging.Logger]:
    """The logger of the current flow or task run, or a plain one outside of any run."""
    try:
        return get_run_logger()
    except MissingContextError:
        return logging.getLogger("flows")


@contextlib.contextmanager
def shown() -> Iterator[None]:
    """What cannot be shown (the server is away, say) is a warning, no failure."""
    try:
        yield
    except Exception as error:
        run_logger().warning("cannot be shown in the Prefect UI now: %s", error)


def artifact_key(text: str) -> str:
    """``text`` as an artifact's key: lower-case letters, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "artifact"


def domains(name: str) -> str:
    """The two domains of the dataset version or run ``name``, which ends with digests:
    ``"makeup-bare"``.
    """
    return re.sub(r"(-[0-9a-f]{8,})+$", "", name)


class LogProgress:
    """A ``core.progress.Progress`` that logs at most one line in ``every_s`` seconds, and in a
    hundredth of the stage's time so far.

    A line names the stage, how far it is, and (once two calls told a rate) how long it still takes.
    The last step of a stage is always logged.
    """

    def __init__(
        self,
        log: Callable[[str], None],
        every_s: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._log = log
        self._every_s = every_s
        self._clock = clock
        self._stage = ""
        self._started = (0.0, 0)  # time and `done` of the stage's first call
        self._logged_at = float("-inf")
        self._last_line = ""

    def __call__(self, stage: str, done: int, total: int | None, message: str) -> None:
        now = self._clock()
        if stage != self._stage:
            self._stage, self._started, self._logged_at = stage, (now, done), float("-inf")
        finished = total is not None and done >= total
        pause = max(self._every_s, (now - self._started[0]) / 100)
        if now - self._logged_at < pause and not finished:
            return
        line = " · ".join(filter(None, [f"{stage} {self._measure(done, total, now)}", message]))
        if line != self._last_line:
            self._log(line)
        self._logged_at, self._last_line = now, line

    def _measure(self, done: int, total: int | None, now: float) -> str:
        if total is None:
            return f"{done}"
        text = f"{done}/{total} ({100 * done // max(total, 1)} %)"
        started_at, first_done = self._started
        if first_done < done < total:
            remaining_s = (now - started_at) * (total - done) / (done - first_done)
            text += f", about {duration(remaining_s)} left"
        return text


class ArtifactProgress:
    """A ``core.progress.Progress`` as a progress bar in the Prefect UI, and as log lines.

    The bar is brought up to date at most once in ``every_s`` seconds, and at the end of a stage.
    """

    def __init__(
        self, key: str, every_s: float = 5.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._key, self._every_s, self._clock = artifact_key(key), every_s, clock
        self._log = LogProgress(run_logger().info, every_s, clock)
        self._artifact: UUID | None = None
        self._updated_at = float("-inf")

    def __call__(self, stage: str, done: int, total: int | None, message: str) -> None:
        self._log(stage, done, total, message)
        now = self._clock()
        finished = total is not None and done >= total
        if now - self._updated_at < self._every_s and not finished:
            return
        self._updated_at = now
        share = 100 * min(done / total, 1) if total else 0.0
        text = f"{stage}: {done} of {total or '?'} · {message}"
        with shown():
            self._show(share, text)

    def _show(self, share: float, text: str) -> None:
        if self._artifact is None:
            made = create_progress_artifact(share, key=self._key, description=text)
            self._artifact = cast("UUID", made)  # a coroutine only where one is running
        else:
            update_progress_artifact(self._artifact, share, description=text)


class TrainingProgress:
    """The same for a training, and its page with sample grids, written about ``_NUM_SHOWN`` times
    as it goes on.

    ``show(state)`` writes the page; ``state`` says how far the training is.
    """

    def __init__(self, run: Path, show: Callable[[str], None]) -> None:
        self._run, self._show = run, show
        self._bar = ArtifactProgress(f"progress-{domains(run.name)}", every_s=10.0)
        self._next = 0.0  # share of the training from which on the next grid is shown
        self._last: Path | None = None

    def __call__(self, stage: str, done: int, total: int | None, message: str) -> None:
        self._bar(stage, done, total, message)
        share = done / total if total else 0.0
        if share < self._next:
            return
        grid = max((self._run / "samples").glob("*.jpg"), default=None)
        self._next = share + 1 / (5 * _NUM_SHOWN)  # looks again soon: the grid may be late
        if grid is not None and grid != self._last:
            self._last, self._next = grid, share + 1 / _NUM_SHOWN
            with shown():
                self._show(" · ".join(filter(None, [f"step {done} of {total or '?'}", message])))


def duration(seconds: float) -> str:
    """``seconds`` as a person would say it: ``"40 s"``, ``"3 min 20 s"``, ``"2 h 05 min"``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
