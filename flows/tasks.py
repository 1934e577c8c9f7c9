"""One thin task a stage: call the stage's verb, log its progress, publish what a person looks at.

Tasks run in the flow's own process and are called directly, so that a cancelled flow reaches the
training loop, which then saves before it leaves. They have no tags: for each one Prefect would ask
the server for a slot, which waits for its database. A task returns a state whose name says whether
there was anything to do, and whose message says why; ``result`` takes the stage's summary out.

Stages are imported when they begin: to deploy, or to crawl, nobody waits for torch.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from filelock import FileLock, Timeout
from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.states import Completed
from prefect.tasks import Task

from core.errors import SuyanError, TransientError
from core.workspace import Workspace
from evaluation.config import EvaluateConfig, PromoteConfig
from evaluation.model_registry.model_versions import champion, crown, find_champion, versions
from evaluation.model_registry.promote import Promotion, promote
from flows import events, outcomes, sync
from flows.approval import Approval
from flows.cluster.batches import dask_runner, spread_over
from flows.cluster.downloads import downloader_over
from flows.concurrency import device_limit, engine_limit, one_at_a_time
from flows.ui import artifacts
from flows.ui.run_progress import ArtifactProgress, LogProgress, TrainingProgress, run_logger
from preprocessing.config import PrepareConfig
from scraping.config import CrawlConfig
from scraping.crawl import CrawlSummary, crawl
from scraping.download.client import DownloadProcess
from storage import models, runs
from storage.eviction import in_use
from training.config import TrainConfig
from training.runtime.launcher import Torchrun, train_together

if TYPE_CHECKING:
    from evaluation.evaluate import Evaluation
    from preprocessing.prepare import PrepareSummary
    from training.train import TrainSummary

Summary = TypeVar("Summary")
_HOUR_S = 3600


def _is_transient(_task: Task[..., Any], _run: TaskRun, state: State[Any]) -> bool:
    return isinstance(state.result(raise_on_failure=False), TransientError)


def result(state: State[Summary]) -> Summary:
    """The summary inside the state that a task of this module returned."""
    return state.result()


def _told(summary: Summary, told: outcomes.Outcome) -> State[Summary]:
    name = None if told.work == "Done" else told.work
    return Completed(name=name, message=told.why, data=summary)


@task(
    task_run_name="crawl {config.domain}",
    description="Search one domain's phrases and fetch what they find.",
    cache_policy=NO_CACHE,
    retries=3,
    retry_delay_seconds=[10, 60, 300],
    retry_jitter_factor=0.5,
    retry_condition_fn=_is_transient,
    timeout_seconds=24 * _HOUR_S,
)
def crawl_domain(
    config: CrawlConfig, workspace: Workspace, task_runner: str = "local"
) -> State[CrawlSummary]:
    """Crawl one domain; publishes a progress bar, its yields and a contact sheet."""
    before = outcomes.crawl_stamp(config, workspace)
    sync.drop_forgotten(workspace)
    progress = ArtifactProgress(f"progress-{config.domain}")
    with (
        in_use(workspace),
        one_at_a_time(engine_limit(config.engine_url)),
        dask_runner(task_runner) as runner,
    ):
        build_downloader = downloader_over(runner) if runner else DownloadProcess
        summary = crawl(config, workspace, progress=progress, build_downloader=build_downloader)
    told = outcomes.of_crawl(config, summary, before, outcomes.crawl_stamp(config, workspace))
    artifacts.crawl_yields(summary)
    if summary.partial:
        events.partial_crawl(config.domain, f"{config.domain}: {told.why}", workspace)
    return _told(summary, told)


@task(
    task_run_name="prepare {config.domain_a} and {config.domain_b}",
    description="Decode, crop, drop duplicates, split: a dataset version.",
    cache_policy=NO_CACHE,
    timeout_seconds=24 * _HOUR_S,
)
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
        with dask_runner(task_runner) as runner:
            spread = spread_over(runner) if runner else None
            summary = prepare(
                config, listing_a, listing_b, workspace, progress=progress, map_batches=spread
            )
        sync.publish_dataset(summary, workspace)
        artifacts.dataset_card(summary)
    return _told(summary, outcomes.of_prepare(summary))


@task(
    task_run_name="train {run.name}",
    description="Train a CycleGAN, or go on where its last run stopped.",
    cache_policy=NO_CACHE,
    timeout_seconds=30 * 24 * _HOUR_S,
)
def train_model(
    config: TrainConfig, dataset: Path, run: Path, torchrun: Torchrun
) -> State[TrainSummary]:
    """Train, or go on training, by as many processes as ``torchrun`` says; publishes a preview of
    augmentation, progress, and sample grids as training goes on.
    """
    from evaluation.validation import kid_distance
    from training.train import train

    workspace = Workspace(run.parents[1])
    with (
        in_use(workspace),
        one_at_a_time(device_limit(config.device)),
        _alone(run),
    ):
        sync.fetch_dataset(workspace, dataset.name)
        runs.fetch(workspace, run.name)
        page = artifacts.TrainingPage(config, dataset, run)
        progress = TrainingProgress(run, page.show)
        with runs.publisher(workspace, run.name):
            if torchrun.is_needed:
                distance = "evaluation.validation:kid_distance" if config.validate_every else ""
                summary = train_together(
                    config, dataset, run, torchrun, progress=progress, distance=distance
                )
            else:
                judge = kid_distance() if config.validate_every else None
                summary = train(config, dataset, run, progress=progress, distance=judge)
        artifacts.training_events(summary)
        told = outcomes.of_train(summary)
        page.show(told.why)
    return _told(summary, told)


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
def evaluate_model(
    config: EvaluateConfig, dataset: Path, run: Path, workspace: Workspace, recipe: str
) -> State[Evaluation]:
    """Measure the last checkpoint, and the recipe's champion, on the same held-out pictures;
    publishes the core of the report.
    """
    from evaluation.evaluate import evaluate

    with in_use(workspace):
        sync.fetch_dataset(workspace, dataset.name)
        runs.fetch(workspace, run.name)
        models.fetch(workspace, recipe)
        evaluation = evaluate(
            config,
            dataset,
            run,
            workspace,
            champion=find_champion(workspace, recipe),
            progress=LogProgress(run_logger().info),
        )
        runs.publish_evaluation(workspace, run.name, evaluation.folder.name)
        artifacts.evaluation(evaluation)
    return _told(evaluation, outcomes.of_evaluate(evaluation))


@task(
    task_run_name="promote {recipe}",
    description="Keep the model as a version; make it champion where it deserves it.",
    cache_policy=NO_CACHE,
    retries=3,
    retry_delay_seconds=[5, 30, 300],
    retry_jitter_factor=0.5,
    retry_condition_fn=_is_transient,
    timeout_seconds=_HOUR_S,
)
def promote_model(
    run: Path,
    evaluation: Evaluation,
    workspace: Workspace,
    recipe: str,
    rule: PromoteConfig,
    approval: Approval | None = None,
) -> State[Promotion]:
    """Store the model as a version, and make it the recipe's champion where it deserves it.

    With an ``approval`` the person's word counts, not the rule.
    """
    if approval is not None:
        rule = rule.model_copy(update={"automatic": False})
        # with what the person decided
        runs.publish_evaluation(workspace, run.name, evaluation.folder.name)
    with in_use(workspace), models.update(workspace, recipe):
        sync.fetch_dataset(workspace, evaluation.scores.dataset)
        runs.fetch(workspace, run.name)
        before = _champion_name(workspace, recipe)
        known = {path.name for path in versions(workspace, recipe)}
        promotion = promote(run, evaluation.folder, workspace, recipe, rule)
        if approval is not None:
            promotion = _decided(promotion, approval, workspace, recipe)
    if promotion.promoted and promotion.model.name != before:
        events.champion(recipe, promotion.model.name, promotion.reason, workspace)
    changed = promotion.model.name not in known or _champion_name(workspace, recipe) != before
    changed |= approval is not None and approval.said_now
    return _told(promotion, outcomes.of_promote(promotion, changed=changed))


def _champion_name(workspace: Workspace, recipe: str) -> str:
    try:
        return champion(workspace, recipe).name
    except SuyanError:
        return ""


def _decided(
    promotion: Promotion, approval: Approval, workspace: Workspace, recipe: str
) -> Promotion:
    name = promotion.model.name
    if promotion.promoted and approval.approved is False:
        stays = f"it stays the champion that it was: suyan rollback --recipe {recipe}, or promote"
        reason = f"{name}: a person rejected it ({approval.reason}); {stays} another."
        return Promotion(promoted=True, reason=reason, model=promotion.model)
    if promotion.promoted:
        return promotion  # the champion already
    if approval.approved:
        crown(workspace, recipe, name, approval.reason)
        reason = f"{name} is the champion of {recipe}: a person approved ({approval.reason})."
        return Promotion(promoted=True, reason=reason, model=promotion.model)
    what = "a person rejected it" if approval.approved is False else "no approval"
    reason = f"Not promoted: {what} ({approval.reason}). It is kept as {promotion.model}."
    return Promotion(promoted=False, reason=reason, model=promotion.model)


def _alone(run: Path) -> Any:
    """The run's lock, held: two trainings of one run would write into each other's checkpoints.

    The system gives it back when its holder dies.
    """
    run.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(run.parent / f".{run.name}.lock")
    try:
        return lock.acquire(timeout=0)
    except Timeout:
        run_logger().info("another process trains %s; waiting for it", run.name)
        return lock.acquire(poll_interval=0.5)
