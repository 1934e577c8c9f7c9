"""The commands that make and measure models: ``suyan train``, ``evaluate``, ``import``."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.command_group import CommandGroup
from cli.console import OUTPUT, print_line, print_result, print_text, progress_bar, question
from cli.inventory.completion import complete_datasets, complete_runs
from cli.options import (
    DEFAULT_RECIPE,
    WORKSPACE,
    Changes,
    ExistingWorkspace,
    InitFrom,
    LongTraining,
    Params,
    Recipe,
    Small,
    TrainingPreset,
    TrainingRecipe,
    WorkspaceOption,
    load_parameters,
)
from core.commands import suyan_command
from core.errors import SuyanError
from core.language.messages import localised
from core.progress import counted
from core.workspace import Workspace
from core.workspace_folders import DatasetFolder, ModelFolder, RunFolder

if TYPE_CHECKING:
    from rich.console import Console

    from evaluation.config import EvaluateConfig, PromoteConfig
    from flows.parameters import PipelineParameters
    from preprocessing.version.folder_version import FolderVersion
    from training.config import TrainConfig
    from training.runtime.launcher import Torchrun
    from training.train import TrainSummary

app = CommandGroup("Trainings and models")


@app.command()
def train(
    dataset: Annotated[
        str,
        typer.Argument(
            autocompletion=complete_datasets,
            help="Dataset version, newest, or any folder with trainA and trainB.",
        ),
    ] = "newest",
    recipe: TrainingRecipe = None,
    params: Params = None,
    small: Small = False,
    preset: TrainingPreset = None,
    changes: Changes = None,
    init_from: InitFrom = "",
    more_epochs: Annotated[
        int,
        typer.Option(
            min=0,
            max=10_000,
            help="Epochs to go on with a finished run, with its own options: the newest, or the "
            "one of --init-from; default: a training of its own.",
        ),
    ] = 0,
    processes: Annotated[
        int,
        typer.Option(min=1, max=64, help="Number of training processes on this machine."),
    ] = 1,
    yes: LongTraining = False,
    workspace: WorkspaceOption = WORKSPACE,
) -> None:
    """Train only, or go on where the same training stopped: without Prefect, on any pictures."""
    from flows.recipe_files.folder_recipe import folder_recipe, is_plain_folder
    from training.runtime.launcher import Torchrun

    if recipe is None and params is None and is_plain_folder(dataset):
        recipe = folder_recipe(Path(dataset), workspace)
    parameters = load_parameters(
        recipe or DEFAULT_RECIPE,
        params,
        workspace=workspace,
        small=small,
        preset=preset,
        changes=changes,
        stage="train",
        init_from=init_from,
    )
    torchrun = Torchrun(processes_per_node=processes) if processes > 1 else parameters.torchrun
    max_hours = math.inf if yes else parameters.max_training_h
    if more_epochs:
        if changes or small or preset:
            raise ValueError(
                localised(
                    "--more-epochs: got --set, --small or --preset too; it goes on with the "
                    "options of the run"
                )
            )
        continue_alone(
            parameters.recipe, init_from, more_epochs, workspace, OUTPUT, torchrun,
            max_hours=max_hours,
        )  # fmt: skip
        return
    train_alone(parameters, dataset, workspace, OUTPUT, torchrun, max_hours=max_hours)


@app.command()
def evaluate(
    run: Annotated[
        str,
        typer.Argument(autocompletion=complete_runs, help="Name of a training run, or newest."),
    ] = "newest",
    recipe: Recipe = "makeup",
    params: Params = None,
    changes: Changes = None,
    workspace: ExistingWorkspace = WORKSPACE,
) -> None:
    """Evaluate only: measure a run on held-out pictures, write the report, and promote."""
    parameters = load_parameters(
        recipe, params, workspace=workspace, changes=changes, stage="evaluate"
    )
    evaluate_alone(
        parameters.evaluate, parameters.promote, parameters.recipe, run, workspace, OUTPUT
    )


@app.command("import")
def import_(
    source: Annotated[
        Path,
        typer.Argument(
            help="Folder of EPOCH_net_G_A.pth and EPOCH_net_G_B.pth, or EPOCH_net_G.pth."
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder for the model.")],
    epoch: Annotated[str, typer.Option(help="EPOCH in the names of the files.")] = "latest",
    crop_px: Annotated[int, typer.Option(help="Side of the model's training pictures, px.")] = 256,
    domain_a: Annotated[str, typer.Option(help="Name of domain A, e.g. horse.")] = "a",
    domain_b: Annotated[str, typer.Option(help="Name of domain B, e.g. zebra.")] = "b",
    faces: Annotated[
        bool, typer.Option("--faces", help="Model of aligned faces; default: of whole pictures.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="New model in place of one in the folder.")
    ] = False,
) -> None:
    """Read a checkpoint of pytorch-CycleGAN-and-pix2pix, for translate --model."""
    from core.files import write_json
    from preprocessing.config import PrepareConfig
    from training.pix2pix import import_reference

    prepare = PrepareConfig(domain_a=domain_a, domain_b=domain_b, faces=faces, crop_px=crop_px)
    if out.exists() and (not out.is_dir() or any(out.iterdir())) and not overwrite:
        raise ValueError(
            localised(
                "--out: {out} is not empty; choose another folder, or replace it with --overwrite",
                out=out,
            )
        )
    config = import_reference(source, out, epoch=epoch, crop_px=crop_px)
    write_json(ModelFolder(out).prepare, prepare.model_dump(mode="json"))
    kind = localised(
        "{generator}, ngf {ngf}, {norm} norm",
        generator=config.generator,
        ngf=config.ngf,
        norm=config.norm,
    )
    use = suyan_command("translate", "PHOTO", "--model", out)
    print_text(OUTPUT, localised("{out}: {kind}\nUse it: {use}", out=out, kind=kind, use=use))
    print_result({"model": out, "generator": config.generator, "px": crop_px})


def train_alone(
    parameters: PipelineParameters,
    dataset: str,
    workspace: Workspace,
    console: Console,
    torchrun: Torchrun,
    *,
    max_hours: float = math.inf,
) -> Path:
    """Train on a dataset version by name, the newest, or any folder with trainA and trainB.

    The pictures of such a folder become a dataset version first. Prints a summary; returns the
    folder of the run, which the flows use for the same work too. A training that would take more
    than ``max_hours`` needs a yes at the terminal. Raises ``SuyanError`` without one, and while
    another process trains this run.
    """
    from flows import latest
    from flows.warm_start.starting_points import starting_point, with_origin
    from storage.eviction import in_use

    recipe, config = parameters.recipe, parameters.train
    with in_use(workspace), starting_point(config.init_from, workspace, recipe) as start:
        folder = _find_dataset(dataset, parameters, workspace, console)
        config = with_origin(config, start)
        run = workspace.run(latest.run_name(config, folder.path.name))
        if start is not None:
            start.copy_to(run.path)
        _train_in(run, config, folder, recipe, workspace, console, torchrun, max_hours)
    return run.path


def continue_alone(
    recipe: str,
    run: str,
    num_epochs: int,
    workspace: Workspace,
    console: Console,
    torchrun: Torchrun,
    *,
    max_hours: float = math.inf,
) -> Path:
    """Go on with a finished run by name ("": the newest) for ``num_epochs`` in a run of its own.

    Returns its folder. Raises ``SuyanError`` for a run that is not at its end.
    """
    from flows import latest
    from flows.warm_start.more_epochs import continuation
    from storage.eviction import in_use

    with in_use(workspace):
        former = continuation(workspace, recipe, run or latest.NEWEST, num_epochs)
        folder = DatasetFolder(latest.dataset_folder(workspace, recipe, former.dataset))
        new = workspace.run(latest.run_name(former.config, folder.path.name))
        former.start.copy_to(new.path, with_state=True)
        _train_in(new, former.config, folder, recipe, workspace, console, torchrun, max_hours)
    return new.path


def _train_in(
    run: RunFolder,
    config: TrainConfig,
    folder: DatasetFolder,
    recipe: str,
    workspace: Workspace,
    console: Console,
    torchrun: Torchrun,
    max_hours: float,
) -> None:
    """Train in ``run`` and print a summary."""
    from core.locks import file_lock
    from flows import latest
    from flows.cluster.torchrun import train_run
    from flows.estimates.long_training import announce_training
    from storage import runs
    from training.tracking.tracker import require_packages

    def refuse() -> None:
        raise SuyanError(
            localised("{path}: another process trains it now; try again later", path=run.path)
        )

    require_packages(config.track)
    print_line(console, f"{folder.path} → {run.path}")
    with file_lock(run.lock, on_wait=refuse):
        runs.fetch(workspace, run.path.name)
        announce_training(
            config, folder.path, run.path, torchrun,
            max_hours=max_hours, say=partial(print_line, console), ask=question(),
        )  # fmt: skip
        with progress_bar(console) as progress:
            summary = train_run(config, folder.path, run.path, workspace, torchrun, progress)
    latest.remember_run(workspace, recipe, run.path.name)
    _print_training(summary, run, recipe, workspace, console)


def _find_dataset(
    name: str,
    parameters: PipelineParameters,
    workspace: Workspace,
    console: Console,
) -> DatasetFolder:
    """A dataset version by name, the recipe's newest, or that of a person's own folder."""
    from flows import latest
    from flows.recipe_files.folder_recipe import is_plain_folder
    from preprocessing.version.folder_version import version_of_folder

    folder = DatasetFolder(Path(name))
    if is_plain_folder(name):
        prepare = parameters.prepare
        with progress_bar(console, transient=True) as progress:
            version = version_of_folder(
                folder.path,
                workspace,
                test_fraction=prepare.test_fraction,
                domains=(prepare.domain_a, prepare.domain_b),
                progress=progress,
            )
        _print_version(version, console)
        return DatasetFolder(version.dataset)
    if folder.split("trainA").is_dir():
        return folder
    is_name = len(folder.path.parts) == 1
    is_version = is_name and workspace.dataset(name).path.is_dir()
    if not is_version and (folder.path.is_dir() or not is_name):
        content = (
            localised("it has no trainA")
            if folder.path.is_dir()
            else localised("there is no such folder")
        )
        raise ValueError(
            localised(
                "dataset: got {name}, and {content}; needed a folder with trainA and trainB, "
                "the name of a version in {datasets}, or {newest}",
                name=name,
                content=content,
                datasets=workspace.datasets,
                newest=latest.NEWEST,
            )
        )
    return DatasetFolder(latest.dataset_folder(workspace, parameters.recipe, name))


def _print_version(version: FolderVersion, console: Console) -> None:
    counts = version.counts
    line = localised(
        "{trainA} and {trainB} pictures to train on, {testA} and {testB} held out", **counts
    )
    if version.rejected:
        reasons = ", ".join(f"{num} {reason}" for reason, num in sorted(version.rejected.items()))
        line += localised("; left out: {reasons}", reasons=reasons)
    print_line(console, f"{version.dataset}: {line}")


def _print_training(
    summary: TrainSummary, run: RunFolder, recipe: str, workspace: Workspace, console: Console
) -> None:
    for event in summary.events:
        print_line(console, str(event))
    steps = counted(summary.steps, "step")
    if summary.resumed_from_step:
        num_now = summary.steps - summary.resumed_from_step
        steps += localised(", {num} of them now", num=num_now)
    print_line(console, f"[bold]{summary.checkpoint}[/bold]: {steps}")
    print_line(console, localised("Samples: {folder}", folder=run.samples_folder()))
    use = suyan_command("translate", "PHOTO", "--model", summary.checkpoint)
    print_line(console, localised("Use it: {use}", use=use))
    measure = suyan_command("evaluate", workspace=workspace, recipe=recipe)
    print_line(console, localised("Measure it: {measure}", measure=measure))
    print_result(summary)


def evaluate_alone(
    config: EvaluateConfig,
    rule: PromoteConfig,
    recipe: str,
    name: str,
    workspace: Workspace,
    console: Console,
) -> Path:
    """Measure a run by name, or the recipe's newest, and store the model as a version.

    Prints the verdict, and whether the model became champion; returns the report. Raises
    ``SuyanError`` for a run that was not trained on a dataset version: its held-out pictures are
    unknown.
    """
    from evaluation.evaluate import evaluate as run_evaluate
    from evaluation.model_registry.model_versions import find_champion
    from evaluation.model_registry.promote import promote
    from evaluation.report.wording import explanations
    from flows import latest
    from flows.estimates.stage_durations import timed_stage
    from flows.estimates.stage_work import evaluation_work
    from storage import models, runs
    from storage.eviction import in_use

    with in_use(workspace):
        run = latest.run_folder(workspace, recipe, name)
        try:
            dataset = latest.trained_dataset(workspace, recipe, run)
        except SuyanError as error:
            raise SuyanError(
                localised(
                    "{run} is measured on the dataset version of its training: {error}",
                    run=run,
                    error=error,
                )
            ) from error
        models.fetch(workspace, recipe)
        champion = find_champion(workspace, recipe)
        work = evaluation_work(config, dataset, run, workspace, champion)
        with (
            timed_stage("evaluate", work, workspace, partial(print_line, console)),
            progress_bar(console) as progress,
        ):
            evaluation = run_evaluate(
                config, dataset, run, workspace, champion=champion, progress=progress
            )
        runs.publish_evaluation(workspace, run.name, evaluation.folder.name)
        with models.update(workspace, recipe):
            promotion = promote(run, evaluation.folder, workspace, recipe, rule)
    print_line(console, f"{evaluation.verdict}\n{promotion.reason}\n")
    print_line(console, " ".join(explanations(evaluation.language)))
    print_line(console, localised("\nLook at it: {report}", report=evaluation.report))
    print_result(
        {
            "report": evaluation.report,
            "verdict": evaluation.verdict,
            "promoted": promotion.promoted,
            "reason": promotion.reason,
            "model": promotion.model,
            "scores": evaluation.scores.to_json(),
        }
    )
    return evaluation.report
