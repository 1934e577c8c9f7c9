"""Weights & Biases, online or offline as its own settings say (``WANDB_MODE``, ``wandb login``).

Offline data lie in the run's folder, unless ``WANDB_DIR`` names another one; ``wandb sync`` sends
them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import wandb

from core.workspace_folders import RunFolder
from training.tracking.tracker import PROJECT, Row, Status, TrackedRun, Tracker

_FLUSH_S = 1.0  # of the offline file, so that a power cut costs little
_STEP_OF_EVALUATION = "eval/step"


class _WandbTracker:
    def __init__(self) -> None:
        self._run: Any = None
        self._last_step = -1

    def open(self, run: TrackedRun) -> str:
        folder = RunFolder(run.folder).tracking
        folder.mkdir(exist_ok=True)
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT") or PROJECT,
            id=run.id or run.key,
            name=run.folder.name,
            resume="allow",
            dir=os.environ.get("WANDB_DIR") or str(folder),
            config=dict(run.hyperparameters),
            settings=wandb.Settings(
                console="off",
                silent=True,
                disable_git=True,
                disable_code=True,
                x_disable_stats=True,  # of this process, not of the training
                x_transaction_log_flush_interval=_FLUSH_S,
            ),
        )
        self._run.define_metric(_STEP_OF_EVALUATION, hidden=True)
        self._run.define_metric("eval*", step_metric=_STEP_OF_EVALUATION)
        return str(self._run.id)

    def last_step(self) -> int:
        return -1  # its counter has run on with evaluations; it drops steps that it has by itself

    def log(self, rows: Sequence[Row]) -> None:
        for row in rows:
            pictures = {name: wandb.Image(str(file)) for name, file in row.pictures.items()}
            self._run.log({**row.figures, **pictures}, step=row.step)
            self._last_step = row.step

    def log_evaluation(self, step: int, figures: Mapping[str, float], num_before: int) -> None:
        # A step of its own after the training's, since W&B drops rows of earlier steps.
        own_step = max(self._run.step, max(self._last_step, step) + 1 + num_before)
        self._run.log({**figures, _STEP_OF_EVALUATION: step}, step=own_step)

    def close(self, status: str) -> None:
        self._run.finish(exit_code=1 if status == Status.INTERRUPTED else 0)


def build() -> Tracker:
    """A tracker that is not open yet."""
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    return _WandbTracker()
