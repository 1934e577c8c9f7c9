"""One thin task for each stage: calls its verb, logs progress, writes a page of results.

Tasks run in the flow's own process and are called directly, so that the cancellation of a flow
reaches the training loop, which then saves before it ends. They have no tags: for a tagged task
Prefect asks the server for a slot, and waits for its database. A task returns a state, whose name
is the outcome, whose message is the reason, and whose data is the stage's summary. Stages are
imported when they begin, so that deploying and crawling need not import torch.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.exceptions import TerminationSignal
from prefect.states import Completed
from prefect.tasks import Task

from core.errors import SuyanError, TransientError
from core.language.messages import localised
from core.locks import file_lock
from core.progress import LogProgress
from core.workspace import Workspace
from core.workspace_folders import RunFolder
from evaluation.config import EvaluateConfig, PromoteConfig
from evaluation.model_registry.model_versions import champion, find_champion, versions
from evaluation.model_registry.promote import Promotion, promote
from flows import events, stage_results, sync
from flows.cluster.batches import dask_runner, spread_over
from flows.cluster.downloads import downloader_over
from flows.cluster.torchrun import train_run
from flows.concurrency import device_limit, one_at_a_time, one_search_at_a_time
from flows.estimates.long_training import announce_training
from flows.estimates.stage_durations import timed_stage
from flows.estimates.stage_work import (
    crawl_work,
    evaluation_work,
    pictures_to_crawl,
    prepare_work,
)
from flows.removal.training_guard import require_none_forgotten
from flows.states import cancellable
from flows.ui import artifacts
from flows.ui.approval import Approval, apply_approval
from flows.ui.run_progress import ArtifactProgress, TrainingProgress, run_logger
from flows.ui.run_tags import add_tag
from preprocessing.config import PrepareConfig
from scraping.config import CrawlConfig
from scraping.crawl import CrawlSummary, crawl
from scraping.download.client import DownloadProcess
from storage import models, runs
from storage.eviction import in_use
from training.config import TrainConfig
from training.runtime.launcher import Torchrun

if TYPE_CHECKING:
    from evaluation.evaluate import Evaluation
    from preprocessing.prepare import PrepareSummary
    from training.train import TrainSummary

Summary = TypeVar("Summary")
_HOUR_S = 3600


def _is_transient(_task: Task[..., Any], _run: TaskRun, state: State[Any]) -> bool:
    return isinstance(state.result(raise_on_failure=False), TransientError)


def _state(summary: Summary, result: stage_results.StageResult) -> State[Summary]:
    return Completed(name=result.status.value, message=result.reason, data=summary)


@task(
    task_run_name="crawl {config.domain}",
    description="Read one domain's folders and lists, search its phrases, fetch the originals.",
    cache_policy=NO_CACHE,
    retries=3,
    retry_delay_seconds=[10, 60, 300],
    retry_jitter_factor=0.5,
    retry_condition_fn=_is_transient,
    timeout_seconds=24 * _HOUR_S,
)
@cancellable
def crawl_domain(
    config: CrawlConfig, workspace: Workspace, task_runner: str = "local"
) -> State[CrawlSummary]:
    """Crawl one domain; publishes a progress bar, the yield of each phrase and a preview."""
    stamp_before = stage_results.crawl_stamp(config, workspace)
    sync.drop_forgotten(workspace)
    progress = ArtifactProgress(f"progress-{config.domain}")
    num = pictures_to_crawl(config, workspace)
    with (
        in_use(workspace),
        one_search_at_a_time(config),
        dask_runner(task_runner) as runner,
        timed_stage("crawl", crawl_work(config, workspace), workspace, run_logger().info) as timing,
    ):
        build_downloader = downloader_over(runner) if runner else DownloadProcess
        summary = crawl(config, workspace, progress=progress, build_downloader=build_downloader)
        timing.share = summary.num_added / max(1, num)
    stamp_after = stage_results.crawl_stamp(config, workspace)
    result = stage_results.crawl_result(config, summary, stamp_before, stamp_after)
    artifacts.crawl_yields(summary)
    if summary.partial:
        events.emit_partial_crawl(config.domain, f"{config.domain}: {result.reason}", workspace)
    return _state(summary, result)


@task(
    task_run_name="prepare {config.domain_a} and {config.domain_b}",
    description="Decode, crop, drop duplicates, split: a dataset version.",
    cache_policy=NO_CACHE,
    timeout_seconds=24 * _HOUR_S,
)
@cancellable
def prepare_dataset(
    config: PrepareConfig,
    listing_a: Path,
    listing_b: Path,
    workspace: Workspace,
    task_runner: str = "local",
) -> State[PrepareSummary]:
    """Turn two listings into a dataset version; publishes its card and contact sheets."""
    from preprocessing.prepare import prepare

    progress = LogProgress(run_logger().info)
    with in_use(workspace):
        sync.fetch_originals(config, (listing_a, listing_b), workspace, progress)
        work = prepare_work(config, (listing_a, listing_b), workspace)
        with (
            dask_runner(task_runner) as runner,
            timed_stage("prepare", work, workspace, run_logger().info),
        ):
            spread = spread_over(runner) if runner else None
            summary = prepare(
                config, listing_a, listing_b, workspace, progress=progress, map_batches=spread
            )
        sync.publish_dataset(summary, workspace)
        artifacts.dataset_card(summary)
    return _state(summary, stage_results.prepare_result(summary))


@task(
    task_run_name="train {run.name}",
    description="Train a CycleGAN, or go on where its last run stopped.",
    cache_policy=NO_CACHE,
    timeout_seconds=30 * 24 * _HOUR_S,
)
@cancellable
def train_model(
    config: TrainConfig,
    dataset: Path,
    run: Path,
    workspace: Workspace,
    torchrun: Torchrun,
    max_hours: float,
) -> State[TrainSummary]:
    """Train, or resume, with the processes of ``torchrun``; publishes a preview of augmentation,
    progress, and sample grids as training goes on.

    Raises ``SuyanError`` for a training that would take more than ``max_hours`` on this device.
    """

    def say_waiting() -> None:
        run_logger().info(localised("another process trains %s; waiting for it"), run.name)

    with (
        in_use(workspace),
        one_at_a_time(device_limit(config.device)),
        file_lock(RunFolder(run).lock, on_wait=say_waiting),
    ):
        sync.fetch_dataset(workspace, dataset.name)
        runs.fetch(workspace, run.name)
        require_none_forgotten(dataset, workspace)
        announce_training(
            config,
            dataset,
            run,
            torchrun,
            max_hours=max_hours,
            say=run_logger().info,
            warn=run_logger().warning,
        )
        page = artifacts.TrainingPage(config, dataset, run)
        with _saved_step_in_tag(run):
            summary = train_run(
                config, dataset, run, workspace, torchrun, TrainingProgress(run, page.write)
            )
        artifacts.training_events(summary)
        result = stage_results.train_result(summary)
        page.write(result.reason)
    return _state(summary, result)


@contextlib.contextmanager
def _saved_step_in_tag(run: Path) -> Iterator[None]:
    """If the training is cancelled, give the flow run a tag that names the step that is saved."""
    try:
        yield
    except TerminationSignal:
        from training.run.checkpoint import latest_checkpoint

        saved = latest_checkpoint(run)
        if saved is not None:
            add_tag(f"saved at step {int(saved.name.removeprefix('step_'))}")
        raise


@task(
    task_run_name="evaluate {run.name}",
    description="Measure the newest checkpoint on held-out pictures, and write the report.",
    cache_policy=NO_CACHE,
    retries=2,
    retry_delay_seconds=[30, 300],
    retry_jitter_factor=0.5,
    retry_condition_fn=_is_transient,
    timeout_seconds=24 * _HOUR_S,
)
@cancellable
def evaluate_model(
    config: EvaluateConfig, dataset: Path, run: Path, workspace: Workspace, recipe: str
) -> State[Evaluation]:
    """Measure the last checkpoint, and the recipe's champion, on the same held-out pictures;
    publishes the main figures of the report.
    """
    from evaluation.evaluate import evaluate

    with in_use(workspace):
        sync.fetch_dataset(workspace, dataset.name)
        runs.fetch(workspace, run.name)
        models.fetch(workspace, recipe)
        champion = find_champion(workspace, recipe)
        work = evaluation_work(config, dataset, run, workspace, champion)
        with timed_stage("evaluate", work, workspace, run_logger().info):
            evaluation = evaluate(
                config,
                dataset,
                run,
                workspace,
                champion=champion,
                progress=LogProgress(run_logger().info),
            )
        runs.publish_evaluation(workspace, run.name, evaluation.folder.name)
        artifacts.evaluation(evaluation)
    return _state(evaluation, stage_results.evaluate_result(evaluation))


@task(
    task_run_name="promote {recipe}",
    description="Store the model as a version; make it the champion if it passes the gate.",
    cache_policy=NO_CACHE,
    retries=3,
    retry_delay_seconds=[5, 30, 300],
    retry_jitter_factor=0.5,
    retry_condition_fn=_is_transient,
    timeout_seconds=_HOUR_S,
)
@cancellable
def promote_model(
    run: Path,
    evaluation: Evaluation,
    workspace: Workspace,
    recipe: str,
    rule: PromoteConfig,
    approval: Approval | None = None,
) -> State[Promotion]:
    """Store the model as a version, and make it the recipe's champion if it passes the gate.

    With an ``approval`` the person decides, not the rule.
    """
    if approval is not None:
        rule = rule.model_copy(update={"automatic": False})
        runs.publish_evaluation(
            workspace, run.name, evaluation.folder.name
        )  # the person's decision is among its files
    with in_use(workspace), models.update(workspace, recipe):
        sync.fetch_dataset(workspace, evaluation.scores.dataset)
        runs.fetch(workspace, run.name)
        champion_before = _champion_name(workspace, recipe)
        versions_before = {path.name for path in versions(workspace, recipe)}
        promotion = promote(run, evaluation.folder, workspace, recipe, rule)
        if approval is not None:
            promotion = apply_approval(promotion, approval, workspace, recipe)
        is_new_champion = _champion_name(workspace, recipe) != champion_before
    name = promotion.model.name
    if promotion.promoted and name != champion_before:
        events.emit_champion(recipe, name, promotion.reason, workspace)
    changed = name not in versions_before or is_new_champion
    changed |= approval is not None and approval.is_new
    return _state(promotion, stage_results.promote_result(promotion, changed=changed))


def _champion_name(workspace: Workspace, recipe: str) -> str:
    try:
        return champion(workspace, recipe).name
    except SuyanError:
        return ""
