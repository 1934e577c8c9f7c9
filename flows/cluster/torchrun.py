"""Training by this process, or by several that torchrun starts; for flow and command alike."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from core.progress import Progress
from core.workspace import Workspace
from flows.removal.training_guard import require_none_forgotten
from storage import runs
from training.config import TrainConfig
from training.runtime.launcher import Torchrun, train_together

if TYPE_CHECKING:
    from training.train import TrainSummary

_KID_DISTANCE = "evaluation.validation:kid_distance"  # the name by which a child process imports it


def train_run(
    config: TrainConfig,
    dataset: Path,
    run: Path,
    workspace: Workspace,
    torchrun: Torchrun,
    progress: Progress,
) -> TrainSummary:
    """Train in ``run``, a folder of ``workspace``; returns the training's summary.

    Validates by KID where ``config`` asks for it. Checkpoints go to the workspace's bucket as they
    appear.

    The caller holds the run's lock. Raises what ``training.train`` raises, and ``SuyanError`` for a
    dataset that holds a forgotten picture.
    """
    require_none_forgotten(dataset, workspace)
    from evaluation.validation import kid_distance
    from training.train import train

    with runs.publisher(workspace, run.name):
        if torchrun.is_needed:
            name = _KID_DISTANCE if config.validate_every else ""
            return train_together(config, dataset, run, torchrun, progress=progress, distance=name)
        distance = kid_distance() if config.validate_every else None
        return train(config, dataset, run, progress=progress, distance=distance)
