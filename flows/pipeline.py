"""The pipeline: search phrases → originals → dataset → checkpoint → report → champion.

Each stage is idempotent and keeps its own files in the workspace, so running the flow again with
the same parameters goes on where the last run ended, and a run with nothing new takes seconds.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from core.files import digest
from core.workspace import Workspace
from evaluation.model_registry.promote import Promotion
from evaluation.scores import Scores
from flows import latest, tasks
from flows.approval import Approval, ask
from flows.cancellation import cancelled_not_crashed
from flows.cluster.batches import TaskRunnerName
from flows.concurrency import one_at_a_time, run_limit
from flows.installation import VERSION
from flows.parameters import EvaluateParameters, PipelineParameters, RefreshParameters
from flows.presets import Preset, with_preset
from flows.ui import artifacts
from flows.ui.run_progress import duration, run_logger
from storage.remote import default_workspace
from training.config import TrainConfig

if TYPE_CHECKING:
    from evaluation.evaluate import Evaluation
    from preprocessing.prepare import PrepareSummary
    from scraping.crawl import CrawlSummary

Value = TypeVar("Value")


@dataclass(frozen=True)
class PipelineResult:
    """Where the run's products lie, how the model scored, and the seconds each stage took."""

    dataset: Path
    run: Path
    report: Path
    model: Path
    verdict: str
    promotion: str
    scores: Scores
    seconds: dict[str, float]
    outcomes: dict[str, str] = field(default_factory=dict)  # stage → what it did and why


@flow(
    name="pipeline",
    description="From two sets of search phrases to a measured, promoted CycleGAN translator.",
    flow_run_name="{parameters.recipe}",
    version=VERSION,
    persist_result=False,
    on_crashed=[cancelled_not_crashed],
)
def pipeline(
    *,
    preset: Preset = "as given",
    parameters: PipelineParameters,
    workspace: str = "",
    task_runner: TaskRunnerName = "local",
) -> PipelineResult:
    """Run every stage in order and return where its products lie.

    Raises ``TooFewImagesError`` when a domain yields too few usable images; everything crawled is
    kept, and running the flow again with more phrases continues from it.

    Args:
        preset: as given takes the parameters below; small trains a small network that a CPU does in
            minutes; trial does everything at the least size, to see whether it works here.
        parameters: What to search for, and how each stage works.
        workspace: Folder or s3://bucket/prefix for all that is made; empty takes SUYAN_HOME of the
            worker, else ./workspace.
        task_runner: Who fetches and prepares. local: this machine's processes; dask: a Dask cluster
            of this machine; tcp://HOST:8786: the cluster of that scheduler.

    """
    parameters = with_preset(parameters, preset)
    home = default_workspace(workspace)
    clock = StageClock()
    with one_at_a_time(run_limit("pipeline", parameters.recipe)):
        crawled, prepared = crawl_and_prepare(parameters, home, task_runner, clock, num_stages=5)
        latest.remember_dataset(home, parameters.recipe, prepared.version)
        run = home / "runs" / run_name(parameters.train, prepared.version)
        with clock.stage("3/5 train") as stage:
            latest.remember_trained_for(home, parameters.recipe, prepared.version)
            trained = stage.result(
                tasks.train_model(parameters.train, prepared.dataset, run, parameters.torchrun)
            )
            latest.remember_run(home, parameters.recipe, trained.run.name)
        with clock.stage("4/5 evaluate") as stage:
            evaluated = stage.result(
                tasks.evaluate_model(
                    parameters.evaluate, prepared.dataset, trained.run, home, parameters.recipe
                )
            )
    with clock.stage("5/5 promote") as stage:
        rules = EvaluateParameters.model_validate(
            parameters.model_dump(include=set(EvaluateParameters.model_fields))
        )
        promotion = stage.result(decide(rules, trained.run, evaluated, home))
    artifacts.lineage(parameters.recipe, crawled, prepared, trained, evaluated, promotion)
    artifacts.stages(parameters.recipe, clock.seconds, clock.outcomes)
    done = PipelineResult(
        dataset=prepared.dataset,
        run=trained.run,
        report=evaluated.report,
        model=promotion.model,
        verdict=evaluated.verdict,
        promotion=promotion.reason,
        scores=evaluated.scores,
        seconds=clock.seconds,
        outcomes=clock.outcomes,
    )
    return clock.told(done, promotion.reason)


