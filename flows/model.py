"""The flows that make a model: train on a dataset version, and evaluate a run."""

from __future__ import annotations

import json
from pathlib import Path

from prefect import flow

from flows import events, latest, tasks
from flows.cancellation import cancelled_not_crashed
from flows.concurrency import one_at_a_time, run_limit
from flows.installation import VERSION
from flows.parameters import EvaluateParameters, TrainParameters
from flows.pipeline import StageClock, decide, run_name
from flows.presets import Preset, train_with_preset
from flows.ui import artifacts
from storage.remote import default_workspace


@flow(
    name="train",
    description="Train a CycleGAN on a dataset version, or go on where its last run stopped.",
    flow_run_name="{parameters.recipe}",
    version=VERSION,
    persist_result=False,
    on_crashed=[cancelled_not_crashed],
)
def train(
    *,
    dataset: str = latest.NEWEST,
    preset: Preset = "as given",
    parameters: TrainParameters,
    workspace: str = "",
) -> str:
    """Train, and return the name of the run. At its end the deployment evaluate starts.

    Args:
        dataset: Name of a dataset version, or newest.
        preset: as given takes the parameters; small and trial are sizes that a CPU does in minutes.
        parameters: The network, and how it is trained.
        workspace: Folder or s3://bucket/prefix for all that is made; empty takes SUYAN_HOME of the
            worker, else ./workspace.

    """
    parameters = train_with_preset(parameters, preset)
    home, recipe = default_workspace(workspace), parameters.recipe
    clock = StageClock()
    with one_at_a_time(run_limit("train", recipe)):
        folder = latest.dataset_folder(home, recipe, dataset)
        run = home / "runs" / run_name(parameters.train, folder.name)
        with clock.stage("1/1 train") as stage:
            latest.remember_trained_for(home, recipe, folder.name)
            trained = stage.result(
                tasks.train_model(parameters.train, folder, run, parameters.torchrun)
            )
            latest.remember_run(home, recipe, run.name)
    events.trained(recipe, run.name, home)
    return clock.told(run.name, f"{run.name}: {trained.steps} steps")


@flow(
    name="evaluate",
    description="Measure a run on held-out pictures, write the report, and decide on promotion.",
    flow_run_name="{parameters.recipe}",
    version=VERSION,
    persist_result=False,
    on_crashed=[cancelled_not_crashed],
)
def evaluate(
    *, run: str = latest.NEWEST, parameters: EvaluateParameters, workspace: str = ""
) -> str:
    """Evaluate, promote where the rule or a person says so, and return the verdict.

    Args:
        run: Name of a training run, or newest.
        parameters: How the run is measured, and when it becomes champion.
        workspace: Folder or s3://bucket/prefix for all that is made; empty takes SUYAN_HOME of the
            worker, else ./workspace.

    """
    home, recipe = default_workspace(workspace), parameters.recipe
    clock = StageClock()
    with one_at_a_time(run_limit("evaluate", recipe)):
        folder = latest.run_folder(home, recipe, run)
        dataset = latest.dataset_folder(home, recipe, _trained_on(folder))
        with clock.stage("1/2 evaluate") as stage:
            evaluated = stage.result(
                tasks.evaluate_model(parameters.evaluate, dataset, folder, home, recipe)
            )
    with clock.stage("2/2 promote") as stage:
        promotion = stage.result(decide(parameters, folder, evaluated, home))
    artifacts.stages(f"evaluate-{recipe}", clock.seconds, clock.outcomes)
    return clock.told(evaluated.verdict, promotion.reason)


def _trained_on(run: Path) -> str:
    return str(json.loads((run / "config.json").read_text(encoding="utf-8"))["dataset"])
