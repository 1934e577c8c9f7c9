"""The flows that make a model: train on a dataset version, and evaluate a run."""

from __future__ import annotations

from prefect import flow

from core.progress import counted
from core.workspace import Workspace
from flows import events, latest, tasks
from flows.concurrency import one_at_a_time, run_limit
from flows.forms.form import EVALUATE, TRAIN, EvaluateForm, TrainForm
from flows.forms.run_parameters import run_parameters
from flows.installation import VERSION
from flows.parameters import EvaluateParameters, TrainParameters
from flows.pipeline import decide
from flows.presets import Preset
from flows.states import StageLog, cancellable
from flows.ui import artifacts, run_names
from flows.ui.run_names import run_name
from storage.remote import default_workspace


@flow(
    name="train",
    description="Train a CycleGAN on a dataset version, or go on where its last run stopped.",
    flow_run_name=run_name,
    version=VERSION,
    persist_result=False,
)
@cancellable
def train(
    *,
    dataset: str = latest.NEWEST,
    preset: Preset = "as given",
    parameters: TrainForm,
    workspace: str = "",
) -> str:
    """Train, and return the name of the run. At its end the deployment evaluate starts.

    Args:
        dataset: Name of a dataset version, or newest.
        preset: Size of the training; what you change below stays. as given: the recipe's size;
            small, trial: sizes that a CPU trains in minutes; hour: one that it trains in about an
            hour.
        parameters: The network, and how it is trained. What is empty stays as in the recipe.
        workspace: Folder or s3://bucket/prefix for everything the run produces; empty: SUYAN_HOME
            of the worker, else ./workspace.

    """
    effective = run_parameters(TRAIN, parameters, preset)
    return _train(dataset, effective, default_workspace(workspace))


def _train(version: str, parameters: TrainParameters, workspace: Workspace) -> str:
    log, recipe = StageLog(), parameters.recipe
    with one_at_a_time(run_limit("train", recipe)):
        dataset = latest.dataset_folder(workspace, recipe, version)
        run_names.add_dataset(dataset.name)
        run = workspace.run(latest.run_name(parameters.train, dataset.name)).path
        with log.stage("1/1 train"):
            latest.remember_trained_for(workspace, recipe, dataset.name)
            trained = log.record(
                tasks.train_model(
                    parameters.train,
                    dataset,
                    run,
                    workspace,
                    parameters.torchrun,
                    parameters.max_training_h,
                )
            )
            latest.remember_run(workspace, recipe, run.name)
    events.emit_trained(recipe, run.name, workspace)
    return log.final_state(run.name, f"{run.name}: {counted(trained.steps, 'step')}")


@flow(
    name="evaluate",
    description="Measure a run on held-out pictures, write the report, and decide on promotion.",
    flow_run_name=run_name,
    version=VERSION,
    persist_result=False,
)
@cancellable
def evaluate(*, run: str = latest.NEWEST, parameters: EvaluateForm, workspace: str = "") -> str:
    """Evaluate, promote if the rule or a person decides so, and return the verdict.

    Args:
        run: Name of a training run, or newest.
        parameters: How the run is measured, and when it becomes champion. What is empty stays as
            in the recipe.
        workspace: Folder or s3://bucket/prefix for everything the run produces; empty: SUYAN_HOME
            of the worker, else ./workspace.

    """
    effective = run_parameters(EVALUATE, parameters, "as given")
    return _evaluate(run, effective, default_workspace(workspace))


def _evaluate(name: str, parameters: EvaluateParameters, workspace: Workspace) -> str:
    log, recipe = StageLog(), parameters.recipe
    with one_at_a_time(run_limit("evaluate", recipe)):
        run = latest.run_folder(workspace, recipe, name)
        dataset = latest.trained_dataset(workspace, recipe, run)
        run_names.add_dataset(dataset.name)
        with log.stage("1/2 evaluate"):
            evaluated = log.record(
                tasks.evaluate_model(parameters.evaluate, dataset, run, workspace, recipe)
            )
    with log.stage("2/2 promote"):
        promotion = log.record(decide(parameters, run, evaluated, workspace))
    artifacts.stages(f"evaluate-{recipe}", log.seconds, log.results)
    return log.final_state(evaluated.verdict, promotion.reason)
