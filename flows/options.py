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
