"""The pipeline: search phrases → originals → dataset → checkpoint → report → champion.

Each stage is idempotent and keeps its own files in the workspace, so running the flow again with
the same parameters goes on where the last run ended, and a run with nothing new takes seconds.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prefect import flow

from flows import tasks
from flows.parameters import PipelineParameters
from flows.progress import duration, run_logger
from scraping.records import digest


@dataclass(frozen=True)
class PipelineResult:
    """Where the run's products lie, how the model scored, and the seconds each stage took."""

    dataset: Path
    run: Path
    report: Path
    model: Path
    verdict: str
    promotion: str
    scores: dict[str, Any]
    seconds: dict[str, float]


@flow(
    name="pipeline",
    description="From two sets of search phrases to a measured, promoted CycleGAN translator.",
    flow_run_name="{parameters.recipe}",
    persist_result=False,
)
def pipeline(parameters: PipelineParameters, workspace: str = "workspace") -> PipelineResult:
    """Run every stage in order and return where its products lie.

    Raises ``TooFewImagesError`` when a domain yields too few usable images; everything crawled is
    kept, and running the flow again with more phrases continues from it.
    """
    home = Path(workspace).resolve()
    clock = _StageClock()
    with clock.stage("1/5 crawl"):
        crawled_a = tasks.crawl_domain(parameters.crawl_a, home)
        crawled_b = tasks.crawl_domain(parameters.crawl_b, home)
    with clock.stage("2/5 prepare"):
        prepared = tasks.prepare_dataset(
            parameters.prepare, crawled_a.listing, crawled_b.listing, home
        )
    run = home / "runs" / _run_name(parameters, prepared.version)
    with clock.stage("3/5 train"):
        trained = tasks.train_model(parameters.train, prepared.dataset, run)
    with clock.stage("4/5 evaluate"):
        evaluated = tasks.evaluate_model(
            parameters.evaluate, prepared.dataset, trained.run, home, parameters.recipe
        )
    with clock.stage("5/5 promote"):
        promotion = tasks.promote_model(
            trained.run, evaluated, home, parameters.recipe, parameters.promote
        )
    return PipelineResult(
        dataset=prepared.dataset,
        run=trained.run,
        report=evaluated.report,
        model=promotion.model,
        verdict=evaluated.verdict,
        promotion=promotion.reason,
        scores=evaluated.scores,
        seconds=clock.seconds,
    )


def _run_name(parameters: PipelineParameters, version: str) -> str:
    """A name for what the training depends on: the same work has the same folder, and resumes."""
    return f"{version}-{digest(parameters.train.model_dump(mode='json'), 8)}"


class _StageClock:
    """Logs the begin and end of each stage and keeps its seconds."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def stage(self, name: str) -> _Stage:
        return _Stage(self, name)


class _Stage:
    def __init__(self, clock: _StageClock, name: str) -> None:
        self._clock, self._name = clock, name

    def __enter__(self) -> None:
        self._started = time.monotonic()
        run_logger().info("▶ %s", self._name)

    def __exit__(self, error: object, *_: object) -> None:
        seconds = time.monotonic() - self._started
        self._clock.seconds[self._name.split()[-1]] = round(seconds, 1)
        mark = "✔" if error is None else "✘"
        run_logger().info("%s %s in %s", mark, self._name, duration(seconds))
