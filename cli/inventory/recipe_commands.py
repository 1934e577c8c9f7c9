"""The commands about recipes: ``suyan recipe new``, ``list``, ``show``, ``check``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.command_group import CommandGroup, MainGroup
from cli.console import (
    ERRORS,
    OUTPUT,
    error_text,
    print_line,
    print_result,
    print_table,
    print_text,
)
from cli.inventory.completion import complete_recipes
from cli.options import WORKSPACE, WorkspaceOption
from core.commands import suyan_command
from core.language.messages import localisable, localised
from core.progress import counted

if TYPE_CHECKING:
    from rich.console import Console, JustifyMethod

    from core.workspace import Workspace
    from flows.recipe_files.recipe import Recipe
    from scraping.config import CrawlConfig

app = typer.Typer()
_commands = CommandGroup("Commands")
app.add_typer(
    _commands,
    name="recipe",
    cls=MainGroup,
    help="Recipes as files: domains, phrases, the settings of every stage, the schedule.",
    rich_help_panel="The whole pipeline",
    no_args_is_help=True,
)
_NameOrFile = Annotated[
    str,
    typer.Argument(
        metavar="NAME|FILE",
        autocompletion=complete_recipes,
        help="Name of a recipe, or its YAML file.",
    ),
]


@_commands.command()
def new(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Name of the new recipe: a-z, 0-9 and -.")
    ],
    base: Annotated[
        str,
        typer.Option(
            "--from",
            metavar="NAME|FILE",
            autocompletion=complete_recipes,
            help="Recipe from which it differs.",
        ),
    ] = "makeup",
    workspace: WorkspaceOption = WORKSPACE,
) -> None:
    """Write the commented YAML of a new recipe into the workspace; never in place of another."""
    from core.files import atomic_file
    from flows.recipe_files.library import check_new_name, find_recipe
    from flows.recipe_files.template import new_text

    check_new_name(name, workspace)
    text = new_text(name, find_recipe(base, workspace), workspace)
    file = workspace.recipe_file(name)
    with atomic_file(file, is_new=True) as draft:
        draft.write(text.encode())
    check = suyan_command("recipe", "check", name, workspace=workspace)
    run = suyan_command("run", workspace=workspace, recipe=name)
    print_line(
        OUTPUT,
        localised(
            "{file}: write your domains and phrases into it\nCheck it: {check}",
            file=file,
            check=check,
        ),
    )
    print_line(OUTPUT, localised("Run it: {run}", run=run))
    print_result({"recipe": name, "file": file})


@_commands.command("list")
def list_(workspace: WorkspaceOption = WORKSPACE) -> None:
    """List the recipes that --recipe takes by name: the shipped ones, and the workspace's."""
    print_recipes(workspace, OUTPUT)


@_commands.command()
def show(recipe: _NameOrFile, workspace: WorkspaceOption = WORKSPACE) -> None:
    """Print every setting of a recipe as commented YAML, which is a recipe too."""
    from flows.recipe_files.library import find_recipe
    from flows.recipe_files.template import full_text

    loaded = find_recipe(recipe, workspace)
    print_text(OUTPUT, full_text(loaded).rstrip())
    print_result(loaded.settings.model_dump() | loaded.parameters.model_dump())


@_commands.command()
def check(
    recipes: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="NAME|FILE",
            autocompletion=complete_recipes,
            help="Names or YAML files of recipes; default: all of the workspace.",
        ),
    ] = None,
    workspace: WorkspaceOption = WORKSPACE,
) -> None:
    """Check recipes: names, ranges, domains, bases, schedules; status 1 if one is refused."""
    from flows.recipe_files.library import files_by_name, find_recipe

    names = recipes or list(files_by_name(workspace))
    if not names:
        raise ValueError(
            localised(
                "{recipe_files}: found no recipe, needed one; give a NAME|FILE",
                recipe_files=workspace.recipe_files,
            )
        )
    results: dict[str, dict[str, Any]] = {}
    for name in names:
        try:
            recipe = find_recipe(name, workspace)
        except (ValueError, OSError) as error:
            results[name] = {"problem": error_text(error)}
            print_text(ERRORS, results[name]["problem"])
            continue
        print_text(OUTPUT, f"{recipe.name}: {_summary(recipe)}")
        results[name] = {"problem": None, "notes": _notes(recipe, workspace)}
        for note in results[name]["notes"]:
            print_text(OUTPUT, f"  {note}")
    print_result(results)
    if any(result["problem"] for result in results.values()):
        raise typer.Exit(1)


