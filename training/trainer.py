"""The training loop: steps, with logs, samples, validations and checkpoints between them."""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from core.errors import SuyanError
from core.language.messages import localised
from core.progress import Progress
from core.workspace_folders import RunFolder
from training.algorithm.cyclegan import CycleGan
from training.algorithm.schedules import (
    cycle_share,
    feature_share,
    learning_rate,
    pseudo_learning_rate,
)
from training.build import plain_generators
from training.config import TrainConfig
from training.data.dataset import Batch, UnalignedPictures, prefetch
from training.data.pseudo_pairs import PairBatch, PseudoPairs
from training.data.tensors import to_pictures, to_tensor
from training.run.checkpoint import Position, latest_checkpoint, save_checkpoint
from training.run.monitors import Monitors, all_finite
from training.run.rescue_copy import RescueCopy
from training.run.run_log import EventKind, TrainingLog
from training.run.sample_grid import SampleGrid
from training.run.signals import DeferredSignals
from training.run.state import TrainState, checkpoint_state, restore
from training.run.throughput import Throughput
from training.runtime.thread_count import ThreadCount

_logger = logging.getLogger(__name__)
_STEPS_PER_ROW = 10  # of the log
_PICTURES_PER_BATCH = 8  # of a validation


class _NotFiniteError(Exception):
    """A loss or a weight is infinite or NaN."""


def num_steps(config: TrainConfig, pictures: UnalignedPictures) -> int:
    """The steps of a whole training: supervised ones, then those of all epochs."""
    num_epochs = config.num_epochs + config.num_epochs_decay
    return config.pseudo_steps + pictures.num_batches * num_epochs


