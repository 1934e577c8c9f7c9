"""Commands that use a model: ``suyan translate``, ``suyan web``, ``suyan export``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from cli.options import WORKSPACE, ModelRecipe, WantedModel, WorkspaceOption

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from serving.inputs import Input
    from serving.translate import OutputOptions, PhotoOutcome, TranslateOptions, Translator

app = typer.Typer()
_errors = Console(stderr=True)


@app.command()
def translate(
    photos: Annotated[
        list[str], typer.Argument(help="Photos, folders, or patterns in quotes ('trip/*.jpg').")
    ],
    out: Annotated[Path, typer.Option(help="Folder for the results.")] = Path("translated"),
    to: Annotated[
        str | None,
        typer.Option(help="Wanted domain, e.g. bare or makeup; by default the recipe's second."),
    ] = None,
    faces: Annotated[
        str | None,
        typer.Option(help="all (the default), largest, or numbers from left to right: 1,3."),
    ] = None,
    show_faces: Annotated[
        bool, typer.Option("--show-faces", help="Write the photos with faces numbered, no more.")
    ] = False,
    whole: Annotated[bool, typer.Option("--whole", help="The whole picture, not faces.")] = False,
    work_px: Annotated[
        int,
        typer.Option(
            min=0,
            help="Whole pictures: longer side at which the network works; the change is scaled up. "
            "0: the picture's own, in tiles.",
        ),
    ] = 1024,
    strength: Annotated[
        float, typer.Option(min=0, max=1, help="1 is the full change, 0 keeps the photo.")
    ] = 1.0,
    compare: Annotated[bool, typer.Option("--compare", help="Write before/after too.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace old results.")] = False,
    keep_location: Annotated[
        bool, typer.Option("--keep-location", help="Keep where a photo was taken, too.")
    ] = False,
    max_megapixels: Annotated[
        float, typer.Option(min=0.1, max=1000, help="Largest photo that is opened.")
    ] = 120.0,
    model: WantedModel = None,
    recipe: ModelRecipe = "makeup",
    workspace: WorkspaceOption = WORKSPACE,
) -> None:
    """Translate photos with a model, at their full resolution.

    Faces are found, prepared as in training, translated, and pasted back; a recipe without faces
    translates the whole picture. Ends with status 1 when a photo could not be done.
    """
    from serving.face_selection import FaceChoice
    from serving.inputs import find_photos
    from serving.models import open_model
    from serving.translate import OutputOptions, TranslateOptions, Translator
    from storage import models

    if whole and (faces or show_faces):
        raise ValueError("--whole and --faces exclude each other")
    options = TranslateOptions(
        mode="whole" if whole else "faces" if faces else "model",
        faces=FaceChoice.parse(faces or "all"),
        strength=strength,
        work_px=work_px,
    )
    inputs = find_photos(photos, out)
    models.fetch(workspace, recipe, model)
    opened = open_model(workspace, recipe, model)
    translator = Translator(opened, opened.direction(to))
    source, target = opened.directions[translator.direction]
    _errors.print(f"{opened.name}: {source} → {target}", markup=False, highlight=False)
    output_options = OutputOptions(
        compare=compare,
        show_faces=show_faces,
        overwrite=overwrite,
        keep_location=keep_location,
        max_megapixels=max_megapixels,
    )
    outcomes = _with_progress(inputs, out, translator, options, output_options)
    for outcome in outcomes:
        _tell(outcome)
    failed = sum(outcome.output is None for outcome in outcomes)
    if len(outcomes) > 1:
        _errors.print(f"{len(outcomes) - failed} of {len(outcomes)} done, in {out}")
    if failed:
        raise typer.Exit(1)


def _with_progress(
    inputs: Sequence[Input],
    out: Path,
    translator: Translator,
    options: TranslateOptions,
    output_options: OutputOptions,
) -> list[PhotoOutcome]:
    from serving.translate import translate as run_translate

    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}", markup=False))
    with Progress(*columns, console=_errors, transient=True) as bar:
        task = bar.add_task("", total=len(inputs))
        return run_translate(
            inputs,
            out,
            translator,
            options,
            output_options,
            progress=lambda _stage, done, total, message: bar.update(
                task, completed=done, total=total, description=message
            ),
        )


def _tell(outcome: PhotoOutcome) -> None:
    if outcome.output is None:
        typer.echo(f"{outcome.photo}: not done: {outcome.reason}")
        return
    num = outcome.num_faces
    faces = f" ({num} face{'s' * (num != 1)})" if num else ""
    note = f"; {outcome.note}" if outcome.note else ""
    typer.echo(f"{outcome.photo} → {outcome.output}{faces}{note}")


@app.command()
def web(
    port: Annotated[int, typer.Option(min=1, max=65535)] = 7860,
    host: Annotated[
        str,
        typer.Option(
            help="Address to listen on; 0.0.0.0 lets your phone in, and everybody else in the "
            "network. (Its camera is in the file dialog: browsers keep the live one for https.)"
        ),
    ] = "127.0.0.1",
    model: WantedModel = None,
    recipe: ModelRecipe = "makeup",
    workspace: WorkspaceOption = WORKSPACE,
) -> None:
    """Serve a page (and an HTTP endpoint) that translates photos, on this machine, until Ctrl-C."""
    from serving.models import open_model
    from serving.web.app import serve
    from storage import models

    models.fetch(workspace, recipe, model)
    opened = open_model(workspace, recipe, model)
    _errors.print(f"{opened.name} at [bold]http://{host}:{port}[/bold]   (Ctrl-C ends it)")
    serve(opened, host, port, _examples(faces=opened.prepare.faces))


def _examples(*, faces: bool) -> list[NDArray[np.uint8]]:
    """Drawn pictures to try the page with."""
    from scraping.offline.corpus import group, portrait
    from scraping.offline.landscapes import draw

    if faces:
        return [portrait("makeup", 3), portrait("bare", 8), group("makeup", 40)]
    return [draw(1, winter=False), draw(2, winter=True)]


@app.command()
def export(
    out: Annotated[Path, typer.Option(help="Folder for the files and the model card.")] = Path(
        "exported"
    ),
    kind: Annotated[
        Literal["onnx", "torch-export", "reference"],
        typer.Option(
            "--format",
            help="onnx; torch-export (a .pt2 program); or reference (latest_net_G_A.pth …).",
        ),
    ] = "onnx",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace old files.")] = False,
    model: WantedModel = None,
    recipe: ModelRecipe = "makeup",
    workspace: WorkspaceOption = WORKSPACE,
) -> None:
    """Write a model for other programs, checked against PyTorch, with a model card."""
    from serving.model_export import export_model
    from serving.models import open_model
    from storage import models

    models.fetch(workspace, recipe, model)
    opened = open_model(workspace, recipe, model)
    for one in export_model(opened, out, kind, overwrite=overwrite):
        typer.echo(f"{one.file}: differs from PyTorch by {one.max_abs_diff:.1e} at most")
    typer.echo(f"{out / 'README.md'}: the model card")
