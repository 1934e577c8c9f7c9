"""Options that several commands share, and the parameters that they define."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from cli.console import error_text
from cli.inventory.completion import complete_models, complete_recipes, complete_starts
from core.commands import is_recipe_file, register_recipe, register_recipe_file, suyan_command
from core.errors import nearest, suggestion
from core.language.messages import localised
from core.workspace import Workspace
from storage.remote import open_workspace

if TYPE_CHECKING:
    from flows.forms.field_values import Values
    from flows.parameters import PipelineParameters

WORKSPACE = Workspace(Path("workspace"))
DEMO_WORKSPACE = Workspace(Path("workspace/demo"))
REHEARSAL_WORKSPACE = Workspace(Path("workspace/rehearsal"))


def _require_folder(workspace: Workspace) -> Workspace:
    folder = workspace.folder
    if folder.exists() and not folder.is_dir():
        raise ValueError(
            localised(
                "--workspace: {folder} is a file, needed a folder or s3://bucket/prefix",
                folder=folder,
            )
        )
    return workspace


def require_existing(workspace: Workspace) -> Workspace:
    """``workspace``. Raises ``ValueError`` where its folder is a file or does not exist."""
    if not _require_folder(workspace).folder.exists():
        raise ValueError(
            localised(
                "--workspace: found no folder {workspace}, needed one that a run or crawl made",
                workspace=workspace,
            )
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

_RECIPE = "NAME|FILE"
Recipe = Annotated[
    str,
    typer.Option(
        metavar=_RECIPE,
        autocompletion=complete_recipes,
        help="Recipe: makeup or seasons, one of the workspace, or a YAML file.",
    ),
]
DEFAULT_RECIPE = "makeup"
TrainingRecipe = Annotated[
    str | None,
    typer.Option(
        metavar=_RECIPE,
        help="Recipe, as of run; default: makeup, and for a folder of pictures one of its own, "
        "which is written to the workspace.",
    ),
]
ModelRecipe = Annotated[
    str,
    typer.Option(
        metavar=_RECIPE,
        autocompletion=complete_recipes,
        help="Recipe whose models are used, or its file.",
    ),
]
Changes = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="OPTION=VALUE",
        help="Option of any stage, e.g. crawl_a.num_images=300 (run --show lists them), above the "
        "recipe and the preset; repeatable.",
    ),
]
ModelName = Annotated[
    str | None,
    typer.Option(
        autocompletion=complete_models,
        help="Version of the recipe, folder of a model, or hf://USER/NAME or ms://USER/NAME "
        "(@REVISION behind it); default: the champion.",
    ),
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
        autocompletion=complete_starts,
        help="Model to start from: champion, a version, a run, a folder of a model or of the "
        "reference's files, or hf://USER/NAME or ms://USER/NAME; default: random weights.",
    ),
]
LongTraining = Annotated[
    bool, typer.Option("--yes", help="No question before a training of many hours.")
]


def load_parameters(
    recipe: str,
    params: Path | None = None,
    *,
    workspace: Workspace,
    engine_url: str | None = None,
    images: int | None = None,
    allow_private_hosts: bool = False,
    small: bool = False,
    preset: Literal["small", "hour", "trial"] | None = None,
    init_from: str = "",
    changes: Sequence[str] | None = None,
    stage: str = "",
) -> PipelineParameters:
    """The parameters of the recipe, or of the file ``params``, changed by the other options.

    A preset is applied to the recipe, beneath the other options; ``changes`` are those of
    ``--set``, whose names without a dot are of ``stage``. Raises ``ValueError`` for an unknown
    recipe or name, and for a value that is out of range.
    """
    from flows.forms.effective import resolve
    from flows.forms.field_values import Values
    from flows.forms.form import PIPELINE
    from flows.recipe_files.library import find_recipe

    if small and preset not in {None, "small"}:
        raise ValueError(
            localised("--preset: got {preset} and --small; needed one of them", preset=preset)
        )
    decided = Values()
    for crawl in ("crawl_a", "crawl_b"):
        if engine_url:
            decided[crawl, "engine_url"] = engine_url
        if allow_private_hosts:
            decided[crawl, "allow_private_hosts"] = True
        if images is not None:
            decided[crawl, "num_images"] = images
    if init_from:
        decided["train", "init_from"] = init_from
    decided |= _changed_values(changes or [], stage)
    file: tuple[str, Path] | None = None
    if params is not None:
        overrides, stored = _load_params(params).model_dump(mode="json"), None
        file = ("--params", params)
    else:
        loaded = find_recipe(recipe, workspace)
        overrides, stored = {}, loaded.parameters.model_dump(mode="json")
        if is_recipe_file(recipe):
            file = ("--recipe", loaded.file)
    size = "small" if small else preset or "as given"
    effective = resolve(PIPELINE, overrides, stored=stored, preset=size, decided=decided)
    parameters = effective.parameters
    register_recipe(parameters.recipe, parameters.crawl_a.domain, parameters.crawl_b.domain)
    register_recipe_file(parameters.recipe, file)
    return parameters


def recipe_name(recipe: str, workspace: Workspace) -> str:
    """The name of the recipe that ``--recipe`` gives by name or by file."""
    from flows.recipe_files.library import find_recipe

    return find_recipe(recipe, workspace).name if is_recipe_file(recipe) else recipe


def _load_params(params: Path) -> PipelineParameters:
    from pydantic import ValidationError

    from flows.parameters import PipelineParameters

    if not params.is_file():
        raise ValueError(
            localised(
                "--params: found no file {params}, needed the JSON of run --show", params=params
            )
        )
    try:
        return PipelineParameters.model_validate_json(params.read_bytes())
    except ValidationError as error:
        raise ValueError(f"{params}: {error_text(error, PipelineParameters)}") from None


def _changed_values(changes: Sequence[str], stage: str) -> Values:
    """The values of ``--set``, flat; a value is read as JSON, else as text.

    Raises ``ValueError`` for an unknown name, with the nearest one.
    """
    from flows.forms.field_values import Values, flatten, nest, places
    from flows.forms.form import PIPELINE
    from flows.forms.questions import SHARED
    from scraping.config import CrawlConfig

    fields = [
        ".".join(place) for place in (*places(PIPELINE.parameters), *places(CrawlConfig, (SHARED,)))
    ]
    own = [name.removeprefix(f"{stage}.") for name in fields if name.startswith(f"{stage}.")]
    values = Values()
    for change in changes:
        name, equals, text = change.partition("=")
        if not equals:
            raise ValueError(localised("--set: got {change!r}, needed OPTION=VALUE", change=change))
        path = f"{stage}.{name}" if name in own else name
        if path not in (*fields, *PIPELINE.questions):
            near = suggestion(nearest(name, {*own, *PIPELINE.questions, *fields}))
            lists = localised("; '{command}' lists all", command=suyan_command("run", "--show"))
            raise ValueError(
                localised(
                    "--set: got {change!r}, an unknown option{hint}",
                    change=change,
                    hint=near or lists,
                )
            )
        try:
            value = json.loads(text)
        except ValueError:
            value = text
        if value is None:  # only a field that may be nothing takes it
            values |= flatten(nest({tuple(path.split(".")): None}), PIPELINE.parameters)
        else:
            values |= PIPELINE.values(nest({tuple(path.split(".")): value}))
    return values
