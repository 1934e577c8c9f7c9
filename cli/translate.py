"""The commands that use a model: ``suyan translate``, ``suyan web``, ``suyan export``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

import typer

from cli.command_group import CommandGroup
from cli.console import ERRORS, OUTPUT, print_result, print_text, progress_bar
from cli.options import WORKSPACE, ModelName, ModelRecipe, WorkspaceOption, recipe_name
from core.language.messages import localised
from core.progress import counted

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from serving.models import Model
    from serving.translate import PhotoOutcome

app = CommandGroup("Using a model")
_NoLabel = Annotated[
    bool,
    typer.Option(
        "--no-label",
        help="Results without the metadata that say that a model changed the picture (IPTC digital "
        "source type, and the AIGC field of GB 45438-2025).",
    ),
]
_Producer = Annotated[
    str,
    typer.Option(
        envvar="SUYAN_PRODUCER",
        metavar="NAME",
        help="Name or code of the provider in the AIGC field (ContentProducer).",
    ),
]
_Text = TypeVar("_Text")
_Value = TypeVar("_Value")


@app.command()
def translate(
    photos: Annotated[
        list[str], typer.Argument(help="Photos, folders, or quoted patterns ('trip/*.jpg').")
    ],
    out: Annotated[Path, typer.Option(help="Folder for the results.")] = Path("translated"),
    to: Annotated[
        str | None,
        typer.Option(help="Target domain, e.g. bare or makeup; default: the recipe's second."),
    ] = None,
    faces: Annotated[
        str | None,
        typer.Option(
            help="Faces: all, largest, or numbers from left to right (1,3), each with a strength "
            "of its own or not (1:0.5,3); default: all."
        ),
    ] = None,
    show_faces: Annotated[
        bool, typer.Option("--show-faces", help="Photos with numbered faces, untranslated.")
    ] = False,
    whole: Annotated[
        bool, typer.Option("--whole", help="Whole pictures instead of faces.")
    ] = False,
    work_px: Annotated[
        int,
        typer.Option(
            min=0,
            help="Longer side at which the network sees a whole picture, px; its change is scaled "
            "up. 0: the picture's own size, in tiles. No effect on a bilateral generator.",
        ),
    ] = 1024,
    strength: Annotated[
        float,
        typer.Option(
            min=0,
            max=2,
            help="How many times the model's change: 0 keeps the photo, 1 is the change itself.",
        ),
    ] = 1.0,
    compare: Annotated[bool, typer.Option("--compare", help="Before/after pictures too.")] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="New results in place of existing ones.")
    ] = False,
    keep_location: Annotated[
        bool,
        typer.Option("--keep-location", help="Results with the place where the photo was taken."),
    ] = False,
    max_megapixels: Annotated[
        float,
        typer.Option(min=0.1, max=1000, help="Largest photo that is opened, megapixels."),
    ] = 120.0,
    no_label: _NoLabel = False,
    producer: _Producer = "Suyan",
    mark: Annotated[
        Literal["en", "zh"] | None,
        typer.Option(
            help="Visible mark in a corner: en (Edited with AI) or zh (AI合成); default: none."
        ),
    ] = None,
    mark_corner: Annotated[
        Literal["top-left", "top-right", "bottom-left", "bottom-right"],
        typer.Option(help="Corner of the mark."),
    ] = "bottom-right",
    model: ModelName = None,
    recipe: ModelRecipe = "makeup",
    workspace: WorkspaceOption = WORKSPACE,
) -> None:
    """Translate photos with a model, at their full resolution.

    Faces are detected, aligned as in training, translated, and blended back. A recipe without faces
    has whole pictures translated. The exit status is 1 if a photo could not be translated.
    """
    from serving.face_selection import FaceChoice
    from serving.labelling.visible_mark import VisibleMark
    from serving.models import open_model
    from serving.photo_paths import find_photos
    from serving.translate import OutputOptions, TranslateOptions, Translator
    from serving.translate import translate as run_translate
    from storage import models

    if whole and (faces or show_faces):
        raise ValueError(localised("--whole and --faces exclude each other"))
    settings = TranslateOptions(
        mode="whole" if whole else "faces" if faces else "model",
        faces=_parsed("--faces", FaceChoice.parse, faces or "all"),
        strength=strength,
        work_px=work_px,
    )
    inputs = find_photos(photos, out)
    recipe = recipe_name(recipe, workspace)
    models.fetch(workspace, recipe, model)
    opened = open_model(workspace, recipe, model)
    translator = Translator(opened, _parsed("--to", opened.direction, to))
    source, target = opened.directions[translator.direction]
    ERRORS.print(f"{opened.name}: {source} → {target}", markup=False, highlight=False)
    _print_origin(opened)
    options = OutputOptions(
        compare=compare,
        show_faces=show_faces,
        overwrite=overwrite,
        keep_location=keep_location,
        max_megapixels=max_megapixels,
        producer=None if no_label else producer,
        mark=VisibleMark(mark, mark_corner) if mark else None,
    )
    with progress_bar(ERRORS, transient=True) as progress:
        outcomes = run_translate(inputs, out, translator, settings, options, progress=progress)
    for outcome in outcomes:
        print_text(OUTPUT, _result_line(outcome))
    print_result(
        {
            "model": opened.name,
            "photos": [
                {
                    "photo": outcome.photo,
                    "output": outcome.output,
                    "num_faces": outcome.num_faces,
                    "reason": outcome.reason,
                    "note": outcome.note,
                }
                for outcome in outcomes
            ],
        }
    )
    num_failed = sum(outcome.output is None for outcome in outcomes)
    if len(outcomes) > 1:
        ERRORS.print(
            localised(
                "{done} of {num} translated, in {out}",
                done=len(outcomes) - num_failed,
                num=len(outcomes),
                out=out,
            )
        )
    if num_failed:
        raise typer.Exit(1)


def _print_origin(model: Model) -> None:
    """Say what the model was trained on, and whether it knows its training pictures again."""
    from evaluation.features.training_statistics import TrainedOn
    from serving.refusals import Note, note_text

    lines = []
    if model.trained_on is TrainedOn.DRAWINGS:
        lines.append(note_text(Note.DRAWINGS))
    if model.training_statistics is None or not model.training_statistics.can_judge:
        lines.append(
            localised("whether a photo is like its training pictures is unknown: none are recorded")
        )
    for line in lines:
        ERRORS.print(f"{model.name}: {line}", markup=False, highlight=False, soft_wrap=True)


def _parsed(option: str, parse: Callable[[_Text], _Value], text: _Text) -> _Value:
    """``parse(text)``, whose ``ValueError`` names the option."""
    try:
        return parse(text)
    except ValueError as error:
        raise ValueError(f"{option}: {error}") from error


def _result_line(outcome: PhotoOutcome) -> str:
    from core.files import printable_name

    photo = printable_name(outcome.photo)
    if outcome.output is None:
        note = f" ({outcome.note})" if outcome.note else ""
        reason = f"{outcome.reason}{note}"
        return localised("{photo}: not done: {reason}", photo=photo, reason=reason)
    faces = f" ({counted(outcome.num_faces, 'face')})" if outcome.num_faces else ""
    note = f"; {outcome.note}" if outcome.note else ""
    return f"{photo} → {printable_name(outcome.output)}{faces}{note}"


@app.command(has_result=False)
def web(
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the page.")] = 7860,
    host: Annotated[
        str,
        typer.Option(
            help="Address to listen on; 0.0.0.0 admits your phone, and everybody else in the "
            "network. (Use its camera from the file dialog: live cameras need https.)"
        ),
    ] = "127.0.0.1",
    auth: Annotated[
        str | None,
        typer.Option(
            envvar="SUYAN_AUTH",
            metavar="USER:PASSWORD|FILE",
            help="User and password that the server asks for, or a file whose first line has them "
            "(others on this machine can see a command's options); default: none.",
        ),
    ] = None,
    root_path: Annotated[
        str,
        typer.Option(
            metavar="PREFIX", help="Path below which a proxy offers the page, as in /suyan."
        ),
    ] = "",
    no_label: _NoLabel = False,
    producer: _Producer = "Suyan",
    model: ModelName = None,
    recipe: ModelRecipe = "makeup",
    workspace: WorkspaceOption = WORKSPACE,
) -> None:
    """Serve a web page and an HTTP API that translate photos, until Ctrl-C.

    The page and the API offer the other models of the workspace too.
    """
    from serving.models import open_model
    from serving.web.access import load_credentials
    from serving.web.app import ServerOptions, check_root_path, serve
    from storage import models

    credentials = load_credentials(auth) if auth else None
    root_path = check_root_path(root_path)

    recipe = recipe_name(recipe, workspace)
    models.fetch(workspace, recipe, model)
    opened = open_model(workspace, recipe, model)
    ERRORS.print(
        localised(
            "{name} at [bold]http://{host}:{port}[/bold]   (Ctrl-C ends it)",
            name=opened.name,
            host=host,
            port=port,
        )
    )
    if credentials is None and host not in {"127.0.0.1", "localhost", "::1"}:
        ERRORS.print(
            localised("everybody who reaches this machine can use it; --auth asks for a password")
        )
    _print_origin(opened)
    options = ServerOptions(
        host=host,
        port=port,
        workspace=workspace,
        producer=None if no_label else producer,
        credentials=credentials,
        root_path=root_path,
    )
    serve(opened, options, drawn_examples(faces=opened.prepare.faces))


def drawn_examples(*, faces: bool) -> list[NDArray[np.uint8]]:
    """Drawn pictures for trying out the page."""
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
        Literal["onnx", "torch-export", "reference", "space", "browser"],
        typer.Option(
            "--as",
            "--format",
            metavar="FORMAT",
            help="onnx, torch-export (a .pt2 program), reference (latest_net_G_A.pth …), space (a "
            "folder that Gradio and onnxruntime run) or browser (one HTML file).",
        ),
    ] = "onnx",
    runtime: Annotated[
        Path | None,
        typer.Option(
            help="Folder of onnxruntime-web's files, for --as browser; default: "
            "node_modules/onnxruntime-web/dist.",
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="New files in place of existing ones.")
    ] = False,
    model: ModelName = None,
    recipe: ModelRecipe = "makeup",
    workspace: WorkspaceOption = WORKSPACE,
) -> None:
    """Write a model for other programs, checked against PyTorch, with a model card."""
    from serving.exports.browser_page import export_page
    from serving.exports.space import export_space
    from serving.model_export import export_model
    from serving.models import open_model
    from storage import models

    recipe = recipe_name(recipe, workspace)
    models.fetch(workspace, recipe, model)
    opened = open_model(workspace, recipe, model)
    if kind == "browser":
        exports = export_page(opened, out, runtime, overwrite=overwrite)
    elif kind == "space":
        exports = export_space(opened, out, overwrite=overwrite)
    else:
        exports = export_model(opened, out, kind, overwrite=overwrite)
    for exported in exports:
        print_text(
            OUTPUT,
            localised(
                "{file}: differs from PyTorch by {max_abs_diff:.1e} at most",
                file=exported.file,
                max_abs_diff=exported.max_abs_diff,
            ),
        )
    if kind == "space":
        print_text(
            OUTPUT,
            localised(
                "{file}: the page; install requirements.txt of that folder with pip, and start "
                "it there with 'python app.py'",
                file=out / "app.py",
            ),
        )
    print_text(OUTPUT, localised("{file}: the model card", file=out / "README.md"))
    print_result({"files": exports, "card": out / "README.md"})
