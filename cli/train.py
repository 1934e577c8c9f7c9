"""The commands that make and measure models: ``suyan train``, ``evaluate``, ``import``."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.command_group import CommandGroup
from cli.console import OUTPUT, print_line, progress_bar, question
from cli.options import (
    WORKSPACE,
    ExistingWorkspace,
    LongTraining,
    Params,
    Recipe,
    Small,
    TrainingPreset,
    WorkspaceOption,
    load_parameters,
)
from cli.usage import nearest, suggestion
from core.commands import suyan_command
from core.errors import SuyanError
from core.progress import counted
from core.workspace import Workspace
from core.workspace_folders import DatasetFolder, ModelFolder, RunFolder

if TYPE_CHECKING:
    from rich.console import Console

    from evaluation.config import EvaluateConfig, PromoteConfig
    from training.config import TrainConfig
    from training.data.picture_digests import Digests
    from training.runtime.launcher import Torchrun
    from training.train import TrainSummary

app = CommandGroup("Trainings and models")


@app.command()
def train(
    dataset: Annotated[
        str,
        typer.Argument(help="Dataset version, newest, or any folder with trainA and trainB."),
    ] = "newest",
    recipe: Recipe = "makeup",
    params: Params = None,
    small: Small = False,
    preset: TrainingPreset = None,
    changes: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="OPTION=VALUE",
            help="Option of the training, e.g. num_epochs=50 (run --show lists them); repeatable.",
        ),
    ] = None,
    processes: Annotated[
        int,
        typer.Option(min=1, max=64, help="Number of training processes on this machine."),
    ] = 1,
    yes: LongTraining = False,
    workspace: WorkspaceOption = WORKSPACE,
) -> None:
    """Train only, or go on where the same training stopped: without Prefect, on any pictures."""
    from training.runtime.launcher import Torchrun

    parameters = load_parameters(recipe, params, small=small, preset=preset)
    config = with_changes(parameters.train, changes or [])
    torchrun = Torchrun(processes_per_node=processes) if processes > 1 else parameters.torchrun
    train_alone(
        config, parameters.recipe, dataset, workspace, OUTPUT, torchrun,
        max_hours=math.inf if yes else parameters.max_training_h,
    )  # fmt: skip


@app.command()
def evaluate(
    run: Annotated[str, typer.Argument(help="Name of a training run, or newest.")] = "newest",
    recipe: Recipe = "makeup",
    params: Params = None,
    workspace: ExistingWorkspace = WORKSPACE,
) -> None:
    """Evaluate only: measure a run on held-out pictures, write the report, and promote."""
    parameters = load_parameters(recipe, params)
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
            f"--out: {out} is not empty; choose another folder, or replace it with --overwrite"
        )
    config = import_reference(source, out, epoch=epoch, crop_px=crop_px)
    write_json(ModelFolder(out).prepare, prepare.model_dump(mode="json"))
    kind = f"{config.generator}, ngf {config.ngf}, {config.norm} norm"
    typer.echo(f"{out}: {kind}\nUse it: {suyan_command('translate', 'PHOTO', '--model', out)}")


def with_changes(config: TrainConfig, changes: Sequence[str]) -> TrainConfig:
    """``config`` with changes such as ``"ngf=32"``; a value is read as JSON, else as text.

    Raises ``ValueError`` for an unknown option, and for a value that it does not allow.
    """
    values: dict[str, Any] = config.model_dump()
    for change in changes:
        name, equals, value = change.partition("=")
        if not equals:
            raise ValueError(f"--set: got {change!r}, needed OPTION=VALUE")
        if name not in values:
            lists = f"; '{suyan_command('run', '--show')}' lists all"
            near = suggestion(nearest(name, values)) or lists
            raise ValueError(f"--set: got {change!r}, an unknown option{near}")
        try:
            values[name] = json.loads(value)
        except ValueError:
            values[name] = value
    return type(config).model_validate(values)


def train_alone(
    config: TrainConfig,
    recipe: str,
    dataset: str,
    workspace: Workspace,
    console: Console,
    torchrun: Torchrun,
    *,
    max_hours: float = math.inf,
) -> Path:
    """Train on a dataset version by name, the newest, or any folder with trainA and trainB.

    Prints a summary; returns the folder of the run, which the flows use for the same work too.
    A training that would take more than ``max_hours`` needs a yes at the terminal. Raises
    ``SuyanError`` without one, and while another process trains this run.
    """
    from core.locks import file_lock
    from flows import latest
    from flows.cluster.torchrun import train_run
    from flows.estimates.long_training import announce_training
    from storage import runs
    from storage.eviction import in_use

    with in_use(workspace):
        folder = _find_dataset(dataset, workspace, recipe)
        run = _find_run(config, folder, workspace)

        def refuse() -> None:
            raise SuyanError(f"{run.path}: another process trains it now; try again later")

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
    _print_training(summary, run, console)
    return run.path


def _find_dataset(name: str, workspace: Workspace, recipe: str) -> DatasetFolder:
    from flows import latest

    folder = DatasetFolder(Path(name))
    if folder.split("trainA").is_dir():
        return folder
    is_name = len(folder.path.parts) == 1
    is_version = is_name and workspace.dataset(name).path.is_dir()
    if not is_version and (folder.path.is_dir() or not is_name):
        content = "it has no trainA" if folder.path.is_dir() else "there is no such folder"
        raise ValueError(
            f"dataset: got {name}, and {content}; needed a folder with trainA and trainB, the name "
            f"of a version in {workspace.datasets}, or {latest.NEWEST}"
        )
    return DatasetFolder(latest.dataset_folder(workspace, recipe, name))


def _find_run(config: TrainConfig, folder: DatasetFolder, workspace: Workspace) -> RunFolder:
    """The run of these settings on these pictures.

    A person's own folder is named by the content of its pictures, so that other pictures are
    another run. Earlier versions named it by its path; such a run goes on while nothing in the
    folder is newer than the run.
    """
    from core.files import digest
    from flows import latest
    from training.data.picture_digests import picture_digests

    name = folder.path.name
    if folder.manifest.exists():
        return workspace.run(latest.run_name(config, name))
    pictures = picture_digests(folder.path)
    by_path = f"{name}-{digest(str(folder.path.resolve()), 8)}"
    former = workspace.run(latest.run_name(config, by_path))
    if former.config.exists() and _has_trained(former, folder, pictures):
        return former
    return workspace.run(latest.run_name(config, f"{name}-{digest(pictures, 8)}"))


def _has_trained(run: RunFolder, folder: DatasetFolder, pictures: Digests) -> bool:
    """Whether ``run``, named by the path of ``folder``, was trained on its present pictures."""
    from core.files import load_json

    if run.pictures.exists():
        return load_json(run.pictures) == pictures
    began = run.config.stat().st_mtime
    files = [path.lstat() for side in pictures for path in folder.split(side).rglob("*")]
    files += [folder.split(side).stat() for side in pictures]
    return all(max(file.st_mtime, file.st_ctime) <= began for file in files)


def _print_training(summary: TrainSummary, run: RunFolder, console: Console) -> None:
    for event in summary.events:
        print_line(console, str(event))
    steps = counted(summary.steps, "step")
    if summary.resumed_from_step:
        steps += f", {summary.steps - summary.resumed_from_step} of them now"
    print_line(console, f"[bold]{summary.checkpoint}[/bold]: {steps}")
    print_line(console, f"Samples: {run.samples_folder()}")
    use = suyan_command("translate", "PHOTO", "--model", summary.checkpoint)
    print_line(console, f"Use it: {use}")


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
    from flows.estimates.stage_durations import pictures_to_evaluate, timed_stage
    from storage import models, runs
    from storage.eviction import in_use

    with in_use(workspace):
        run = latest.run_folder(workspace, recipe, name)
        try:
            dataset = latest.trained_dataset(workspace, recipe, run)
        except SuyanError as error:
            raise SuyanError(
                f"{run} is measured on the dataset version of its training: {error}"
            ) from error
        models.fetch(workspace, recipe)
        num = pictures_to_evaluate(config, dataset)
        with (
            timed_stage("evaluate", num, workspace, partial(print_line, console)) as timing,
            progress_bar(console) as progress,
        ):
            champion = find_champion(workspace, recipe)
            evaluation = run_evaluate(
                config, dataset, run, workspace, champion=champion, progress=progress
            )
            timing.num_pictures *= not evaluation.reused
        runs.publish_evaluation(workspace, run.name, evaluation.folder.name)
        with models.update(workspace, recipe):
            promotion = promote(run, evaluation.folder, workspace, recipe, rule)
    print_line(console, f"{evaluation.verdict}\n{promotion.reason}\n")
    print_line(console, " ".join(explanations(evaluation.language)))
    print_line(console, f"\nLook at it: {evaluation.report}")
    return evaluation.report