def print_recipes(workspace: Workspace, console: Console) -> None:
    """Print a table of the recipes that commands know by name, also of those that are refused,
    which exit with 1.
    """
    from flows.recipe_files.library import (
        SHIPPED_NAMES,
        files_by_name,
        load_recipe,
        only_file,
        shipped_recipe,
    )

    results = [_row(shipped_recipe(name), None) for name in SHIPPED_NAMES]
    problems = []
    for name, files in files_by_name(workspace).items():
        try:
            file = only_file(files)
            results.append(_row(load_recipe(file, workspace), file))
        except (ValueError, OSError) as error:
            problems.append(error_text(error))
            nothing = dict.fromkeys(("from", "domains", "refresh"))
            results.append({"recipe": name, **nothing, "file": files[0], "problem": problems[-1]})
    columns: dict[str, JustifyMethod] = {
        "recipe": "left", "from": "left", "domains": "left", "refresh": "left", "file": "left",
    }  # fmt: skip
    blanks = {
        "from": "-",
        "domains": localised("refused"),
        "refresh": "-",
        "file": localised("shipped"),
    }
    print_table(
        console,
        columns,
        [
            [str(result[key] or blanks[key]) for key in columns]
            for result in (
                {**each, "refresh": localised(each["refresh"] or "")} for each in results
            )
        ],
    )
    for problem in problems:
        print_text(ERRORS, problem)
    print_result(results)
    if problems:
        raise typer.Exit(1)


def _row(recipe: Recipe, file: Path | None) -> dict[str, Any]:
    """What a list says of a recipe; ``file`` is ``None`` for a shipped one."""
    return {
        "recipe": recipe.name,
        "from": recipe.base or None,
        "domains": _domains(recipe),
        "refresh": _refresh(recipe),
        "file": file,
        "problem": None,
    }


def _domains(recipe: Recipe) -> str:
    return f"{recipe.parameters.crawl_a.domain} ↔ {recipe.parameters.crawl_b.domain}"


def _refresh(recipe: Recipe) -> str:
    schedule = recipe.settings.schedule
    return schedule.text if schedule.active else localisable("off")


def _summary(recipe: Recipe) -> str:
    crawls = (recipe.parameters.crawl_a, recipe.parameters.crawl_b)
    counts = ", ".join(map(_sources, crawls))
    return localised(
        "{domains}; {counts}; refresh: {refresh}",
        domains=_domains(recipe),
        counts=counts,
        refresh=localised(_refresh(recipe)),
    )


def _sources(crawl: CrawlConfig) -> str:
    """Where the pictures of a domain come from, e.g. ``"800 cats by 4 phrases, 1 folder"``."""
    counts = [
        counted(len(crawl.searches), "phrase") if crawl.searches else "",
        counted(len(crawl.folders), "folder") if crawl.folders else "",
        counted(len(crawl.lists), "list") if crawl.lists else "",
    ]
    num = f"{crawl.num_images} " if crawl.searches else ""
    return localised(
        "{pictures} by {sources}",
        pictures=f"{num}{crawl.domain}",
        sources=", ".join(filter(None, counts)) or localised("what was added to it"),
    )


def _source_notes(crawl: CrawlConfig) -> Iterator[str]:
    """What a person may not have meant about a domain's sources."""
    for name in (*crawl.folders, *crawl.lists):
        if not Path(name).expanduser().exists():
            yield localised("{domain}: {name} is not there", domain=crawl.domain, name=name)
    if not (crawl.searches or crawl.folders or crawl.lists):
        command = suyan_command("add", "FOLDER", "--domain", crawl.domain)
        yield localised(
            "{domain}: no phrases, folders or lists; add its pictures with '{command}'",
            domain=crawl.domain,
            command=command,
        )


def _notes(recipe: Recipe, workspace: Workspace) -> list[str]:
    """What a person may not have meant."""
    from flows.recipe_files.library import base_of

    crawls = (recipe.parameters.crawl_a, recipe.parameters.crawl_b)
    notes = [note for crawl in crawls for note in _source_notes(crawl)]
    if both := sorted({*crawls[0].searches} & {*crawls[1].searches}):
        notes.append(
            localised(
                "both domains search for {phrases}: pictures found for both are rejected "
                "(prepare.both_domains)",
                phrases=", ".join(both),
            )
        )
    if base := base_of(recipe, workspace):
        formers = (base.parameters.crawl_a, base.parameters.crawl_b)
        notes += [
            localised(
                "{section}: still the phrases of {base}", section=f"crawl_{side}", base=base.name
            )
            for side, crawl, former in zip("ab", crawls, formers, strict=True)
            if crawl.phrases and crawl.phrases == former.phrases
        ]
    return notes
