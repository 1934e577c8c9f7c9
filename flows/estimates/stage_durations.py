"""Estimates of a stage's duration: by a timed step for training, else by its work.

``stage_work`` counts the work in the seconds that a usual machine takes. ``cache/durations.json``
holds, by machine and kind of work, how many times as long this machine took the last times. Before
the first time a usual machine stands in, and the sentence says so.
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from core.files import digest, try_load_json, write_json
from core.language.messages import localised
from core.progress import duration
from core.workspace import Workspace
from flows.estimates.stage_work import StageWork
from training.config import TrainConfig
from training.runtime.launcher import Torchrun

_TRAINING_START_S = 10.0  # opening pictures, choosing threads, first samples, last checkpoint
_PAIRS_S = 35.0  # making pseudo pairs of 250 faces of each side; less of fewer
_WEIGHT_OF_LAST = 0.5  # of the last duration, beside those before
_LEAST_SHARE = 0.5  # of the work, for a duration to be remembered


@dataclass(frozen=True)
class Estimate:
    """A duration, and where it comes from."""

    seconds: float
    source: str
    is_most: bool = False  # less may be found to do

    def __str__(self) -> str:
        text = localised(
            "about {duration} ({source})",
            duration=duration(max(1.0, self.seconds)),
            source=self.source,
        )
        return localised("at most {estimate}", estimate=text) if self.is_most else text


@dataclass
class StageTiming:
    """The share of the expected work that the stage really did; the stage sets it."""

    share: float = 1.0


@contextlib.contextmanager
def timed_stage(
    stage: str, work: StageWork, workspace: Workspace, say: Callable[[str], None]
) -> Iterator[StageTiming]:
    """Say how long the block, the stage ``stage``, will take, and remember how long it took.

    Says nothing, and remembers nothing, for a block without work.
    """
    timing = StageTiming()
    if work.seconds > 0:
        say(
            localised(
                "{stage} takes {estimate}",
                stage=localised(stage),
                estimate=estimate(work, workspace),
            )
        )
    began = time.monotonic()
    yield timing
    if work.seconds > 0 and timing.share >= _LEAST_SHARE:
        _remember(work, timing.share, time.monotonic() - began, workspace)


def estimate(work: StageWork, workspace: Workspace) -> Estimate:
    """The duration of ``work`` on this machine."""
    ratio = _ratios(workspace).get(work.kind)
    source = (
        localised("as this machine took before")
        if ratio
        else localised("a guess: none was timed here before")
    )
    return Estimate(work.fixed_s + work.seconds * (ratio or 1.0), source, work.is_most)


def estimate_training(
    config: TrainConfig, dataset: Path, run: Path, torchrun: Torchrun
) -> Estimate | None:
    """The remaining duration of a training, by its log or else by a timed step on this device;
    ``None`` for a finished one.
    """
    from training.runtime.step_time import (
        count_done_steps,
        count_steps,
        count_training_pictures,
        logged_step_time,
    )

    num_steps = count_steps(config, count_training_pictures(dataset))
    num_done = count_done_steps(run)
    if num_done >= num_steps:
        return None
    measured = logged_step_time(config, run)
    if measured is None:
        return estimate_steps(config, num_steps, num_done, torchrun, dataset)
    seconds = _training_start_s(config) + measured.remaining_s(config, num_steps, num_done)
    source = localised(
        "{num} steps of {duration}, as in its log",
        num=num_steps - num_done,
        duration=_seconds(measured.step_s),
    )
    return Estimate(seconds, source)


def estimate_steps(
    config: TrainConfig,
    num_steps: int,
    num_done: int,
    torchrun: Torchrun,
    dataset: Path | None = None,
) -> Estimate:
    """The duration of the steps from ``num_done`` to ``num_steps``, by a timed step.

    Processes that share a batch are taken to be as fast as one with its share on a device of its
    own; on a CPU they share the cores.
    """
    from training.runtime.step_time import measure_step_time

    share = config.batch_size // torchrun.num_processes
    of_one = config.model_copy(update={"batch_size": max(1, share)})
    measured = measure_step_time(of_one, dataset)
    seconds = measured.remaining_s(config, num_steps, num_done)
    if measured.device == "cpu":
        seconds *= torchrun.processes_per_node
    seconds += _training_start_s(config)
    source = localised(
        "{num} steps of {duration}, timed on this {device}",
        num=num_steps - num_done,
        duration=_seconds(measured.step_s),
        device=measured.device.upper(),
    )
    return Estimate(seconds, source)


def _training_start_s(config: TrainConfig) -> float:
    has_pairs = config.pseudo_steps > 0 or config.pseudo_weight > 0
    return _TRAINING_START_S + _PAIRS_S * has_pairs


def _seconds(step_s: float) -> str:
    return localised("{s:.2g} s", s=step_s) if step_s < 60 else duration(step_s)


def _machine() -> str:
    return digest(socket.gethostname())


def _ratios(workspace: Workspace) -> dict[str, float]:
    """By kind of work, how many times as long as a usual one this machine took."""
    machine = (try_load_json(workspace.durations) or {}).get(_machine(), {})
    ratios: dict[str, float] = machine.get("ratios", {})
    return ratios


def _remember(work: StageWork, share: float, seconds: float, workspace: Workspace) -> None:
    durations = try_load_json(workspace.durations) or {}
    ratios = durations.setdefault(_machine(), {}).setdefault("ratios", {})
    measured = max(0.0, seconds - work.fixed_s) / (work.seconds * share)
    earlier = ratios.get(work.kind, measured)
    ratios[work.kind] = _WEIGHT_OF_LAST * measured + (1 - _WEIGHT_OF_LAST) * earlier
    write_json(workspace.durations, durations)
