"""What several commands of ``suyan`` have in common: options, and what they come to."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from core.workspace import Workspace
from storage.remote import open_workspace

if TYPE_CHECKING:
    from flows.parameters import PipelineParameters

WorkspaceOption = Annotated[
    Workspace,
    typer.Option(
        envvar="SUYAN_HOME",
        metavar="FOLDER|s3://…",
        parser=lambda given: open_workspace(str(given)),
        help="Folder or s3://bucket/prefix that holds originals, datasets, runs, models.",
    ),
]
WORKSPACE = Workspace(Path("workspace"))
DEMO_WORKSPACE = Workspace(Path("workspace/demo"))
ModelRecipe = Annotated[str, typer.Option(help="Whose champion (or version) to use.")]
WantedModel = Annotated[
    str | None,
    typer.Option(help="A version of the recipe by name, or a model's folder; else the champion."),
]
Recipe = Annotated[str, typer.Option(help="makeup or seasons.")]
Params = Annotated[
    Path | None,
    typer.Option(help="JSON file with all parameters (see run --show); replaces --recipe."),
]
EngineUrl = Annotated[
    str | None, typer.Option(help="Address of another search engine, e.g. the offline one.")
]
AllowPrivateHosts = Annotated[
    bool, typer.Option("--allow-private-hosts", help="Fetch from private addresses too.")
]
Small = Annotated[
    bool, typer.Option("--small", help="A small, short training that a CPU does in minutes.")
]
Images = Annotated[int | None, typer.Option(help="Originals wanted for each domain.")]


def parameters_of(
    recipe: str,
    params: Path | None,
    engine_url: str | None,
    images: int | None,
    *,
    allow_private: bool,
) -> PipelineParameters:
    """The recipe's or the file's parameters with the changes that options make."""
    from pydantic import ValidationError

    from flows import recipes
    from flows.parameters import PipelineParameters

    if params is not None:
        try:
            parameters = PipelineParameters.model_validate_json(params.read_bytes())
        except ValidationError as error:
            raise ValueError(f"{params}: {told(error)}") from None
    elif recipe in recipes.RECIPES:
        parameters = recipes.RECIPES[recipe]()
    else:
        raise ValueError(f"recipe: {recipe!r} is unknown; there are {', '.join(recipes.RECIPES)}")
    if engine_url or allow_private:
        url = engine_url or parameters.crawl_a.engine_url
        parameters = recipes.with_engine(parameters, url, allow_private_hosts=allow_private)
    if images is not None:
        parameters = recipes.with_num_images(parameters, images)
    return parameters


def told(error: Exception) -> str:
    """The error's message; pydantic's without addresses of its manual."""
    from pydantic import ValidationError

    if not isinstance(error, ValidationError):
        return str(error)
    lines = ["these parameters are refused:"]
    for each in error.errors():
        where = ".".join(map(str, each["loc"]))
        found = "" if isinstance(each["input"], dict) or not where else f"got {each['input']!r}; "
        lines.append(f"  {where}: {found}{each['msg']}" if where else f"  {each['msg']}")
    return "\n".join(lines)


def program() -> str:
    """This command as the user can type it again."""
    program = Path(sys.argv[0])
    relative = os.path.relpath(program)
    return program.name if relative.startswith("..") else relative
