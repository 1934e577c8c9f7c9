"""Hyperparameters and the figures of evaluations in a run's TensorBoard."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.workspace_folders import RunFolder
from training.tracking.tracker import Value


def add_hyperparameters(writer: Any, values: Mapping[str, Value]) -> None:
    """Add a run's hyperparameters to a ``SummaryWriter``.

    ``SummaryWriter.add_hparams`` would make a folder, and so a run, of its own. Without a list of
    metrics TensorBoard's table takes all scalars of the run, also those that come later.
    """
    from torch.utils.tensorboard.summary import hparams  # noqa: PLC0415 - slow to import

    _, start, _ = hparams(dict(values), {})  # type: ignore[no-untyped-call]
    writer.file_writer.add_summary(start)


def write_evaluation(run: Path, checkpoint: str, step: int, figures: Mapping[str, float]) -> None:
    """Write the figures of a checkpoint as scalars at ``step``, in place of its former ones."""
    from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415 - slow to import

    folder, suffix = RunFolder(run).tensorboard, f".evaluation.{checkpoint}"
    former = list(folder.glob(f"events.out.tfevents.*{suffix}"))
    writer = SummaryWriter(str(folder), filename_suffix=suffix)
    for name, value in figures.items():
        writer.add_scalar(name, value, step)
    writer.close()
    for path in former:
        path.unlink(missing_ok=True)
