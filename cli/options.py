"""Options that several commands share, and the parameters that they define."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from cli.console import error_text
from cli.usage import nearest, suggestion
from core.workspace import Workspace
from storage.remote import open_workspace

if TYPE_CHECKING:
    from flows.parameters import PipelineParameters

WORKSPACE = Workspace(Path("workspace"))
DEMO_WORKSPACE = Workspace(Path("workspace/demo"))
REHEARSAL_WORKSPACE = Workspace(Path("workspace/rehearsal"))


def _require_folder(workspace: Workspace) -> Workspace:
    folder = workspace.folder
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"--workspace: {folder} is a file, needed a folder or s3://bucket/prefix")
    return workspace


def require_existing(workspace: Workspace) -> Workspace:
    """``workspace``. Raises ``ValueError`` where its folder is a file or does not exist."""
    if not _require_folder(workspace).folder.exists():
        raise ValueError(
            f"--workspace: found no folder {workspace}, needed one that a run or crawl made"
        )
    return workspace


def _workspace_option(check: Callable[[Workspace], Workspace]) -> Any:
    return typer.Option(
        envvar="SUYAN_HOME",
        metavar="FOLDER|s3://…",
        parser=lambda address: open_workspace(str(address)),
        callback=check,
        help="Folder or s3://bucket/prefix of originals, datasets, runs and models.",
    )


WorkspaceOption = Annotated[Workspace, _workspace_option(_require_folder)]
"""A workspace that the command may create; the last option of every command."""

ExistingWorkspace = Annotated[Workspace, _workspace_option(require_existing)]
"""A workspace from which the command only reads, or in which it changes something."""

Recipe = Annotated[str, typer.Option(help="Shipped recipe: makeup or seasons.")]
ModelRecipe = Annotated[str, typer.Option(help="Recipe whose models are used.")]
ModelName = Annotated[
    str | None,
    typer.Option(help="Version of the recipe, or folder of a model; default: the champion."),
]
Params = Annotated[
    Path | None,
    typer.Option(help="JSON file of all parameters (see run --show), in place of --recipe."),
]
EngineUrl = Annotated[
    str | None,
    typer.Option(help="Address of the search engine; default: the recipe's, which is Baidu."),
]
AllowPrivateHosts = Annotated[
    bool,
    typer.Option("--allow-private-hosts", help="Downloads from private addresses too."),
]
Images = Annotated[
    int | None, typer.Option(help="Originals for each domain; default: the recipe's, 800.")
]
Small = Annotated[
    bool, typer.Option("--small", help="Small, short training that a CPU does in minutes.")
]


TrainingPreset = Annotated[
    Literal["small", "hour", "trial"] | None,
    typer.Option(
        "--preset",
        help="Size of the training; small: minutes on a CPU; hour: about an hour; trial: the "
        "least; default: as given.",
    ),
]
InitFrom = Annotated[
    str,
    typer.Option(
        "--init-from",
        metavar="MODEL",
        help="Model to start from: champion, a version, a run, or a folder of a model or of the "
        "reference's files; default: random weights.",
    ),
]
LongTraining = Annotated[
    bool, typer.Option("--yes", help="No question before a training of many hours.")
]


def load_parameters(
    recipe: str,
    params: Path | None = None,
    *,
    engine_url: str | None = None,
    images: int | None = None,
    allow_private_hosts: bool = False,
    small: bool = False,
    preset: Literal["small", "hour", "trial"] | None = None,
    init_from: str = "",
) -> PipelineParameters:
    """The parameters of the recipe, or of the file ``params``, changed by the other options.

    Raises ``ValueError`` for an unknown recipe, and for a value that is out of range.
    """
    from pydantic import ValidationError

    from flows import recipes
    from flows.forms.effective import with_preset
    from flows.parameters import PipelineParameters

    if params is not None:
        try:
            parameters = PipelineParameters.model_validate_json(params.read_bytes())
        except ValidationError as error:
            raise ValueError(f"{params}: {error_text(error, PipelineParameters)}") from None
    elif recipe in recipes.RECIPES:
        parameters = recipes.RECIPES[recipe]()
    else:
        names = suggestion(nearest(recipe, recipes.RECIPES))
        raise ValueError(
            f"--recipe: got {recipe!r}, needed one of {', '.join(recipes.RECIPES)}{names}; or give "
            "--params"
        )
    if engine_url or allow_private_hosts:
        url = engine_url or parameters.crawl_a.engine_url
        parameters = recipes.with_engine(parameters, url, allow_private_hosts=allow_private_hosts)
    if images is not None:
        parameters = recipes.with_num_images(parameters, images)
    if small and preset not in {None, "small"}:
        raise ValueError(f"--preset: got {preset} and --small; needed one of them")
    chosen = "small" if small else preset
    if chosen:
        parameters = with_preset(parameters, chosen)
    if not init_from:
        return parameters
    train = parameters.train.model_copy(update={"init_from": init_from})
    return parameters.model_copy(update={"train": train})