def crawl_and_prepare(
    parameters: PipelineParameters | RefreshParameters,
    home: Workspace,
    task_runner: TaskRunnerName,
    clock: StageClock,
    *,
    num_stages: int,
) -> tuple[list[CrawlSummary], PrepareSummary]:
    """The first two stages of a flow that has ``num_stages``. Call it in a flow."""
    with clock.stage(f"1/{num_stages} crawl") as stage:
        crawled: list[CrawlSummary] = [
            stage.result(tasks.crawl_domain(config, home, task_runner))
            for config in (parameters.crawl_a, parameters.crawl_b)
        ]
    with clock.stage(f"2/{num_stages} prepare") as stage:
        listing_a, listing_b = (summary.listing for summary in crawled)
        prepared: PrepareSummary = stage.result(
            tasks.prepare_dataset(parameters.prepare, listing_a, listing_b, home, task_runner)
        )
    return crawled, prepared


def decide(
    rules: EvaluateParameters, run: Path, evaluation: Evaluation, home: Workspace
) -> State[Promotion]:
    """Promote, after a person's approval where ``rules`` ask for it. Call it in a flow."""
    approval: Approval | None = None
    if rules.approval == "required":
        approval = ask(evaluation, rules.recipe, rules.approval_timeout_h)
    return tasks.promote_model(run, evaluation, home, rules.recipe, rules.promote, approval)


def run_name(config: TrainConfig, version: str) -> str:
    """A name for what the training depends on: the same work has the same folder, and resumes."""
    return f"{version}-{digest(config.model_dump(mode='json'), 8)}"


class StageClock:
    """Logs the begin and end of each stage; keeps its seconds, what it did, and why."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.outcomes: dict[str, str] = {}
        self._anything_new = False
        self._partial: list[str] = []  # why a stage did only part of its work

    def stage(self, name: str) -> _Stage:
        return _Stage(self, name)

    def note(self, stage: str, state: State[Any]) -> None:
        """Keep what a task's state says of ``stage``."""
        self._anything_new |= state.name != "Nothing new"
        if state.name == "Partial":
            self._partial.append(str(state.message))
        before = self.outcomes.get(stage)
        told = f"{state.name}: {state.message}"
        self.outcomes[stage] = f"{before}; {told}" if before else told

    def told(self, value: Value, text: str) -> Value:
        """What a flow returns: ``value`` in a state that says what is new; Prefect unwraps it."""
        if self._partial:
            text = f"{text.removesuffix('.')}. Partial: {'; '.join(self._partial)}"
            return cast("Value", Completed(name="Partial", message=text, data=value))
        if self._anything_new:
            return cast("Value", Completed(message=text, data=value))
        seconds = duration(sum(self.seconds.values()))
        run_logger().info("nothing was new: every stage found its work done, in %s", seconds)
        text = f"every stage found its work done. {text}"
        return cast("Value", Completed(name="Nothing new", message=text, data=value))


class _Stage:
    def __init__(self, clock: StageClock, name: str) -> None:
        self._clock, self._name = clock, name

    def result(self, state: State[tasks.Summary]) -> tasks.Summary:
        """The summary inside a task's state, whose name and message are kept."""
        self._clock.note(self._name.split()[-1], state)
        return tasks.result(state)

    def __enter__(self) -> Self:
        self._started = time.monotonic()
        run_logger().info("▶ %s", self._name)
        return self

    def __exit__(self, error: object, *_: object) -> None:
        seconds = time.monotonic() - self._started
        self._clock.seconds[self._name.split()[-1]] = round(seconds, 1)
        mark = "✔" if error is None else "✘"
        run_logger().info("%s %s in %s", mark, self._name, duration(seconds))
