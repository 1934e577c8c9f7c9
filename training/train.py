"""The stage's verb: train a CycleGAN on a dataset version, or go on where the last run ended."""

from __future__ import annotations

import logging
import math
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from scraping.records import CheckpointError, Progress, SuyanError, claim_folder, silent
from training.checkpoint import Position, checkpoints, load_state, load_weights, save_checkpoint
from training.config import TrainConfig
from training.data import UnalignedPictures
from training.interrupt import DeferredSignals
from training.log import TrainingLog
from training.samples import Samples
from training.schedule import learning_rate
from training.step import CycleGan, build

_logger = logging.getLogger(__name__)
_LOG_EVERY = 10  # steps


@dataclass(frozen=True)
class TrainSummary:
    """What a call of ``train`` did; ``seconds`` and ``resumed_from_step`` are this call's own."""

    run: Path
    checkpoint: Path
    steps: int
    epochs: int
    seconds: float
    resumed_from_step: int


def train(
    config: TrainConfig, dataset: Path, run: Path, *, progress: Progress = silent
) -> TrainSummary:
    """Train to the end of the last epoch and return the last checkpoint.

    Run again after any interruption: it goes on from the last whole checkpoint and, on a CPU with
    the same number of threads, ends with bitwise the weights of an uninterrupted run.

    Raises ``ValueError`` for a dataset without pictures, ``FolderMismatchError`` when ``run`` holds
    another configuration's work, ``SuyanError`` when a loss is no longer finite.
    """
    started = time.monotonic()
    claim_folder(run, {"train": config.model_dump(mode="json"), "dataset": dataset.name})
    if config.num_threads:
        torch.set_num_threads(config.num_threads)
    pictures = UnalignedPictures(dataset, config)
    samples = Samples(dataset, config.crop_px)
    gan = build(config)
    resumed = _resume(gan, run)
    num_epochs = config.num_epochs + config.num_epochs_decay
    position = resumed
    with DeferredSignals() as signals, TrainingLog(run / "log.jsonl", resumed.step) as log:
        loop = _Loop(gan, run, samples, log, num_epochs * pictures.num_batches, progress)
        loop.begin(position)
        for epoch in range(resumed.epoch, num_epochs + 1):
            gan.set_learning_rate(learning_rate(config, epoch))
            first = position.batch if epoch == position.epoch else 0
            for index, batch in enumerate(pictures.batches(epoch, first), start=first):
                losses = gan.step(batch.a.to(gan.device), batch.b.to(gan.device))
                position = Position(position.step + 1, epoch, index + 1)
                loop.after_step(position, losses)
                if signals.pending is not None:
                    loop.save(position)
                    signals.deliver()
        checkpoint = loop.save(position)
    return TrainSummary(
        run=run,
        checkpoint=checkpoint,
        steps=position.step,
        epochs=position.epoch,
        seconds=time.monotonic() - started,
        resumed_from_step=resumed.step,
    )


class _Loop:
    """What happens between steps: log, samples, checkpoints, progress."""

    def __init__(
        self,
        gan: CycleGan,
        run: Path,
        samples: Samples,
        log: TrainingLog,
        num_steps: int,
        progress: Progress,
    ) -> None:
        self._gan, self._run, self._samples, self._log = gan, run, samples, log
        self._num_steps, self._progress = num_steps, progress
        self._started = time.monotonic()

    def begin(self, position: Position) -> None:
        message = f"goes on from step {position.step}" if position.step else ""
        self._progress("train", position.step, self._num_steps, message)
        if position.step == 0:
            self._sample(0)

    def after_step(self, position: Position, losses: dict[str, float]) -> None:
        step, config = position.step, self._gan.config
        if not all(math.isfinite(loss) for loss in losses.values()):
            raise SuyanError(
                f"the losses are no longer finite at step {step}: {losses}. The last checkpoint is "
                "kept; try a lower learning_rate"
            )
        if step % _LOG_EVERY == 0 or step == self._num_steps:
            self._log.write(
                {
                    "step": step,
                    "epoch": position.epoch,
                    "learning_rate": learning_rate(config, position.epoch),
                    "seconds": round(time.monotonic() - self._started, 3),
                    **losses,
                }
            )
        if step % config.sample_every == 0 or step == self._num_steps:
            self._sample(step)
        if step % config.checkpoint_every == 0:
            self.save(position)
        cycle = losses["cycle_A"] + losses["cycle_B"]
        message = f"epoch {position.epoch}, cycle loss {cycle:.2f}"
        self._progress("train", step, self._num_steps, message)

    def save(self, position: Position) -> Path:
        gan = self._gan
        state = {
            "optimizer_G": gan.optimizer_G.state_dict(),
            "optimizer_D": gan.optimizer_D.state_dict(),
            "pool_A": gan.pool_A.state_dict(),
            "pool_B": gan.pool_B.state_dict(),
        }
        return save_checkpoint(self._run, position, gan.config, gan.networks(), state)

    def _sample(self, step: int) -> None:
        path = self._run / "samples" / f"step_{step:08d}.jpg"
        self._samples.write(path, self._gan.G_A, self._gan.G_B, self._gan.device)


def _resume(gan: CycleGan, run: Path) -> Position:
    """Fill ``gan`` from the newest checkpoint that can be read; where training stands."""
    for checkpoint in checkpoints(run):
        try:
            state, position = load_state(checkpoint)
            for name, network in gan.networks().items():
                load_weights(checkpoint / f"{name}.safetensors", network)
            gan.optimizer_G.load_state_dict(state["optimizer_G"])
            gan.optimizer_D.load_state_dict(state["optimizer_D"])
            gan.pool_A.load_state_dict(state["pool_A"], gan.device)
            gan.pool_B.load_state_dict(state["pool_B"], gan.device)
        except (CheckpointError, KeyError, ValueError) as error:
            torn = checkpoint.with_name(f"torn-{checkpoint.name}")
            checkpoint.rename(torn)
            _logger.warning("%s cannot be used, trying the one before it: %s", torn, error)
            continue
        return position
    if (run / "checkpoints").is_dir() and any((run / "checkpoints").glob("torn-*")):
        _logger.warning("%s: no checkpoint can be used; training starts again", run)
        fresh = build(gan.config)
        for name, network in gan.networks().items():
            network.load_state_dict(fresh.networks()[name].state_dict())
    return Position(step=0, epoch=1, batch=0)
