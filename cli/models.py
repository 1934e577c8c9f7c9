"""The commands that choose a recipe's champion: ``suyan promote``, ``suyan rollback``."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.command_group import CommandGroup
from cli.console import OUTPUT, print_result, print_text
from cli.inventory.completion import complete_models, complete_recipes
from cli.options import WORKSPACE, ExistingWorkspace, recipe_name
from core.language.messages import localised

app = CommandGroup("Trainings and models")


@app.command()
def promote(
    version: Annotated[
        str,
        typer.Argument(
            autocompletion=complete_models, help="Version: name of a folder in models/RECIPE."
        ),
    ],
    recipe: Annotated[
        str,
        typer.Option(
            metavar="NAME|FILE",
            autocompletion=complete_recipes,
            help="Recipe that gets the champion, or its file.",
        ),
    ] = "makeup",
    reason: Annotated[str, typer.Option(help="Reason, stored in champion.json.")] = "",
    workspace: ExistingWorkspace = WORKSPACE,
) -> None:
    """Make a stored model the champion, whatever its figures say."""
    from evaluation.model_registry.model_versions import crown
    from storage import models

    recipe = recipe_name(recipe, workspace)
    with models.update(workspace, recipe, version):
        model = crown(workspace, recipe, version, reason)
    print_text(
        OUTPUT, localised("{name} is the champion of {recipe}", name=model.name, recipe=recipe)
    )
    print_result({"recipe": recipe, "champion": model.name})


@app.command()
def rollback(
    recipe: Annotated[
        str,
        typer.Option(
            metavar="NAME|FILE",
            autocompletion=complete_recipes,
            help="Recipe to roll back, or its file.",
        ),
    ] = "makeup",
    workspace: ExistingWorkspace = WORKSPACE,
) -> None:
    """Make the previous champion of a recipe its champion again."""
    from evaluation.model_registry.model_versions import rollback as run_rollback
    from storage import models

    recipe = recipe_name(recipe, workspace)
    with models.update(workspace, recipe):
        model = run_rollback(workspace, recipe)
    print_text(
        OUTPUT,
        localised("{name} is the champion of {recipe} again", name=model.name, recipe=recipe),
    )
    print_result({"recipe": recipe, "champion": model.name})
