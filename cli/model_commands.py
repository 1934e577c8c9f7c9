"""Commands that make a model: ``suyan train``, ``suyan evaluate``, ``suyan import``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from cli.options import WORKSPACE, Params, Recipe, Small, WorkspaceOption, parameters_of, program

app = typer.Typer()
_console = Console()


@app.command()
def train(
    dataset: Annotated[
        str, typer.Argument(help="A version by name, newest, or any folder with trainA and trainB.")
    ] = "newest",
    workspace: WorkspaceOption = WORKSPACE,
    recipe: Recipe = "makeup",
    params: Params = None,
    small: Small = False,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="OPTION=VALUE", help="E.g. num_epochs=50; see run --show."),
    ] = None,
    processes: Annotated[int, typer.Option(min=1, max=64, help="That train together.")] = 1,
) -> None:
    """Train alone, or go on where the same training stopped: no Prefect, any pictures."""
    from cli.train import train_alone, with_changes
    from flows import recipes
    from training.runtime.launcher import Torchrun

    parameters = parameters_of(recipe, params, None, None, allow_private=False)
    if small:
        parameters = recipes.with_small_training(parameters)
    config = with_changes(parameters.train, changes or [])
    together = Torchrun(processes_per_node=processes) if processes > 1 else parameters.torchrun
    train_alone(
        config, parameters.recipe, dataset, workspace, _console, together, program=program()
    )


@app.command()
def evaluate(
    run: Annotated[str, typer.Argument(help="A training run by name, or newest.")] = "newest",
    workspace: WorkspaceOption = WORKSPACE,
    recipe: Recipe = "makeup",
    params: Params = None,
) -> None:
    """Evaluate alone: measure a run on held-out pictures, write the report, and promote."""
    from cli.train import evaluate_alone

    parameters = parameters_of(recipe, params, None, None, allow_private=False)
    evaluate_alone(
        parameters.evaluate, parameters.promote, parameters.recipe, run, workspace, _console
    )


@app.command("import")
def import_(
    source: Annotated[
        Path,
        typer.Argument(help="Folder of EPOCH_net_G_A.pth and its kin, or of EPOCH_net_G.pth."),
    ],
    out: Annotated[Path, typer.Option(help="Folder for the model.")],
    epoch: Annotated[str, typer.Option(help="Which of the files, e.g. latest or 200.")] = "latest",
    crop_px: Annotated[int, typer.Option(help="Side that it was trained at, px.")] = 256,
    domain_a: Annotated[str, typer.Option(help="Name of domain A, e.g. horse.")] = "a",
    domain_b: Annotated[str, typer.Option(help="Name of domain B, e.g. zebra.")] = "b",
    faces: Annotated[bool, typer.Option("--faces", help="It translates aligned faces.")] = False,
) -> None:
    """Read a checkpoint of pytorch-CycleGAN-and-pix2pix; `translate --model` then uses it."""
    from core.files import write_json
    from preprocessing.config import PrepareConfig
    from training.pix2pix import import_reference

    prepare = PrepareConfig(domain_a=domain_a, domain_b=domain_b, faces=faces, crop_px=crop_px)
    config = import_reference(source, out, epoch=epoch, crop_px=crop_px)
    write_json(out / "prepare.json", prepare.model_dump(mode="json"))
    kind = f"{config.generator}, ngf {config.ngf}, {config.norm} norm"
    typer.echo(f"{out}: {kind}\nUse it: {program()} translate PHOTO --model {out}")
