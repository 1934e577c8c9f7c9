"""The flows that collect pictures: a crawl, and the weekly refresh of the dataset."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from prefect import flow

from core.language.messages import localised
from core.progress import counted
from core.workspace import Workspace
from flows import events, latest, tasks
from flows.cluster.batches import TaskRunnerName
from flows.concurrency import one_at_a_time, run_limit
from flows.forms.form import CRAWL, REFRESH, CrawlForm, RefreshForm
from flows.forms.run_parameters import run_parameters
from flows.installation import VERSION
from flows.parameters import CrawlParameters, RefreshParameters
from flows.pipeline import crawl_and_prepare
from flows.states import StageLog, cancellable
from flows.ui import artifacts, run_names
from flows.ui.ended_runs import settle_ended_run
from flows.ui.run_names import run_name
from storage.remote import default_workspace

Side = Literal["both", "A", "B"]


@flow(
    name="crawl",
    description="Search both domains' phrases and fetch the originals of the hits.",
    flow_run_name=run_name,
    version=VERSION,
    persist_result=False,
    on_cancellation=[settle_ended_run],
    on_crashed=[settle_ended_run],
)
@cancellable
def crawl(
    *,
    side: Side = "both",
    parameters: CrawlForm,
    workspace: str = "",
    task_runner: TaskRunnerName = "local",
) -> dict[str, int]:
    """Crawl, and return the number of originals of each crawled domain.

    Args:
        side: Domain to crawl: A, B or both.
        parameters: What to search for, and how. What is empty stays as in the recipe.
        workspace: Folder or s3://bucket/prefix for everything the run produces; empty: SUYAN_HOME
            of the worker, else ./workspace.
        task_runner: Processes that download and prepare. local: this machine's; dask: a Dask
            cluster of this machine; tcp://HOST:8786: that scheduler's.

    """
    effective = run_parameters(CRAWL, parameters, "as given")
    return _crawl(side, effective, default_workspace(workspace), task_runner)


def _crawl(
    side: Side, parameters: CrawlParameters, folder: Workspace, task_runner: TaskRunnerName
) -> dict[str, int]:
    log = StageLog(f"crawl-{parameters.recipe}")
    with one_at_a_time(run_limit("crawl", parameters.recipe)), log.stage("1/1 crawl"):
        crawls = [
            log.record(tasks.crawl_domain(config, folder, task_runner))
            for letter, config in (("A", parameters.crawl_a), ("B", parameters.crawl_b))
            if side in {"both", letter}
        ]
    num_originals = {summary.domain: summary.num_ok for summary in crawls}
    text = ", ".join(
        f"{domain}: {counted(num, 'original')}" for domain, num in num_originals.items()
    )
    return log.final_state(num_originals, text)


@flow(
    name="refresh-dataset",
    description="Search again, fetch new originals, and publish a new dataset version.",
    flow_run_name=run_name,
    version=VERSION,
    persist_result=False,
    on_cancellation=[settle_ended_run],
    on_crashed=[settle_ended_run],
)
@cancellable
def refresh_dataset(
    *,
    parameters: RefreshForm,
    workspace: str = "",
    task_runner: TaskRunnerName = "local",
) -> str:
    """Refresh, and return the name of the dataset version.

    If more than ``retrain_above`` of the dataset changed since the last training, an event starts
    the deployment train.

    Args:
        parameters: What to search for, how pictures become a dataset, and how much has to change.
            What is empty stays as in the recipe.
        workspace: Folder or s3://bucket/prefix for everything the run produces; empty: SUYAN_HOME
            of the worker, else ./workspace.
        task_runner: Processes that download and prepare. local: this machine's; dask: a Dask
            cluster of this machine; tcp://HOST:8786: that scheduler's.

    """
    effective = run_parameters(REFRESH, parameters, "as given")
    return _refresh(effective, default_workspace(workspace), task_runner)


def _refresh(parameters: RefreshParameters, folder: Workspace, task_runner: TaskRunnerName) -> str:
    log = StageLog(f"refresh-{parameters.recipe}")
    with one_at_a_time(run_limit("refresh-dataset", parameters.recipe)):
        _, prepared = crawl_and_prepare(parameters, folder, task_runner, log, num_stages=3)
        run_names.add_dataset(prepared.version)
        with log.stage("3/3 publish"):
            text = _announce(parameters, prepared.dataset, folder)
    artifacts.stages(f"refresh-{parameters.recipe}", log.seconds, log.results, text)
    return log.final_state(prepared.version, text)


def _announce(parameters: RefreshParameters, dataset: Path, workspace: Workspace) -> str:
    """Make the version the recipe's newest and emit its event; returns a sentence about it.

    The event is emitted before the note that a training was requested: if this process is killed
    in between, the next run emits it again, and a finished training finds nothing to do.
    """
    recipe, version = parameters.recipe, dataset.name
    reference = latest.trained_for(workspace, recipe)
    share = latest.changed_share(dataset, reference)
    latest.remember_dataset(workspace, recipe, version)
    text, limit = (
        localised(
            "{version}: {share:.0%} changed since {reference}",
            version=version,
            share=share,
            reference=reference.name,
        )
        if reference
        else localised(
            "{version}: {share:.0%} changed (there was no training before)",
            version=version,
            share=share,
        ),
        f"{parameters.retrain_above:.0%}",
    )
    if share > parameters.retrain_above:
        events.emit_dataset(events.DATASET_CHANGED, recipe, version, share, workspace)
        latest.remember_trained_for(workspace, recipe, version)
        return localised("{text}, more than {limit}: training is requested", text=text, limit=limit)
    if reference is None or reference.name != version:
        events.emit_dataset(events.DATASET_PUBLISHED, recipe, version, share, workspace)
    return localised(
        "{text}, not more than {limit}: no training is requested", text=text, limit=limit
    )
