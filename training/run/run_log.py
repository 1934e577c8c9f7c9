"""The training log: JSON lines and TensorBoard, cut back to the step that a run resumes from."""

from __future__ import annotations

import errno
import json
import logging
import math
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.files import atomic_file, canonical_json
from core.language.messages import localised
from core.workspace_folders import RunFolder
from training.tracking.tensorboard_summaries import add_hyperparameters
from training.tracking.tracker import Value

_logger = logging.getLogger(__name__)
_LEAST_FREE_BYTES = 2**20  # on a full disk TensorBoard's thread dies and prints a traceback


class EventKind(StrEnum):
    """Kinds of events in a training that a person should know of."""

    ROLLBACK = "rollback"  # to the last checkpoint, after a loss or weight that is not finite
    SATURATION = "saturation"  # of a discriminator
    COLLAPSE = "collapse"  # of the generators
    EARLY_STOP = "early-stop"
    NOT_SAVED = "not-saved"  # a checkpoint or sample grid


class TrainingLog:
    """Writes three files of JSON lines, and the same to ``run/tensorboard/``.

    ``log.jsonl``: ``{step, epoch, learning_rate, seconds, images_per_s, …, <loss>: …}``;
    ``measures.jsonl``: ``{step, <measure>: …}`` (``variety``, ``validation_A2B``, …);
    ``events.jsonl``: ``{step, event, message}``, for people.

    TensorBoard gets the ``hyperparameters`` too. A row that cannot be written (a full disk) is left
    out, and training goes on.
    """

    def __init__(
        self, run: Path, resumed_step: int, hyperparameters: Mapping[str, Value] | None = None
    ) -> None:
        self._files, self._hyperparameters = RunFolder(run), hyperparameters
        self._cut(resumed_step)
        self._board: Any = None
        self._is_failing = False
        with self._tolerate_full_disk():
            self._open(resumed_step)

    def close(self) -> None:
        """Flush and close TensorBoard's file."""
        with self._tolerate_full_disk():
            if self._board is not None:
                self._board.close()

    def write(self, row: dict[str, Any]) -> None:
        """Append one row of figures, readable at once."""
        with self._tolerate_full_disk():
            _append(self._files.log, row)
            self._add_scalars(row)

    def measure(self, step: int, values: dict[str, float]) -> None:
        """Append the measures of ``step``."""
        with self._tolerate_full_disk():
            _append(self._files.measures, {"step": step, **values})
            self._add_scalars({"step": step, **values})

    def event(self, step: int, kind: EventKind, message: str) -> None:
        """Append one event."""
        with self._tolerate_full_disk():
            _append(self._files.events, {"step": step, "event": kind.value, "message": message})
            self._open(step)
            self._board.add_text(kind.value, message, step)

    def picture(self, step: int, name: str, grid: NDArray[np.uint8]) -> None:
        """Add a ``[H, W, 3]`` uint8 picture to TensorBoard, unless the last write failed."""
        if self._is_failing:
            return
        with self._tolerate_full_disk():
            self._open(step)
            self._board.add_image(name, grid, step, dataformats="HWC")

    def go_back(self, step: int) -> None:
        """Remove rows of figures and measures after ``step``; events stay."""
        with self._tolerate_full_disk():
            self._cut(step)

    @contextmanager
    def _tolerate_full_disk(self) -> Iterator[None]:
        """Turn an error of writing into a warning, logged once until writing works again."""
        try:
            yield
        except OSError as error:
            if not self._is_failing:
                _logger.warning(localised("the log cannot be written: %s; training goes on"), error)
            self._is_failing = True
            if self._board is not None:  # its thread is dead: the next write opens another writer
                with suppress(OSError):
                    self._board.close()
                self._board = None
        else:
            self._is_failing = False

    def _open(self, step: int) -> None:
        if shutil.disk_usage(self._files.path).free < _LEAST_FREE_BYTES:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._files.tensorboard))
        if self._board is not None:
            return
        # Slow to import, and only training needs it.
        from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415

        self._board = SummaryWriter(str(self._files.tensorboard), purge_step=step + 1)
        if self._hyperparameters:
            add_hyperparameters(self._board, self._hyperparameters)

    def _add_scalars(self, row: dict[str, Any]) -> None:
        self._open(row["step"] - 1)
        for name, value in row.items():
            if name not in {"step", "epoch"}:
                self._board.add_scalar(name, value, row["step"])

    def _cut(self, step: int) -> None:
        files = self._files
        for path, last in ((files.log, step), (files.measures, step), (files.events, math.inf)):
            lines = b"".join(_line(row) for row in read_log(path) if row["step"] <= last)
            if path.exists() and path.read_bytes() != lines:
                with atomic_file(path) as file:
                    file.write(lines)


def read_log(path: Path) -> list[dict[str, Any]]:
    """The rows of a log of JSON lines, without a torn last line; ``[]`` where there is no file."""
    rows = []
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                rows.append(json.loads(line))
            except json.JSONDecodeError:
                break
    return rows


def _append(path: Path, row: dict[str, Any]) -> None:
    """Append a line whole, or leave the file as it was and raise ``OSError``."""
    line = _line(row)
    with path.open("ab", buffering=0) as file:
        size, num = file.seek(0, os.SEEK_END), 0
        try:
            num = file.write(line)
        finally:
            if num < len(line):
                file.truncate(size)
    if num < len(line):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))


def _line(row: dict[str, Any]) -> bytes:
    return f"{canonical_json(row)}\n".encode()
