"""The pipeline: search phrases → originals → dataset → checkpoint → report → champion.

Each stage is idempotent and keeps its own files in the workspace. Therefore a second run of the
flow with the same parameters goes on where the first one ended; with nothing new it takes seconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from prefect import flow
from prefect.client.schemas.objects import State

from core.workspace import Workspace
from evaluation.model_registry.promote import Promotion
from evaluation.scores import Scores
from flows import latest, tasks
from flows.cluster.batches import TaskRunnerName
from flows.concurrency import one_at_a_time, run_limit
from flows.forms.form import PIPELINE, PipelineForm
from flows.forms.run_parameters import run_parameters
from flows.installation import VERSION
from flows.parameters import EvaluateParameters, PipelineParameters, RefreshParameters
from flows.presets import Preset
from flows.stage_results import StageResult
from flows.states import StageLog, cancellable
from flows.ui import artifacts, run_names
from flows.ui.approval import Approval, ask
from flows.ui.ended_runs import settle_ended_run
from flows.ui.run_names import run_name
from flows.warm_start.starting_points import check_starting_point, starting_point, with_origin
from storage.remote import default_workspace
from training.tracking.tracker import require_packages

if TYPE_CHECKING:
    from evaluation.evaluate import Evaluation
    from preprocessing.prepare import PrepareSummary
    from scraping.crawl import CrawlSummary


@dataclass(frozen=True)
class PipelineResult:
    """The paths of the run's products, the model's scores, and the outcome of each stage.

    ``seconds`` and ``stages`` have the stage's name as key: crawl, prepare, train, evaluate,
    promote.
    """

    dataset: Path
    run: Path
    report: Path
    model: Path
    verdict: str
    promotion: str
    scores: Scores
    seconds: dict[str, float]
    stages: dict[str, list[StageResult]] = field(default_factory=dict)


@flow(
    name="pipeline",
    description="From two sets of search phrases to a measured, promoted CycleGAN translator.",
    flow_run_name=run_name,
    version=VERSION,
    persist_result=False,
    on_cancellation=[settle_ended_run],
    on_crashed=[settle_ended_run],
)
@cancellable
def pipeline(
    *,
    preset: Preset = "as given",
    parameters: PipelineForm,
    workspace: str = "",
    task_runner: TaskRunnerName = "local",
) -> PipelineResult:
    """Run every stage in order and return the paths of its products.

    Raises ``TooFewImagesError`` when a domain yields too few usable images; everything crawled is
    kept, and running the flow again with more phrases continues from it.

    Args:
        preset: Size of the run; what you change below stays. as given: the recipe's size; small: a
            network that a CPU trains in minutes; hour: one that it trains in about an hour; trial:
            everything at the least size, to see whether it works here.
        parameters: What to search for, and how each stage works. What is empty stays as in the
            recipe; a page of the run shows all.
        workspace: Folder or s3://bucket/prefix for everything the run produces; empty: SUYAN_HOME
            of the worker, else ./workspace.
        task_runner: Processes that download and prepare. local: this machine's; dask: a Dask
            cluster of this machine; tcp://HOST:8786: that scheduler's.

    """
    effective = run_parameters(PIPELINE, parameters, preset)
    return _run_stages(effective, default_workspace(workspace), task_runner)


def _run_stages(
    parameters: PipelineParameters, workspace: Workspace, task_runner: TaskRunnerName
) -> PipelineResult:
    recipe = parameters.recipe
    log = StageLog(recipe)
    require_packages(parameters.train.track)  # before the hours of a crawl
    check_starting_point(parameters.train, workspace, recipe)
    with one_at_a_time(run_limit("pipeline", recipe)):
        crawls, prepared = crawl_and_prepare(parameters, workspace, task_runner, log, num_stages=5)
        latest.remember_dataset(workspace, recipe, prepared.version)
        run_names.add_dataset(prepared.version)
        with starting_point(parameters.train.init_from, workspace, recipe) as start:
            config = with_origin(parameters.train, start)
            run = workspace.run(latest.run_name(config, prepared.version)).path
            if start is not None:
                start.copy_to(run)
        with log.stage("3/5 train"):
            latest.remember_trained_for(workspace, recipe, prepared.version)
            trained = log.record(
                tasks.train_model(
                    config,
                    prepared.dataset,
                    run,
                    workspace,
                    parameters.torchrun,
                    parameters.max_training_h,
                )
            )
            latest.remember_run(workspace, recipe, trained.run.name)
        with log.stage("4/5 evaluate"):
            evaluated = log.record(
                tasks.evaluate_model(
                    parameters.evaluate, prepared.dataset, trained.run, workspace, recipe
                )
            )
    with log.stage("5/5 promote"):
        rules = EvaluateParameters.model_validate(
            parameters.model_dump(include=set(EvaluateParameters.model_fields))
        )
        promotion = log.record(decide(rules, trained.run, evaluated, workspace))
    artifacts.lineage(recipe, crawls, parameters.prepare, prepared, trained, evaluated, promotion)
    artifacts.stages(recipe, log.seconds, log.results, promotion.reason)
    result = PipelineResult(
        dataset=prepared.dataset,
        run=trained.run,
        report=evaluated.report,
        model=promotion.model,
        verdict=evaluated.verdict,
        promotion=promotion.reason,
        scores=evaluated.scores,
        seconds=log.seconds,
        stages=log.results,
    )
    return log.final_state(result, promotion.reason)


def crawl_and_prepare(
    parameters: PipelineParameters | RefreshParameters,
    workspace: Workspace,
    task_runner: TaskRunnerName,
    log: StageLog,
    *,
    num_stages: int,
) -> tuple[list[CrawlSummary], PrepareSummary]:
    """The first two stages of a flow that has ``num_stages``. Call it in a flow."""
    with log.stage(f"1/{num_stages} crawl"):
        crawls: list[CrawlSummary] = [
            log.record(tasks.crawl_domain(config, workspace, task_runner))
            for config in (parameters.crawl_a, parameters.crawl_b)
        ]
    with log.stage(f"2/{num_stages} prepare"):
        listing_a, listing_b = (summary.listing for summary in crawls)
        prepared: PrepareSummary = log.record(
            tasks.prepare_dataset(parameters.prepare, listing_a, listing_b, workspace, task_runner)
        )
    return crawls, prepared


def decide(
    rules: EvaluateParameters, run: Path, evaluation: Evaluation, workspace: Workspace
) -> State[Promotion]:
    """Promote, after a person's approval where ``rules`` require it. Call it in a flow."""
    approval: Approval | None = None
    if rules.approval == "required":
        approval = ask(evaluation, rules.recipe, rules.approval_timeout_h)
    return tasks.promote_model(run, evaluation, workspace, rules.recipe, rules.promote, approval)
