"""The time of a training step on this device, measured before a training starts."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from core.pictures import find_pictures
from core.workspace_folders import DatasetFolder, RunFolder
from training.algorithm.cyclegan import CycleGan, RealTargets
from training.build import build, windows_of
from training.config import TrainConfig
from training.run.checkpoint import latest_checkpoint, load_state
from training.run.run_log import read_log
from training.runtime.device import choose_device, prepare_torch
from training.runtime.thread_count import build_thread_count

_ENOUGH_S = 5.0  # of timed steps; the first step warms up and never counts
_MOST_TIMED_STEPS = 5


@dataclass(frozen=True)
class StepTime:
    """Seconds of a supervised and of an adversarial step, and the device."""

    pseudo_s: float
    step_s: float
    device: str

    def remaining_s(self, config: TrainConfig, num_steps: int, num_done: int) -> float:
        """Seconds of the steps from ``num_done`` to ``num_steps``."""
        num_pseudo = max(0, min(config.pseudo_steps, num_steps) - num_done)
        return self.pseudo_s * num_pseudo + self.step_s * max(0, num_steps - num_done - num_pseudo)


def measure_step_time(config: TrainConfig, dataset: Path | None = None) -> StepTime:
    """Time steps of freshly built networks on random pictures; takes a few steps.

    ``dataset`` is the training's, by which discriminators differ. Reading and rendering pictures
    are not included, nor what compilation gains.
    """
    prepare_torch(config)
    gan = build(config, windows=windows_of(config, dataset) if dataset else ())
    shape = (config.batch_size, 3, config.crop_px, config.crop_px)
    a, b = (torch.rand(shape, device=gan.device) * 2 - 1 for _ in range(2))
    targets = RealTargets(a, b, b, a) if config.pseudo_weight > 0 else None
    pseudo_s = 0.0
    with build_thread_count(gan, is_compiled=False) as threads:
        threads.choose()  # as the training does: on busy cores one thread may be much faster
        if config.pseudo_steps:
            pseudo_s = _seconds(gan, lambda: gan.pseudo_step(a, b))
        step_s = _seconds(gan, lambda: gan.step(a, b, targets))
    device = gan.device.type
    if device == "cuda":
        del gan
        torch.cuda.empty_cache()
    return StepTime(pseudo_s, step_s, device)


def logged_step_time(config: TrainConfig, run: Path) -> StepTime | None:
    """The time of a step in the last row of the run's log; ``None`` without any."""
    rates = [row.get("images_per_s", 0.0) for row in read_log(RunFolder(run).log)]
    if not rates or not rates[-1]:
        return None
    seconds = config.batch_size / rates[-1]
    return StepTime(seconds, seconds, choose_device(config.device).type)


def count_steps(config: TrainConfig, num_pictures: int) -> int:
    """Steps of a training whose larger side has ``num_pictures`` training pictures."""
    num_left = max(1, num_pictures - (config.num_validation if config.validate_every else 0))
    num_batches = -(-num_left // config.batch_size)
    return config.pseudo_steps + num_batches * (config.num_epochs + config.num_epochs_decay)


def count_training_pictures(dataset: Path) -> int:
    """Files of the larger side's training pictures."""
    folder = DatasetFolder(dataset)
    return max(len(find_pictures(folder.split(name))) for name in ("trainA", "trainB"))


def count_done_steps(run: Path) -> int:
    """Steps of the run's newest checkpoint, or of the run that it continues; 0 without any."""
    checkpoint = latest_checkpoint(run)
    if checkpoint is not None:
        return int(checkpoint.name.removeprefix("step_"))
    start = RunFolder(run).starting_point
    return load_state(start.path)[1].step if start.state.is_file() else 0


def _seconds(gan: CycleGan, step: Callable[[], object]) -> float:
    """The mean of a few steps after the first one, which also loads code and fills caches."""
    times = list[float]()
    step()
    while len(times) < _MOST_TIMED_STEPS and sum(times) < _ENOUGH_S:
        _synchronize(gan)
        began = time.monotonic()
        step()
        _synchronize(gan)
        times.append(time.monotonic() - began)
    return sum(times) / len(times)


def _synchronize(gan: CycleGan) -> None:
    if gan.device.type == "cuda":
        torch.cuda.synchronize(gan.device)
