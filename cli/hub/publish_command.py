"""The command that hands a model or a dataset on: ``suyan publish``."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.command_group import CommandGroup
from cli.console import OUTPUT, print_line, print_result, print_text, question
from cli.options import WORKSPACE, ModelRecipe, WorkspaceOption, recipe_name
from core.commands import suyan_command
from core.language.messages import localised

if TYPE_CHECKING:
    from core.workspace import Workspace
    from storage.hub.hub_address import HubAddress

app = CommandGroup("Using a model")


@app.command()
def publish(
    source: Annotated[
        str,
        typer.Argument(
            metavar="MODEL|DATASET",
            help="champion, a version of the recipe, the name of a dataset version, or a folder.",
        ),
    ],
    address: Annotated[str, typer.Argument(help="hf://USER/NAME.")],
    public: Annotated[
        bool, typer.Option("--public", help="New repository that everybody sees; default: private.")
    ] = False,
    licence: Annotated[
        str, typer.Option(metavar="LICENCE", help="Licence of a model's weights, e.g. mit.")
    ] = "other",
    dataset: Annotated[
        str, typer.Option(metavar="USER/NAME", help="Published dataset of a model; default: none.")
    ] = "",
    endpoint: Annotated[
        str,
        typer.Option(
            envvar="HF_ENDPOINT", metavar="URL", help="Address of the hub, or of a mirror."
        ),
    ] = "",
    recipe: ModelRecipe = "makeup",
    yes: Annotated[
        bool, typer.Option("--yes", help="No question about people that are shown.")
    ] = False,
    workspace: WorkspaceOption = WORKSPACE,
) -> None:
    """Publish a model or a dataset version on the Hugging Face hub, privately unless told."""
    import os

    from storage.hub.hub_address import parse_hub_address
    from storage.hub.hub_publication import publish_folder, require_publishable

    if endpoint:
        os.environ["HF_ENDPOINT"] = endpoint
    target = parse_hub_address(address)
    require_publishable(target)
    with tempfile.TemporaryDirectory(prefix="suyan-publish-") as name:
        folder = Path(name)
        version = _find_dataset(source, workspace)
        if version is not None:
            folder = _write_dataset(version, folder, workspace, target, public=public, yes=yes)
        else:
            recipe = recipe_name(recipe, workspace)
            _write_model(
                source, folder, workspace, recipe, target,
                public=public, yes=yes, licence=licence, dataset=dataset,
            )  # fmt: skip
        published = publish_folder(
            folder,
            target,
            "model" if version is None else "dataset",
            is_private=not public,
            replaced=["data/"] if version is not None else [],
        )
    print_text(OUTPUT, localised("{published}: published", published=published))
    if version is None:
        print_text(OUTPUT, suyan_command("translate", "PHOTO", "--model", published))
    print_result({"address": published, "kind": "model" if version is None else "dataset"})


def _find_dataset(source: str, workspace: Workspace) -> Path | None:
    """The folder of the dataset version that ``source`` names, if it names one."""
    from core.workspace_folders import DatasetFolder
    from flows.sync import fetch_dataset

    if "/" not in source and source != "champion":
        with contextlib.suppress(ValueError):
            fetch_dataset(workspace, source)
    for folder in (Path(source), workspace.dataset(source).path):
        if DatasetFolder(folder).manifest.is_file():
            return folder
    return None


def _write_dataset(
    version: Path, scratch: Path, workspace: Workspace, target: HubAddress, *, public: bool,
    yes: bool,
) -> Path:  # fmt: skip
    """Write the version as Parquet with its card, after the question; returns the folder."""
    from core.tables import Picture, iter_rows
    from core.workspace_folders import DatasetFolder
    from flows.removal.training_guard import require_none_forgotten
    from preprocessing.version.dataset_export import export

    require_none_forgotten(version, workspace)
    manifest = DatasetFolder(version).manifest
    rows = (row for row in iter_rows(manifest, Picture) if row.status == "ok")
    if not all(row.is_drawn for row in rows):
        _ask(
            localised(
                "{name} has photographs of an image search, and may show people who were not "
                "asked. '{forget}' cannot take a picture back from a hub.",
                name=version.name,
                forget=suyan_command("forget"),
            ),
            target, public=public, yes=yes,
        )  # fmt: skip
    (folder,) = export(version, scratch, "huggingface")
    return folder


def _write_model(
    source: str, folder: Path, workspace: Workspace, recipe: str, target: HubAddress, *,
    public: bool, yes: bool, licence: str, dataset: str,
) -> None:  # fmt: skip
    """Write the model's files, card and picture, after the question."""
    from cli.translate import drawn_examples
    from evaluation.features.training_statistics import TrainedOn
    from serving.exports.hub_folder import write_hub_folder
    from serving.models import open_model
    from storage import models

    name = None if source == "champion" else source
    models.fetch(workspace, recipe, name)
    model = open_model(workspace, recipe, name)
    if model.trained_on is not TrainedOn.DRAWINGS:
        _ask(
            localised(
                "{name} may have learned from photographs of people who were not asked, and its "
                "card has the phrases that found them.",
                name=model.name,
            ),
            target, public=public, yes=yes,
        )  # fmt: skip
    (example, *_) = drawn_examples(faces=model.prepare.faces)
    write_hub_folder(model, folder, example, licence=licence, dataset=dataset)


def _ask(about: str, target: HubAddress, *, public: bool, yes: bool) -> None:
    """Ask once; exits with 1 after a "no". Raises ``ValueError`` where nobody can answer."""
    if yes:
        return
    confirm = question()
    readers = localised("for everybody") if public else localised("privately")
    print_line(OUTPUT, about)
    if confirm is None:
        raise ValueError(
            localised(
                "publish: found no terminal to ask whether the people who are shown agree; answer "
                "with --yes"
            )
        )
    if not confirm(localised("Publish it {readers} as {target}?", readers=readers, target=target)):
        print_line(OUTPUT, localised("Nothing was published."))
        raise typer.Exit(1)
