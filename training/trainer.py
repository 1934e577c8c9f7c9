"""The training loop: steps, and what happens between them."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from numpy.typing import NDArray
from torch import nn

from core.errors import SuyanError
from core.progress import Progress
from training.algorithm.cyclegan import CycleGan
from training.algorithm.schedules import cycle_share, feature_share, learning_rate
from training.build import plain_generators
from training.data.dataset import UnalignedPictures, prefetch
from training.data.tensors import to_pictures, to_tensor
from training.run.checkpoint import Position, latest_checkpoint, save_checkpoint
from training.run.monitors import Guards, all_finite
from training.run.run_log import TrainingLog
from training.run.sample_grid import SampleGrid
from training.run.signals import DeferredSignals
from training.run.state import Standing, restore, state_dict

_logger = logging.getLogger(__name__)
_LOG_EVERY = 10  # steps
_VALIDATION_BATCH = 8


class _NotFiniteError(Exception):
    """A loss or a weight is no longer a number."""


class Loop:
    """Trains ``gan`` to its end. Only the first process logs, samples, validates and saves."""

    def __init__(
        self,
        gan: CycleGan,
        run: Path,
        pictures: UnalignedPictures,
        samples: SampleGrid,
        log: TrainingLog | None,
        signals: DeferredSignals,
        progress: Progress,
        distance: Callable[[NDArray[np.uint8], NDArray[np.uint8]], float] | None,
    ) -> None:
        self._gan, self._run, self._pictures, self._samples = gan, run, pictures, samples
        self._log, self._signals, self._progress = log, signals, progress
        self._distance = distance
        self._config = gan.config
        self._num_epochs = gan.config.num_epochs + gan.config.num_epochs_decay
        self._num_steps = pictures.num_batches * self._num_epochs
        # On a GPU, reading a loss waits for it.
        self._read_every = 1 if gan.device.type == "cpu" else _LOG_EVERY
        self._guards = Guards(gan.config.gan_loss)
        self._pace = _Pace(gan.config.batch_size, gan.device)
        self.events: list[str] = []

    def run(self, standing: Standing) -> Standing:
        """Train from ``standing`` on; where the run stands at its end, which is saved.

        Raises ``SuyanError`` after too many rollbacks.
        """
        self._standing = standing
        position = standing.position
        message = f"goes on from step {position.step}" if position.step else ""
        self._progress("train", position.step, self._num_steps, message)
        if position.step == 0:
            self._sample()
        self._pace.start(position.step)
        while True:
            try:
                while not self._is_done():
                    self._epoch()
                self._save(is_last=True)
            except _NotFiniteError as error:
                self._roll_back(str(error))
            else:
                return self._standing

    def _is_done(self) -> bool:
        return self._standing.position.epoch > self._num_epochs or self._standing.is_stopped

    def _epoch(self) -> None:
        """The rest of the epoch that the run stands in."""
        standing, config, gan = self._standing, self._config, self._gan
        epoch, first = standing.position.epoch, standing.position.batch
        rate = learning_rate(config, epoch, standing.plateau) * standing.rate_scale
        gan.set_learning_rate(rate)
        gan.cycle_share, gan.feature_share = (
            cycle_share(config, epoch),
            feature_share(config, epoch),
        )
        for index, batch in enumerate(prefetch(self._pictures.batches(epoch, first)), start=first):
            losses = gan.step(*batch.to(gan.device))
            standing.position = Position(standing.position.step + 1, epoch, index + 1)
            self._after_step(losses, rate)
            if index + 1 < self._pictures.num_batches:
                self._save_if_due()
        self._end_epoch(epoch)
        self._save_if_due()  # after the epoch's validation, whose outcome is part of the standing

    def _after_step(self, losses: dict[str, torch.Tensor], rate: float) -> None:
        step, config = self._standing.position.step, self._config
        is_last = step == self._num_steps
        if step % self._read_every == 0 or is_last:
            values = self._read(losses)
            self._standing.cycle_sum += values["cycle_A"] + values["cycle_B"]
            if step % _LOG_EVERY == 0 or is_last:
                self._note(values, rate)
            cycle = values["cycle_A"] + values["cycle_B"]
            message = f"epoch {self._standing.position.epoch}, cycle loss {cycle:.2f}"
            self._progress("train", step, self._num_steps, f"{message}, {self._pace}")
        if step % config.sample_every == 0 or is_last:
            self._sample()

    def _save_if_due(self) -> None:
        is_signalled = self._gan.world.any(self._signals.pending is not None)
        if is_signalled or self._standing.position.step % self._config.checkpoint_every == 0:
            self._save()
        if is_signalled:
            if self._log is not None:
                kept = latest_checkpoint(self._run)
                _logger.warning("told to stop: saved as %s; run the same again to go on", kept)
            self._signals.deliver()

    def _read(self, losses: dict[str, torch.Tensor]) -> dict[str, float]:
        """The losses as numbers, over all processes. Raises ``_NotFiniteError``."""
        stacked = self._gan.world.mean(torch.stack([loss.float() for loss in losses.values()]))
        values = dict(zip(losses, stacked.tolist(), strict=True))
        if not all_finite(values):
            raise _NotFiniteError(f"losses {values}")
        return values

    def _note(self, losses: dict[str, float], rate: float) -> None:
        position = self._standing.position
        self._pace.note(position.step)
        if self._log is not None:
            row: dict[str, Any] = {
                "step": position.step,
                "epoch": position.epoch,
                "learning_rate": rate,
                **self._pace.figures(self._num_steps - position.step),
                **losses,
            }
            self._log.write(row)
        self._tell("saturation", self._guards.saturation(losses))

    def _end_epoch(self, epoch: int) -> None:
        standing, config = self._standing, self._config
        value = standing.cycle_sum
        is_best = False
        if config.validate_every and epoch % config.validate_every == 0:
            value = self._validate()
            is_best = value < standing.best_score
            standing.best_score = min(value, standing.best_score)
            standing.num_worse = 0 if is_best else standing.num_worse + 1
            standing.is_stopped = bool(config.patience) and standing.num_worse >= config.patience
        standing.plateau.after_epoch(value)
        standing.cycle_sum = 0.0
        standing.position = Position(standing.position.step, epoch + 1, 0)
        if is_best:
            self._save(best_score=value)
        if standing.is_stopped:
            message = f"no better validation in {config.patience}: stopped after epoch {epoch}"
            self._tell("early-stop", message)

    def _validate(self) -> float:
        """The mean distance of both directions' translations to the target's held-back pictures."""
        held_back = self._pictures.held_back
        assert held_back is not None
        assert self._distance is not None
        a, b = held_back
        score = 0.0
        for name, generators in self._generators().items():
            G_A, G_B = generators
            there = self._distance(self._translated(G_A, a), b)
            back = self._distance(self._translated(G_B, b), a)
            if self._log is not None:
                values = {f"validation{name}_A2B": there, f"validation{name}_B2A": back}
                self._log.measure(self._standing.position.step, values)
            score = (there + back) / 2  # the averages', where there are any
        return score

    @torch.no_grad()
    def _translated(self, generator: nn.Module, pictures: NDArray[np.uint8]) -> NDArray[np.uint8]:
        parts = [
            generator(to_tensor(pictures[start : start + _VALIDATION_BATCH]).to(self._gan.device))
            for start in range(0, len(pictures), _VALIDATION_BATCH)
        ]
        return np.concatenate([to_pictures(part) for part in parts])

    def _generators(self) -> dict[str, tuple[nn.Module, nn.Module]]:
        """Raw generators under ``""``, their averages, where there are any, under ``"_ema"``."""
        found = {"": plain_generators(self._gan)}
        averages = self._gan.averages
        if averages:
            found["_ema"] = (averages["G_A"].network, averages["G_B"].network)
        return found

    def _sample(self) -> None:
        if self._log is None:
            return
        step = self._standing.position.step
        for name, generators in self._generators().items():
            path = self._run / f"samples{name}" / f"step_{step:08d}.jpg"
            try:
                grid, variety = self._samples.write(path, *generators, self._gan.device)
            except OSError as error:
                self._tell("not-saved", f"{path} cannot be written: {error}; training goes on")
                continue
            self._log.picture(step, f"samples{name}", grid)
            if step > 0 and not name:
                self._log.measure(step, {"variety": variety})
                self._tell("collapse", self._guards.collapse(variety))

    def _save(self, *, is_last: bool = False, best_score: float | None = None) -> None:
        """Write the checkpoint of where the run stands, or say that the disk did not take it."""
        gan, standing = self._gan, self._standing
        for name, network in gan.networks().items():
            if not all(bool(torch.isfinite(p).all()) for p in network.parameters()):
                raise _NotFiniteError(f"weights of {name}")
        if self._log is None:
            return
        try:
            save_checkpoint(
                self._run,
                standing.position,
                gan.config,
                gan.networks(),
                state_dict(gan, standing),
                best_score=best_score,
            )
        except OSError as error:
            if is_last:
                raise
            kept = latest_checkpoint(self._run)
            self._tell("not-saved", f"{error}; training goes on, and the last one is {kept}")

    def _roll_back(self, what: str) -> None:
        num, step = self._standing.num_rollbacks + 1, self._standing.position.step
        scale = self._standing.rate_scale / 2
        if num > self._config.max_rollbacks:
            raise SuyanError(
                f"not finite at step {step}: {what}, after {num - 1} rollbacks. The last "
                f"checkpoint is kept ({latest_checkpoint(self._run)}); try a lower learning_rate"
            )
        self._standing = restore(self._gan, self._run)
        self._standing.num_rollbacks, self._standing.rate_scale = num, scale
        back = self._standing.position.step
        self._tell(
            "rollback",
            f"not finite at step {step}: {what}; back to step {back}, "
            f"at {scale:g} of the learning rate",
        )
        self._pace.start(back)
        if self._log is not None:
            self._log.go_back(back)

    def _tell(self, event: str, message: str | None) -> None:
        if message is None or self._log is None:
            return
        step = self._standing.position.step
        _logger.warning("step %d: %s", step, message)
        self._log.event(step, event, message)
        self.events.append(f"{event} at step {step}: {message}")


class _Pace:
    """Images a second since the last note, time still needed, and memory."""

    def __init__(self, batch_size: int, device: torch.device) -> None:
        self._batch_size = batch_size
        self._device = device
        self._process = psutil.Process()

    def start(self, step: int) -> None:
        self._began = self._noted_at = time.monotonic()
        self._noted, self._rate = step, 0.0

    def note(self, step: int) -> None:
        now = time.monotonic()
        if step > self._noted:
            self._rate = (step - self._noted) * self._batch_size / max(now - self._noted_at, 1e-9)
        self._noted, self._noted_at = step, now

    def figures(self, num_left: int) -> dict[str, float]:
        """What a row of the log says; memory in GiB, of the GPU where there is one."""
        left_s = num_left * self._batch_size / self._rate if self._rate else 0.0
        return {
            "seconds": round(time.monotonic() - self._began, 3),
            "images_per_s": round(self._rate, 3),  # of each side
            "eta_s": round(left_s, 1),
            "memory_gib": round(self.memory_gib(), 3),
        }

    def memory_gib(self) -> float:
        if self._device.type == "cuda":
            return torch.cuda.max_memory_allocated(self._device) / 2**30
        return float(self._process.memory_info().rss) / 2**30

    def __str__(self) -> str:
        return f"{self._rate:.2g} images/s, {self.memory_gib():.1f} GiB"
