"""One thin task a stage: call the stage's verb, log its progress, publish what a person looks at.

Tasks run in the flow's own process and are called directly, so that a cancelled flow reaches the
training loop, which then saves before it leaves.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.tasks import Task

from evaluation.config import EvaluateConfig, PromoteConfig
from evaluation.evaluate import Evaluation, evaluate
from evaluation.promote import Promotion, promote
from flows import artifacts
from flows.progress import ArtifactProgress, LogProgress, run_logger
from flows.validation import kid_distance
from preprocessing.config import PrepareConfig
from preprocessing.prepare import PrepareSummary, prepare
from scraping.config import CrawlConfig
from scraping.crawl import CrawlSummary, crawl
from scraping.records import TransientError
from training.config import TrainConfig
from training.train import TrainSummary, train


def _is_transient(_task: Task[..., Any], _run: TaskRun, state: State[Any]) -> bool:
    return isinstance(state.result(raise_on_failure=False), TransientError)


@task(
    task_run_name="crawl {config.domain}",
    cache_policy=NO_CACHE,
    retries=3,
    retry_delay_seconds=[10, 60, 300],
    retry_jitter_factor=0.5,
    retry_condition_fn=_is_transient,
)
def crawl_domain(config: CrawlConfig, workspace: Path) -> CrawlSummary:
    """Crawl one domain; publishes a progress bar, its yields and a contact sheet."""
    key = config.domain.replace("_", "-")
    summary = crawl(config, workspace, progress=ArtifactProgress(f"progress-{key}"))
    artifacts.crawl_yields(summary)
    return summary


@task(
    task_run_name="prepare {config.domain_a} and {config.domain_b}",
    cache_policy=NO_CACHE,
)
def prepare_dataset(
    config: PrepareConfig, listing_a: Path, listing_b: Path, workspace: Path
) -> PrepareSummary:
    """Turn two listings into a dataset version; publishes its card and contact sheets."""
    progress = LogProgress(run_logger().info)
    summary = prepare(config, listing_a, listing_b, workspace, progress=progress)
    artifacts.dataset_card(summary)
    return summary


@task(task_run_name="train {run.name}", cache_policy=NO_CACHE)
def train_model(config: TrainConfig, dataset: Path, run: Path) -> TrainSummary:
    """Train, or go on training; publishes a progress bar, sample grids as they come, and events."""
    progress = artifacts.TrainingProgress(run)
    distance = kid_distance() if config.validate_every else None
    summary = train(config, dataset, run, progress=progress, distance=distance)
    artifacts.training_samples(summary)
    return summary


@task(task_run_name="evaluate {run.name}", cache_policy=NO_CACHE)
def evaluate_model(config: EvaluateConfig, dataset: Path, run: Path, workspace: Path) -> Evaluation:
    """Measure the last checkpoint on held-out pictures; publishes verdict and figures."""
    progress = LogProgress(run_logger().info)
    evaluation = evaluate(config, dataset, run, workspace, progress=progress)
    artifacts.verdict(evaluation)
    return evaluation


@task(task_run_name="promote {recipe}", cache_policy=NO_CACHE)
def promote_model(
    run: Path, evaluation: Evaluation, workspace: Path, recipe: str, rule: PromoteConfig
) -> Promotion:
    """Store the model as a version, and make it the recipe's champion where it deserves it."""
    promotion = promote(run, evaluation.folder, workspace, recipe, rule)
    run_logger().info("%s", promotion.reason)
    return promotion
