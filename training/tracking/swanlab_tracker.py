"""SwanLab, in the cloud or offline as ``SWANLAB_MODE`` says (``swanlab login``).

Offline data lie in the run's folder, unless ``SWANLAB_LOG_DIR`` names another one; ``swanlab sync``
sends them. ``SWANLAB_PROJECT_NAME`` names the project.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import swanlab

from core.workspace_folders import RunFolder
from training.tracking.tracker import PROJECT, Row, Status, TrackedRun, Tracker

_FOLDER_VARIABLES = {"SWANLAB_LOG_DIR", "SWANLAB_LOGDIR"}
_STATES = {Status.INTERRUPTED: "aborted"}  # of a run; all others: success


class _SwanlabTracker:
    def __init__(self) -> None:
        self._run: Any = None

    def open(self, run: TrackedRun) -> str:
        settings = swanlab.Settings.model_validate(
            {
                "interactive": False,
                "terminal": {"proxy_type": "none"},
                # The list of packages takes ten seconds; the rest is of this process alone.
                "probe": {"git": False, "monitor": False, "requirements": False},
            }
        )
        folder = RunFolder(run.folder).tracking / "swanlab"
        folder.mkdir(parents=True, exist_ok=True)
        id_ = run.id or run.key
        self._run = swanlab.init(
            project=settings.project.name or PROJECT,
            name=run.folder.name,
            id=id_,
            resume="allow",
            log_dir=None if _FOLDER_VARIABLES & os.environ.keys() else str(folder),
            config=dict(run.hyperparameters),
            settings=settings,
        )
        return id_

    def last_step(self) -> int:
        return -1  # it does not tell

    def log(self, rows: Sequence[Row]) -> None:
        for row in rows:
            pictures = {name: swanlab.Image(str(file)) for name, file in row.pictures.items()}
            self._run.log({**row.figures, **pictures}, step=row.step)

    def log_evaluation(self, step: int, figures: Mapping[str, float], num_before: int) -> None:
        del num_before  # SwanLab has steps of its own for each figure
        self._run.log(dict(figures), step=step)

    def close(self, status: str) -> None:
        self._run.finish(_STATES.get(status, "success"))


def build() -> Tracker:
    """A tracker that is not open yet."""
    return _SwanlabTracker()
