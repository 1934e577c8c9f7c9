"""Options that several commands of ``suyan`` have in common."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from storage.workspace import local_folder

Workspace = Annotated[
    Path,
    typer.Option(
        envvar="SUYAN_HOME",
        metavar="FOLDER|s3://…",
        parser=lambda given: local_folder(str(given)),
        help="Folder or s3://bucket/prefix that holds originals, datasets, runs, models.",
    ),
]
WORKSPACE = Path("workspace")
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
