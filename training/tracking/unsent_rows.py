"""What a run's folder holds that its tracker does not have yet: rows of the log, measures, sample
grids, and the figures of evaluations.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.files import digest, try_load_json
from core.workspace_folders import EvaluationFolder, RunFolder
from training.tracking.tracker import Row

_STEP = re.compile(r"step_(\d{8})")
_NOT_FIGURES = {"step", "epoch"}


@dataclass(frozen=True)
class EvaluatedFigures:
    """The figures of the checkpoint at ``step``, with a digest of them."""

    checkpoint: str
    step: int
    figures: Mapping[str, float]
    digest: str


class UnsentRows:
    """The rows of a run's folder, of which each call reads only what was written since the last.

    A step is complete once the log has a later one or a checkpoint is saved after it: nothing more
    is written of it, also not by a training that resumes.
    """

    def __init__(self, run: Path) -> None:
        self._files = RunFolder(run)
        self._log, self._measures = _Tail(self._files.log), _Tail(self._files.measures)

    def after(self, last_step: int) -> list[Row]:
        """The complete rows after ``last_step``, the oldest first."""
        figures = defaultdict[int, dict[str, float]](dict)
        pictures = defaultdict[int, dict[str, Path]](dict)
        saved = max(map(_step, self._files.checkpoints.glob("step_*")), default=-1)
        log = self._log.after(last_step)  # before the measures, which follow a step's row
        end = max(saved + 1, log[-1]["step"] if log else 0)
        for row in [*log, *self._measures.after(last_step)]:
            figures[row["step"]].update(_figures(row))
        for is_averaged in (False, True):
            folder = self._files.samples_folder(averaged=is_averaged)
            for path in folder.glob("step_*.jpg"):
                pictures[_step(path)][folder.name] = path
        return [
            Row(step, figures[step], pictures[step])
            for step in sorted({*figures, *pictures})
            if last_step < step < end
        ]


def unsent_evaluations(run: Path, sent: Mapping[str, str]) -> Iterator[EvaluatedFigures]:
    """The evaluations whose digest differs from the one that was ``sent``, by checkpoint."""
    for path in sorted(RunFolder(run).evaluations.glob("step_*/")):
        figures = (try_load_json(EvaluationFolder(path).figures) or {}).get("figures", {})
        value = digest(figures)
        if figures and sent.get(path.name) != value:
            yield EvaluatedFigures(path.name, _step(path), figures, value)


class _Tail:
    """Reads the lines that are appended to a log; the whole of it when the log was cut back."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._inode, self._num_bytes = 0, 0
        self._rows: list[dict[str, Any]] = []

    def after(self, last_step: int) -> list[dict[str, Any]]:
        """The rows after ``last_step``; those up to it are not kept."""
        with contextlib.suppress(FileNotFoundError), self._path.open("rb") as file:
            state = os.fstat(file.fileno())
            if state.st_ino != self._inode or state.st_size < self._num_bytes:
                self._inode, self._num_bytes, self._rows = state.st_ino, 0, []
            file.seek(self._num_bytes)
            for line in file:
                if not line.endswith(b"\n"):
                    break  # it is being written
                self._num_bytes += len(line)
                self._rows.append(json.loads(line))
        self._rows = [row for row in self._rows if row["step"] > last_step]
        return self._rows


def _step(path: Path) -> int:
    """The step in a name such as ``step_00000500.jpg``; -1 in others."""
    match = _STEP.match(path.name)
    return int(match[1]) if match else -1


def _figures(row: Mapping[str, float]) -> dict[str, float]:
    return {name: float(value) for name, value in row.items() if name not in _NOT_FIGURES}
