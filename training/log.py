"""The training log: JSON lines and TensorBoard, cut back to the step that a run resumes from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scraping.records import atomic_file, canonical_json


class TrainingLog:
    """Writes three files of JSON lines, and all of it to ``run/tensorboard/`` too.

    ``log.jsonl``: ``{step, epoch, learning_rate, seconds, images_per_s, …, <loss>: …}``;
    ``measures.jsonl``: what is measured now and then (``variety``, ``validation_A2B``, …);
    ``events.jsonl``: ``{step, event, message}``, what a person should know.
    """

    def __init__(self, run: Path, resumed_step: int) -> None:
        # Imported here: evaluation and serving, which read checkpoints, do not need it.
        from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415

        self._figures, self._measures, self._events = (
            run / f"{name}.jsonl" for name in ("log", "measures", "events")
        )
        self._cut(resumed_step)
        self._board = SummaryWriter(str(run / "tensorboard"), purge_step=resumed_step + 1)

    def close(self) -> None:
        """Flush and close what TensorBoard reads."""
        self._board.close()

    def write(self, row: dict[str, Any]) -> None:
        """Append one row of figures; a reader sees it at once."""
        _append(self._figures, row)
        self._show(row)

    def measure(self, step: int, values: dict[str, float]) -> None:
        """Append what was measured at ``step``."""
        _append(self._measures, {"step": step, **values})
        self._show({"step": step, **values})

    def event(self, step: int, event: str, message: str) -> None:
        """Append one event."""
        _append(self._events, {"step": step, "event": event, "message": message})
        self._board.add_text(event, message, step)

    def picture(self, step: int, name: str, grid: NDArray[np.uint8]) -> None:
        """Show a ``[H, W, 3]`` picture in TensorBoard."""
        self._board.add_image(name, grid, step, dataformats="HWC")

    def go_back(self, step: int) -> None:
        """Forget the figures after ``step``; events stay."""
        self._cut(step)

    def _show(self, row: dict[str, Any]) -> None:
        for name, value in row.items():
            if name not in {"step", "epoch"}:
                self._board.add_scalar(name, value, row["step"])

    def _cut(self, step: int) -> None:
        for path in (self._figures, self._measures):
            kept = [row for row in read_log(path) if row["step"] <= step]
            with atomic_file(path) as file:
                file.writelines(f"{canonical_json(row)}\n".encode() for row in kept)


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
    with path.open("a", encoding="utf-8") as file:
        file.write(f"{canonical_json(row)}\n")
