"""Progress of a stage in the Prefect UI: log lines, bars, and pages with pictures.

Updates are throttled by time, and in long stages by their length, so that a training of weeks
leaves hundreds of lines and not millions. A stage goes on while the Prefect server cannot be
reached.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast
from uuid import UUID

from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.client.orchestration import get_client
from prefect.exceptions import MissingContextError
from prefect.logging import get_run_logger
from prefect.runtime import flow_run

from core.language.messages import localised
from core.progress import LogProgress
from core.workspace_folders import RunFolder

RUN_OF_THIS_PROCESS = "PREFECT__FLOW_RUN_ID"
"""The environment variable that a worker sets for the process of a run."""

_NUM_PAGE_UPDATES = 24  # of a training's page


def run_logger() -> logging.Logger | logging.LoggerAdapter[logging.Logger]:
    """The logger of the current flow or task run, or a plain one outside of any run."""
    try:
        return get_run_logger()
    except MissingContextError:
        return logging.getLogger("flows")


@contextlib.contextmanager
def warn_on_error() -> Iterator[None]:
    """Turn an error of the block into a warning: a stage must not fail because of the UI."""
    try:
        yield
    except Exception as error:
        run_logger().warning(localised("the Prefect UI could not be updated: %s"), error)


def artifact_key(text: str) -> str:
    """``text`` as an artifact's key: lower-case letters, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "artifact"


def domains(name: str) -> str:
    """The two domains in the name of a dataset version or run, without its digests, e.g.
    ``"makeup-bare"``.
    """
    return re.sub(r"(-[0-9a-f]{8,})+$", "", name)


def _end_if_cancelled() -> None:
    """Send this process the signal of a worker, if a person cancelled a run that has no worker."""
    run_id = flow_run.get_id()
    if run_id is None or RUN_OF_THIS_PROCESS in os.environ:
        return
    with get_client(sync_client=True) as client:
        state = client.read_flow_run(UUID(run_id)).state
    if state is not None and state.is_cancelling():
        os.kill(os.getpid(), signal.SIGTERM)


class ArtifactProgress:
    """A ``core.progress.Progress`` as a progress bar in the Prefect UI, and as log lines.

    The bar is updated at most once in ``every_s`` seconds, and at the end of a stage.
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
        percent = 100 * min(done / total, 1) if total else 0.0
        text = localised(
            "{stage}: {done} of {total} · {message}",
            stage=localised(stage),
            done=done,
            total=total or "?",
            message=message,
        )
        with warn_on_error():
            self._update(percent, text)
            _end_if_cancelled()

    def _update(self, percent: float, text: str) -> None:
        if self._artifact is None:
            artifact = create_progress_artifact(percent, key=self._key, description=text)
            self._artifact = cast("UUID", artifact)  # a coroutine only inside a coroutine
        else:
            update_progress_artifact(self._artifact, percent, description=text)


class TrainingProgress:
    """Progress of a training: a bar, log lines, and a page with sample grids, which is written
    about ``_NUM_PAGE_UPDATES`` times.

    ``write_page(state)`` writes the page; ``state`` is the training's progress in words.
    """

    def __init__(self, run: Path, write_page: Callable[[str], None]) -> None:
        self._samples, self._write_page = RunFolder(run).samples_folder(), write_page
        self._bar = ArtifactProgress(f"progress-{domains(run.name)}", every_s=10.0)
        self._stage = ""
        self._next_share = 0.0  # of the stage's steps, at which the page is written again
        self._last_grid: Path | None = None

    def __call__(self, stage: str, done: int, total: int | None, message: str) -> None:
        self._bar(stage, done, total, message)
        if stage != self._stage:
            self._stage, self._next_share = stage, 0.0
        share = done / total if total else 0.0
        if share < self._next_share:
            return
        grid = max(self._samples.glob("*.jpg"), default=None)
        self._next_share = share + 1 / (5 * _NUM_PAGE_UPDATES)  # soon: the grid may be late
        if grid is not None and grid != self._last_grid:
            self._last_grid, self._next_share = grid, share + 1 / _NUM_PAGE_UPDATES
            with warn_on_error():
                self._write_page(
                    " · ".join(filter(None, [f"step {done} of {total or '?'}", message]))
                )
