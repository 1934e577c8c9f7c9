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
from flows.ui.ended_runs import settle_ended_run
from flows.ui.run_names import run_name
from flows.ui.run_progress import run_logger
from flows.warm_start.more_epochs import continuation
from flows.warm_start.retraining import retraining
from flows.warm_start.starting_points import starting_point, with_origin
from storage.remote import default_workspace
from training.config import TrainConfig
from training.run.starting_point import StartingPoint


@flow(
    name="train",
    description="Train a CycleGAN on a dataset version, or go on where its last run stopped.",
    flow_run_name=run_name,
    version=VERSION,
    persist_result=False,
    on_cancellation=[settle_ended_run],
    on_crashed=[settle_ended_run],
)
@cancellable
def train(
    *,
    dataset: str = latest.NEWEST,
    preset: Preset = "as given",
    more_epochs: int = 0,
    is_retraining: bool = False,
    parameters: TrainForm,
    workspace: str = "",
) -> str:
    """Train, and return the name of the run. At its end the deployment evaluate starts.

    Args:
        dataset: Name of a dataset version, or newest.
        preset: Size of the training; what you change below stays. as given: the recipe's size;
            small, trial: sizes that a CPU trains in minutes; hour: one that it trains in about an
            hour.
        more_epochs: Epochs to go on with the recipe's newest run, or the one that init_from names,
            with its own settings; 0: a training of its own.
        is_retraining: Training after a refresh: from the champion, in a share of the epochs, as
            retrain_from and retrain_share say.
        parameters: The network, and how it is trained. What is empty stays as in the recipe.
        workspace: Folder or s3://bucket/prefix for everything the run produces; empty: SUYAN_HOME
            of the worker, else ./workspace.

    """
    effective = run_parameters(TRAIN, parameters, preset)
    folder = default_workspace(workspace)
    if more_epochs:
        return _continue(effective, more_epochs, folder)
    if is_retraining:
        config = retraining(effective, folder, run_logger())
        effective = effective.model_copy(update={"train": config})
    return _train(dataset, effective, folder)


def _train(version: str, parameters: TrainParameters, workspace: Workspace) -> str:
    recipe = parameters.recipe
    with starting_point(parameters.train.init_from, workspace, recipe) as start:
        config = with_origin(parameters.train, start)
        return _train_from(version, config, start, parameters, workspace)


def _continue(parameters: TrainParameters, num_epochs: int, workspace: Workspace) -> str:
    recipe, name = parameters.recipe, parameters.train.init_from or latest.NEWEST
    former = continuation(workspace, recipe, name, num_epochs)
    return _train_from(former.dataset, former.config, former.start, parameters, workspace)


def _train_from(
    version: str,
    config: TrainConfig,
    start: StartingPoint | None,
    parameters: TrainParameters,
    workspace: Workspace,
) -> str:
    recipe = parameters.recipe
    log = StageLog(f"train-{recipe}")
    with one_at_a_time(run_limit("train", recipe)), log.stage("1/1 train"):
        dataset = latest.dataset_folder(workspace, recipe, version)
        run_names.add_dataset(dataset.name)
        run = workspace.run(latest.run_name(config, dataset.name)).path
        if start is not None:
            start.copy_to(run, with_state=bool(config.continues))
        latest.remember_trained_for(workspace, recipe, dataset.name)
        trained = log.record(
            tasks.train_model(
                config,
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
    on_cancellation=[settle_ended_run],
    on_crashed=[settle_ended_run],
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
    recipe = parameters.recipe
    log = StageLog(f"evaluate-{recipe}")
    with one_at_a_time(run_limit("evaluate", recipe)), log.stage("1/2 evaluate"):
        run = latest.run_folder(workspace, recipe, name)
        dataset = latest.trained_dataset(workspace, recipe, run)
        run_names.add_dataset(dataset.name)
        evaluated = log.record(
            tasks.evaluate_model(parameters.evaluate, dataset, run, workspace, recipe)
        )
    with log.stage("2/2 promote"):
        promotion = log.record(decide(parameters, run, evaluated, workspace))
    artifacts.stages(f"evaluate-{recipe}", log.seconds, log.results, promotion.reason)
    return log.final_state(evaluated.verdict, promotion.reason)
