"""The flows that collect: crawl both domains, or refresh the dataset, as every week."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from prefect import flow

from core.workspace import Workspace
from flows import events, latest, tasks
from flows.cancellation import cancelled_not_crashed
from flows.cluster.batches import TaskRunnerName
from flows.concurrency import one_at_a_time, run_limit
from flows.installation import VERSION
from flows.parameters import CrawlParameters, RefreshParameters
from flows.pipeline import StageClock, crawl_and_prepare
from flows.ui import artifacts
from storage.remote import default_workspace

Side = Literal["both", "A", "B"]


@flow(
    name="crawl",
    description="Search both domains' phrases and fetch what they find.",
    flow_run_name="{parameters.recipe}",
    version=VERSION,
    persist_result=False,
    on_crashed=[cancelled_not_crashed],
)
def crawl(
    *,
    side: Side = "both",
    parameters: CrawlParameters,
    workspace: str = "",
    task_runner: TaskRunnerName = "local",
) -> dict[str, int]:
    """Crawl, and return how many originals each crawled domain has.

    Args:
        side: Which domain to crawl.
        parameters: What to search for, and how.
        workspace: Folder or s3://bucket/prefix for all that is made; empty takes SUYAN_HOME of the
            worker, else ./workspace.
        task_runner: Who fetches and prepares. local: this machine's processes; dask: a Dask cluster
            of this machine; tcp://HOST:8786: the cluster of that scheduler.

    """
    clock = StageClock()
    with one_at_a_time(run_limit("crawl", parameters.recipe)), clock.stage("1/1 crawl") as stage:
        crawled = [
            stage.result(tasks.crawl_domain(config, default_workspace(workspace), task_runner))
            for letter, config in (("A", parameters.crawl_a), ("B", parameters.crawl_b))
            if side in {"both", letter}
        ]
    found = {summary.domain: summary.num_ok for summary in crawled}
    text = ", ".join(f"{domain}: {num} originals" for domain, num in found.items())
    return clock.told(found, text)


@flow(
    name="refresh-dataset",
    description="Search again, fetch what is new, and publish a new dataset version.",
    flow_run_name="{parameters.recipe}",
    version=VERSION,
    persist_result=False,
    on_crashed=[cancelled_not_crashed],
)
def refresh_dataset(
    *,
    parameters: RefreshParameters,
    workspace: str = "",
    task_runner: TaskRunnerName = "local",
) -> str:
    """Refresh, and return the name of the dataset version.

    A version that changed by more than ``retrain_above`` since the last training is said to have
    changed: the deployment train waits for that.

    Args:
        parameters: What to search for, how pictures become a dataset, and how much has to change.
        workspace: Folder or s3://bucket/prefix for all that is made; empty takes SUYAN_HOME of the
            worker, else ./workspace.
        task_runner: Who fetches and prepares. local: this machine's processes; dask: a Dask cluster
            of this machine; tcp://HOST:8786: the cluster of that scheduler.

    """
    home = default_workspace(workspace)
    clock = StageClock()
    with one_at_a_time(run_limit("refresh-dataset", parameters.recipe)):
        _, prepared = crawl_and_prepare(parameters, home, task_runner, clock, num_stages=3)
        with clock.stage("3/3 publish"):
            text = _publish(parameters, prepared.dataset, home)
    artifacts.stages(f"refresh-{parameters.recipe}", clock.seconds, clock.outcomes)
    return clock.told(prepared.version, text)


def _publish(parameters: RefreshParameters, dataset: Path, home: Workspace) -> str:
    """Make it the recipe's newest, and say so, in an event and in words.

    The event comes before the note that a training was asked for: killed between them, the next
    run asks again, and a training that is done already has nothing to do.
    """
    recipe, version = parameters.recipe, dataset.name
    reference = latest.trained_for(home, recipe)
    share = latest.changed_share(dataset, reference)
    latest.remember_dataset(home, recipe, version)
    since = f"since {reference.name}" if reference else "there was none before"
    text = f"{version}: {share:.0%} changed {since}"
    if share > parameters.retrain_above:
        events.dataset(events.DATASET_CHANGED, recipe, version, share, home)
        latest.remember_trained_for(home, recipe, version)
        return f"{text}, more than {parameters.retrain_above:.0%}: a training is asked for"
    if reference is None or reference.name != version:
        events.dataset(events.DATASET_PUBLISHED, recipe, version, share, home)
    return f"{text}, not more than {parameters.retrain_above:.0%}: no training is asked for"