class Trainer:
    """Trains ``gan`` to the end of its last epoch.

    Only the first process logs, samples and saves. ``events`` lists the events for people.
    """

    def __init__(
        self,
        gan: CycleGan,
        run: Path,
        pictures: UnalignedPictures,
        samples: SampleGrid,
        log: TrainingLog | None,
        signals: DeferredSignals,
        threads: ThreadCount,
        progress: Progress,
        distance: Callable[[NDArray[np.uint8], NDArray[np.uint8]], float] | None,
        state: TrainState,
    ) -> None:
        self._gan, self._run, self._pictures, self._samples = gan, run, pictures, samples
        self._log, self._signals, self._threads, self._progress = log, signals, threads, progress
        self._distance, self._state = distance, state
        self._config = gan.config
        self._num_epochs = gan.config.num_epochs + gan.config.num_epochs_decay
        self._num_steps = num_steps(gan.config, pictures)
        # Reading a loss waits for the GPU.
        self._steps_per_read = 1 if gan.device.type == "cpu" else _STEPS_PER_ROW
        self._monitors = Monitors(gan.config.gan_loss)
        self._throughput = Throughput(gan.config.batch_size, gan.device)
        self._rescue_copy: RescueCopy | None = None
        if log is not None:
            self._rescue_copy = RescueCopy(gan, run, state.position.step)
            signals.call_if_late(self._rescue_copy.save)
        self.events: list[str] = []

    def run(self) -> TrainState:
        """Train to the end, save a checkpoint and return the state at the end.

        Raises ``SuyanError`` after too many rollbacks.
        """
        position = self._state.position
        message = localised("resumes from step {step}", step=position.step) if position.step else ""
        if position.step >= self._num_steps:
            message = localised("every step was done before")
        self._show_progress(position.step, message)
        if position.step == 0:
            self._sample()
        self._throughput.start(position.step)
        while True:
            try:
                while not self._is_done():
                    self._epoch()
                self._save(is_last=True)
            except _NotFiniteError as error:
                self._roll_back(str(error))
            else:
                return self._state

    def _is_done(self) -> bool:
        return self._state.position.epoch > self._num_epochs or self._state.is_stopped

    def _epoch(self) -> None:
        """Train on the remaining batches of the current epoch."""
        state, config, gan = self._state, self._config, self._gan
        epoch, first = state.position.epoch, state.position.batch
        if epoch == 0:
            self._pseudo_epoch(first)
            return
        if config.pseudo_steps and (epoch, first) == (1, 0):
            gan.forget_moments()
        rate = learning_rate(config, epoch, state.plateau) * state.rate_scale
        gan.set_learning_rate(rate, generator_share=config.generator_rate)
        gan.set_cycle_shares(cycle_share(config, epoch), feature_share(config, epoch))
        batches = prefetch(self._with_targets(epoch, first))
        for index, (batch, targets) in enumerate(batches, start=first):
            began = time.monotonic()
            on_device = None if targets is None else targets.to(gan.device)
            losses = gan.step(*batch.to(gan.device), on_device)
            self._threads.after_step(time.monotonic() - began)
            state.position = Position(state.position.step + 1, epoch, index + 1)
            self._after_step(losses, rate)
            is_last = index + 1 == self._pictures.num_batches
            if not is_last:
                self._save_if_due()
            if self._rescue_copy is not None:
                self._rescue_copy.after_step(state, now=is_last and self._validates(epoch))
        self._end_epoch(epoch)
        self._save_if_due()  # after the epoch's validation, whose outcome is part of the state

    @functools.cached_property
    def _pairs(self) -> PseudoPairs:
        return PseudoPairs(self._config, self._pictures)

    def _with_targets(self, epoch: int, first: int) -> Iterator[tuple[Batch, PairBatch | None]]:
        """The remaining batches of ``epoch``, each with its pseudo pairs where they are used."""
        has_targets = self._config.pseudo_weight > 0
        for number, batch in enumerate(self._pictures.batches(epoch, first), start=first):
            yield batch, self._pairs.targets(epoch, number) if has_targets else None

    def _pseudo_epoch(self, first: int) -> None:
        """Train on the remaining pseudo pairs."""
        state, config, gan = self._state, self._config, self._gan
        batches = prefetch(self._pairs.batches(first, config.pseudo_steps))
        for index, batch in enumerate(batches, start=first):
            rate = pseudo_learning_rate(config, index) * state.rate_scale
            gan.set_learning_rate(rate)
            losses = gan.pseudo_step(*batch.to(gan.device))
            is_last = index + 1 == config.pseudo_steps
            state.position = Position(index + 1, *((1, 0) if is_last else (0, index + 1)))
            self._after_step(losses, rate)
            self._save_if_due()
            if self._rescue_copy is not None:
                self._rescue_copy.after_step(state, now=False)

    def _after_step(self, losses: dict[str, torch.Tensor], rate: float) -> None:
        step, config = self._state.position.step, self._config
        is_last = step == self._num_steps
        if step % self._steps_per_read == 0 or is_last:
            values = self._read(losses)
            if step % _STEPS_PER_ROW == 0 or is_last:
                self._log_row(values, rate)
            if self._state.position.step <= config.pseudo_steps:
                error = values["pseudo_A"] + values["pseudo_B"]
                message = localised("error {error:.3f}", error=error)
            else:
                cycle = values["cycle_A"] + values["cycle_B"]
                self._state.cycle_sum += cycle
                message = localised(
                    "epoch {epoch}, cycle loss {cycle:.2f}",
                    epoch=self._state.position.epoch,
                    cycle=cycle,
                )
            self._show_progress(step, f"{message}, {self._throughput}")
        if step % config.sample_every == 0 or is_last:
            self._sample()

    def _show_progress(self, step: int, message: str) -> None:
        """Supervised steps are a stage of their own: they are several times as fast."""
        if step <= self._config.pseudo_steps > 0:
            self._progress("pseudo pairs", step, self._config.pseudo_steps, message)
        else:
            self._progress("train", step, self._num_steps, message)

    def _save_if_due(self) -> None:
        is_signalled = self._gan.world.any(self._signals.pending is not None)
        if is_signalled or self._state.position.step % self._config.checkpoint_every == 0:
            self._save()
        if is_signalled:
            if self._log is not None:
                _logger.warning(
                    localised("stopped by a signal: saved as %s; run the same again to go on"),
                    latest_checkpoint(self._run),
                )
            self._signals.deliver()

    def _read(self, losses: dict[str, torch.Tensor]) -> dict[str, float]:
        """The losses as numbers, averaged over all processes. Raises ``_NotFiniteError``."""
        stacked = self._gan.world.mean(torch.stack([loss.float() for loss in losses.values()]))
        values = dict(zip(losses, stacked.tolist(), strict=True))
        if not all_finite(values):
            raise _NotFiniteError(localised("losses {values}", values=values))
        return values

    def _log_row(self, losses: dict[str, float], rate: float) -> None:
        position = self._state.position
        self._throughput.update(position.step)
        if self._log is not None:
            row: dict[str, Any] = {
                "step": position.step,
                "epoch": position.epoch,
                "learning_rate": rate,
                **self._throughput.figures(self._num_steps - position.step),
                **losses,
            }
            self._log.write(row)
        if "D_A" in losses:
            self._report(EventKind.SATURATION, self._monitors.saturation(losses))

    def _end_epoch(self, epoch: int) -> None:
        state, config = self._state, self._config
        value = state.cycle_sum
        is_best = False
        if self._validates(epoch):
            value = self._validate()
            is_best = value < state.best_score
            state.best_score = min(value, state.best_score)
            state.num_worse = 0 if is_best else state.num_worse + 1
            state.is_stopped = bool(config.patience) and state.num_worse >= config.patience
        state.plateau.after_epoch(value)
        state.cycle_sum = 0.0
        state.position = Position(state.position.step, epoch + 1, 0)
        if is_best:
            self._save(best_score=value)
        if state.is_stopped:
            message = localised(
                "no better validation in {patience}: stopped after epoch {epoch}",
                patience=config.patience,
                epoch=epoch,
            )
            self._report(EventKind.EARLY_STOP, message)

    def _validates(self, epoch: int) -> bool:
        every = self._config.validate_every
        return every > 0 and epoch % every == 0

    def _validate(self) -> float:
        """The mean distance of both directions' translations from the target's held-back pictures.

        The distances of raw and averaged generators are logged; that of the averages counts if
        there are any.
        """
        held_back = self._pictures.held_back
        assert held_back is not None
        assert self._distance is not None
        a, b = held_back
        score = 0.0
        for name, generators in self._generators().items():
            G_A, G_B = generators
            distance_A2B = self._distance(self._translate(G_A, a), b)
            distance_B2A = self._distance(self._translate(G_B, b), a)
            if self._log is not None:
                values = {
                    f"validation{name}_A2B": distance_A2B,
                    f"validation{name}_B2A": distance_B2A,
                }
                self._log.measure(self._state.position.step, values)
            score = (distance_A2B + distance_B2A) / 2
        return score

    @torch.no_grad()
    def _translate(self, generator: nn.Module, pictures: NDArray[np.uint8]) -> NDArray[np.uint8]:
        parts = [
            generator(to_tensor(pictures[start : start + _PICTURES_PER_BATCH]).to(self._gan.device))
            for start in range(0, len(pictures), _PICTURES_PER_BATCH)
        ]
        return np.concatenate([to_pictures(part) for part in parts])

    def _generators(self) -> dict[str, tuple[nn.Module, nn.Module]]:
        """Raw generators under ``""``, their averages, where there are any, under ``"_ema"``."""
        generators = {"": plain_generators(self._gan)}
        averages = self._gan.averages
        if averages:
            generators["_ema"] = (averages["G_A"].network, averages["G_B"].network)
        return generators

    def _sample(self) -> None:
        if self._log is None:
            return
        step = self._state.position.step
        for name, generators in self._generators().items():
            path = RunFolder(self._run).samples(step, averaged=bool(name))
            try:
                grid, variety = self._samples.write(path, *generators, self._gan.device)
            except OSError as error:
                self._report(
                    EventKind.NOT_SAVED, f"{path} cannot be written: {error}; training goes on"
                )
                continue
            self._log.picture(step, f"samples{name}", grid)
            if step > 0 and not name:
                self._log.measure(step, {"variety": variety})
                self._report(EventKind.COLLAPSE, self._monitors.collapse(variety))

    def _save(self, *, is_last: bool = False, best_score: float | None = None) -> None:
        """Write a checkpoint; report a failure and go on, except at the end.

        Raises ``_NotFiniteError`` for weights that must not be saved, ``OSError`` at the end.
        """
        gan, state = self._gan, self._state
        for name, network in gan.networks().items():
            if not all(bool(torch.isfinite(p).all()) for p in network.parameters()):
                raise _NotFiniteError(localised("weights of {name}", name=name))
        if self._log is None:
            return
        assert self._rescue_copy is not None
        try:
            with self._rescue_copy.lock:
                save_checkpoint(
                    self._run,
                    state.position,
                    gan.config,
                    {name: network.state_dict() for name, network in gan.networks().items()},
                    checkpoint_state(gan, state),
                    best_score=best_score,
                )
                self._rescue_copy.restart(state.position.step)
        except OSError as error:
            if is_last:
                raise
            last = latest_checkpoint(self._run)
            self._report(
                EventKind.NOT_SAVED, f"{error}; training goes on, and the last one is {last}"
            )

    def _roll_back(self, reason: str) -> None:
        """Go back to the last checkpoint at half the learning rate."""
        num, step = self._state.num_rollbacks + 1, self._state.position.step
        scale = self._state.rate_scale / 2
        if num > self._config.max_rollbacks:
            raise SuyanError(
                localised(
                    "not finite at step {step}: {reason}, after {num} rollbacks. The last "
                    "checkpoint is kept ({latest_checkpoint}); try a lower learning_rate",
                    step=step,
                    reason=reason,
                    num=num - 1,
                    latest_checkpoint=latest_checkpoint(self._run),
                )
            )
        self._state = restore(self._gan, self._run)
        self._state.num_rollbacks, self._state.rate_scale = num, scale
        resumed_step = self._state.position.step
        self._report(
            EventKind.ROLLBACK,
            f"not finite at step {step}: {reason}; back to step {resumed_step}, "
            f"at {scale:g} of the learning rate",
        )
        self._throughput.start(resumed_step)
        if self._rescue_copy is not None:
            self._rescue_copy.restart(resumed_step)
        if self._log is not None:
            self._log.go_back(resumed_step)

    def _report(self, kind: EventKind, message: str | None) -> None:
        if message is None or self._log is None:
            return
        step = self._state.position.step
        _logger.warning(localised("step %d: %s"), step, message)
        self._log.event(step, kind, message)
        self.events.append(
            localised(
                "{kind} at step {step}: {message}",
                kind=localised(kind.replace("-", " ")),
                step=step,
                message=message,
            )
        )
