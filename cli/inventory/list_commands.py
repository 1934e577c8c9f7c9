"""The command that lists what a workspace stores: ``suyan list``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from cli.command_group import CommandGroup
from cli.console import OUTPUT, print_result, print_table, print_text
from cli.options import WORKSPACE, ExistingWorkspace
from core.commands import suyan_command
from core.language.messages import localised
from core.workspace import Workspace, other_workspace

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import Console, JustifyMethod

app = CommandGroup("The whole pipeline")
Kind = Literal["runs", "models", "datasets", "recipes", "crawls"]


@app.command("list")
def list_(
    kind: Annotated[Kind, typer.Argument(help="Kind of results that are listed.")],
    workspace: ExistingWorkspace = WORKSPACE,
) -> None:
    """List runs, models, datasets, recipes or crawls of the workspace, the oldest first."""
    print_list(kind, workspace, OUTPUT)


def print_list(kind: Kind, workspace: Workspace, console: Console) -> None:
    """Print a table with a row for each result of ``kind``."""
    from cli.inventory import stored_rows
    from cli.inventory.recipe_commands import print_recipes

    if kind == "recipes":
        print_recipes(workspace, console)
    elif kind == "runs":
        rows = stored_rows.run_rows(workspace)
        table = [
            (row["run"], f"{row['epoch']}/{row['num_epochs']}", *_kids(row), _day(row))
            for row in rows
        ]
        _print(
            console,
            {"run": "left", "epoch": "right", **_KIDS, "changed": "right"},
            table,
            rows,
            workspace,
        )
    elif kind == "models":
        rows = stored_rows.model_rows(workspace)
        table = [
            (
                row["model"],
                row["recipe"],
                localised("yes") if row["is_champion"] else "",
                *_kids(row),
                _day(row),
            )
            for row in rows
        ]
        columns: dict[str, JustifyMethod] = {
            "model": "left", "recipe": "left", "champion": "right", **_KIDS, "stored": "right",
        }  # fmt: skip
        _print(console, columns, table, rows, workspace)
    elif kind == "datasets":
        rows = stored_rows.dataset_rows(workspace)
        splits = ("trainA", "trainB", "testA", "testB")
        table = [
            (
                row["dataset"],
                *(str(row["counts"].get(split, "")) for split in splits),
                _day(row),
                ", ".join(row["newest_of"]),
            )
            for row in rows
        ]
        counts: dict[str, JustifyMethod] = dict.fromkeys(splits, "right")
        columns = {"dataset": "left", **counts, "made": "right", "newest of": "left"}
        _print(console, columns, table, rows, workspace)
    else:
        rows = stored_rows.crawl_rows(workspace)
        table = [
            (
                row["crawl"],
                str(row["num_originals"]),
                f"{row['num_bytes'] / 1e6:.1f}",
                localised(row["state"]),
                _day(row),
            )
            for row in rows
        ]
        columns = {
            "crawl": "left", "originals": "right", "MB": "right", "state": "left",
            "started": "right",
        }  # fmt: skip
        _print(console, columns, table, rows, workspace)


_CONTENTS: dict[str, tuple[str, Callable[[Workspace], Path]]] = {  # by noun: command and file
    "run": ("train", lambda each: each.run("*").config),
    "model": ("evaluate", lambda each: each.recipe_models("*").champion),
    "dataset": ("prepare", lambda each: each.dataset("*").manifest),
    "crawl": ("crawl", lambda each: each.catalogue),
}
_KIDS: dict[str, JustifyMethod] = {"A→B": "right", "B→A": "right"}


def _print(
    console: Console,
    columns: dict[str, JustifyMethod],
    table: Sequence[Sequence[str]],
    rows: Sequence[Mapping[str, Any]],
    workspace: Workspace,
) -> None:
    if not rows:
        _print_none(console, next(iter(columns)), workspace)
        print_result(rows)
        return
    note = localised("A→B, B→A: KID of the newest evaluation; lower is better")
    print_table(console, columns, table, note if columns.keys() >= _KIDS.keys() else "")
    print_result(rows)


def _print_none(console: Console, noun: str, workspace: Workspace) -> None:
    """Say that there is none, where there are some, and which command makes one."""
    command, content = _CONTENTS[noun]
    other = other_workspace(content)
    hint = ""
    if other:
        hint = localised("; those of {other} are listed with --workspace {other}", other=other)
    make = suyan_command(command, workspace=workspace)
    print_text(
        console,
        localised(
            "{workspace} has no {noun} yet{hint}. To make one: {make}",
            workspace=workspace,
            noun=localised(noun),
            hint=hint,
            make=make,
        ),
    )


def _kids(row: Mapping[str, Any]) -> list[str]:
    """The KID of both directions in a few digits; "" where it was not measured."""
    values = [f"{kid['value']:.3f}" for kid in row["kid"].values()]
    return [*values, "", ""][:2]


def _day(row: Mapping[str, Any]) -> str:
    return str(row["changed_at"])[:10]
