"""The training log: JSON lines and TensorBoard, cut back to the step that a run resumes from."""

from __future__ import annotations

import errno
import json
import logging
import math
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.files import atomic_file, canonical_json

_logger = logging.getLogger(__name__)
_LEAST_FREE = 2**20  # bytes: TensorBoard's thread would die of a full disk, and print why


class TrainingLog:
    """Writes three files of JSON lines, and all of it to ``run/tensorboard/`` too.

    ``log.jsonl``: ``{step, epoch, learning_rate, seconds, images_per_s, …, <loss>: …}``;
    ``measures.jsonl``: what is measured now and then (``variety``, ``validation_A2B``, …);
    ``events.jsonl``: ``{step, event, message}``, what a person should know.

    What a full disk does not take is missing there, and training goes on.
    """

    def __init__(self, run: Path, resumed_step: int) -> None:
        self._figures, self._measures, self._events = (
            run / f"{name}.jsonl" for name in ("log", "measures", "events")
        )
        self._cut(resumed_step)
        self._folder = run / "tensorboard"
        self._board: Any = None
        self._is_failing = False
        with self._what_fits():
            self._open(resumed_step)

    def close(self) -> None:
        """Flush and close what TensorBoard reads."""
        with self._what_fits():
            if self._board is not None:
                self._board.close()

    def write(self, row: dict[str, Any]) -> None:
        """Append one row of figures; a reader sees it at once."""
        with self._what_fits():
            _append(self._figures, row)
            self._show(row)

    def measure(self, step: int, values: dict[str, float]) -> None:
        """Append what was measured at ``step``."""
        with self._what_fits():
            _append(self._measures, {"step": step, **values})
            self._show({"step": step, **values})

    def event(self, step: int, event: str, message: str) -> None:
        """Append one event."""
        with self._what_fits():
            _append(self._events, {"step": step, "event": event, "message": message})
            self._open(step)
            self._board.add_text(event, message, step)

    def picture(self, step: int, name: str, grid: NDArray[np.uint8]) -> None:
        """Show a ``[H, W, 3]`` picture in TensorBoard."""
        if self._is_failing:  # until a row has been written again
            return
        with self._what_fits():
            self._open(step)
            self._board.add_image(name, grid, step, dataformats="HWC")

    def go_back(self, step: int) -> None:
        """Forget the figures after ``step``; events stay."""
        with self._what_fits():
            self._cut(step)

    @contextmanager
    def _what_fits(self) -> Iterator[None]:
        """What cannot be written is left out, and said once for as long as that lasts."""
        try:
            yield
        except OSError as error:
            if not self._is_failing:
                _logger.warning("the log cannot be written: %s; training goes on", error)
            self._is_failing = True
            if self._board is not None:  # its thread has died of it: the next write opens another
                with suppress(OSError):
                    self._board.close()
                self._board = None
        else:
            self._is_failing = False

    def _open(self, step: int) -> None:
        if shutil.disk_usage(self._folder.parent).free < _LEAST_FREE:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._folder))
        if self._board is not None:
            return
        # Imported here: evaluation and serving, which read checkpoints, do not need it.
        from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415

        self._board = SummaryWriter(str(self._folder), purge_step=step + 1)

    def _show(self, row: dict[str, Any]) -> None:
        self._open(row["step"] - 1)
        for name, value in row.items():
            if name not in {"step", "epoch"}:
                self._board.add_scalar(name, value, row["step"])

    def _cut(self, step: int) -> None:
        for path, last in ((self._figures, step), (self._measures, step), (self._events, math.inf)):
            kept = b"".join(_line(row) for row in read_log(path) if row["step"] <= last)
            if path.exists() and path.read_bytes() != kept:
                with atomic_file(path) as file:
                    file.write(kept)


def read_log(path: Path) -> list[dict[str, Any]]:
    """The rows of a log; a torn last line is left out. No file, no rows."""
    rows = []
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                rows.append(json.loads(line))
            except json.JSONDecodeError:
                break
    return rows


def _append(path: Path, row: dict[str, Any]) -> None:
    """Append a whole line, or nothing and raise ``OSError``."""
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
