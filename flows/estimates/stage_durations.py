"""Estimates of a stage's duration: by a timed step for training, else by what this machine took.

``cache/durations.json`` holds, by machine and stage, the seconds that a picture took the last
times. Before the first time a typical value stands in, and the sentence says so.
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from core.files import digest, try_load_json, write_json
from core.language.messages import localised
from core.progress import duration
from core.tables import Original, Picture, iter_rows
from core.workspace import Workspace
from core.workspace_folders import DatasetFolder
from evaluation.config import EvaluateConfig
from preprocessing.config import PrepareConfig
from scraping.config import CrawlConfig
from training.config import TrainConfig
from training.runtime.launcher import Torchrun

Stage = Literal["crawl", "prepare", "evaluate"]

_TYPICAL_S = {"crawl": 0.5, "prepare": 0.1, "evaluate": 0.25}  # for a picture, on two cores
_FIXED_S = {"crawl": 5.0, "prepare": 5.0, "evaluate": 30.0}  # start of processes and networks
_TRAINING_START_S = 10.0  # opening pictures, choosing threads, first samples, last checkpoint
_CACHED_SHARE = 0.065  # of the time of a picture, for one that was prepared before
_WEIGHT_OF_LAST = 0.5  # of the last duration, beside those before


@dataclass(frozen=True)
class Estimate:
    """A duration, and where it comes from."""

    seconds: float
    source: str

    def __str__(self) -> str:
        return localised(
            "about {duration} ({source})",
            duration=duration(max(1.0, self.seconds)),
            source=self.source,
        )


@dataclass
class StageTiming:
    """The pictures of a stage; the stage sets their number to what was really done (0: nothing)."""

    num_pictures: float


@contextlib.contextmanager
def timed_stage(
    stage: Stage, num_pictures: float, workspace: Workspace, say: Callable[[str], None]
) -> Iterator[StageTiming]:
    """Say how long the block will take for ``num_pictures``, and remember how long it took.

    Says nothing, and remembers nothing, for a block without pictures.
    """
    timing = StageTiming(num_pictures)
    if num_pictures > 0:
        say(
            localised(
                "{stage} takes {estimate}",
                stage=localised(stage),
                estimate=estimate(stage, num_pictures, workspace),
            )
        )
    began = time.monotonic()
    yield timing
    if timing.num_pictures > 0:
        _remember(stage, timing.num_pictures, time.monotonic() - began, workspace)


def estimate(stage: Stage, num_pictures: float, workspace: Workspace) -> Estimate:
    """The duration of a stage for so many pictures."""
    measured = _durations(workspace).get(_machine(), {}).get(stage)
    source = (
        localised("as this machine took before")
        if measured
        else localised("a guess: none was timed here before")
    )
    return Estimate(_FIXED_S[stage] + num_pictures * (measured or _TYPICAL_S[stage]), source)


def pictures_to_crawl(config: CrawlConfig, workspace: Workspace) -> int:
    """Number of originals that a crawl's searches will fetch, at most; 0 for a finished one."""
    if not config.searches:
        return 0
    from scraping.crawl import crawl_name

    summary = try_load_json(workspace.crawl(crawl_name(config)).summary)
    if summary is None or summary.get("partial"):
        return max(0, config.num_images - int((summary or {}).get("num_ok", 0)))
    return config.num_new_images if config.refresh_after_h is not None else 0


def expected_originals(config: CrawlConfig) -> int:
    """Number of originals that a crawl will have, at most, as far as its configuration tells."""
    from scraping.sources.source_import import count_pictures

    num = count_pictures(config)
    return max(num, config.num_images) if config.searches or not num else num


def pictures_to_prepare(
    config: PrepareConfig, listings: tuple[Path, Path], workspace: Workspace
) -> float:
    """Number of originals to analyse and crop; those of the cache count a little."""
    from preprocessing.analysis.analyse import AnalysisConfig
    from preprocessing.cache import AnalysisCache

    rows = (row for path in listings for row in iter_rows(path, Original))
    names = {row.sha256 for row in rows if row.status == "ok"}
    cached = AnalysisCache(workspace, AnalysisConfig.of(config)).names_with_analysis(names)
    return len(names) - len(cached) + _CACHED_SHARE * len(cached)


def pictures_to_evaluate(config: EvaluateConfig, dataset: Path) -> int:
    """Number of pictures that an evaluation measures, of both splits and sides."""
    counts: dict[tuple[str, str], int] = {}
    for row in iter_rows(DatasetFolder(dataset).manifest, Picture):
        if row.status == "ok":
            counts[row.split, row.side] = counts.get((row.split, row.side), 0) + 1
    return sum(min(num, config.num_pictures) for num in counts.values())


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
    seconds = _TRAINING_START_S + measured.remaining_s(config, num_steps, num_done)
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
    seconds += _TRAINING_START_S
    source = localised(
        "{num} steps of {duration}, timed on this {device}",
        num=num_steps - num_done,
        duration=_seconds(measured.step_s),
        device=measured.device.upper(),
    )
    return Estimate(seconds, source)


def _seconds(step_s: float) -> str:
    return localised("{s:.2g} s", s=step_s) if step_s < 60 else duration(step_s)


def _machine() -> str:
    return digest(socket.gethostname())


def _durations(workspace: Workspace) -> dict[str, dict[str, float]]:
    return try_load_json(workspace.durations) or {}


def _remember(stage: Stage, num_pictures: float, seconds: float, workspace: Workspace) -> None:
    durations = _durations(workspace)
    by_stage = durations.setdefault(_machine(), {})
    measured = max(0.0, seconds - _FIXED_S[stage]) / num_pictures
    earlier = by_stage.get(stage, measured)
    by_stage[stage] = _WEIGHT_OF_LAST * measured + (1 - _WEIGHT_OF_LAST) * earlier
    write_json(workspace.durations, durations)
