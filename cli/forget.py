"""``suyan forget``: pictures leave every place of a workspace, or the proof that they did."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.command_group import CommandGroup
from cli.console import OUTPUT, print_line, print_result, progress_bar
from cli.options import WORKSPACE, ExistingWorkspace
from core.commands import suyan_command
from core.language.messages import localised
from core.progress import counted

if TYPE_CHECKING:
    from rich.console import Console

    from core.workspace import Workspace
    from flows.removal.copies import Copies

app = CommandGroup("Pictures")


@app.command()
def forget(
    pictures: Annotated[
        list[str] | None,
        typer.Argument(
            help="Address, sha256 (its first 8 digits or more) or host of the picture(s); default: "
            "all that was forgotten before.",
        ),
    ] = None,
    check: Annotated[
        bool,
        typer.Option("--check", help="Search for copies only; status 1 if there are any."),
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", help="No question before datasets, exports and runs change.")
    ] = False,
    folders: Annotated[
        list[Path] | None,
        typer.Option(
            "--folder", help="Further folder with copies, e.g. moved exports; repeatable."
        ),
    ] = None,
    workspace: ExistingWorkspace = WORKSPACE,
) -> None:
    """Remove pictures for good, from every place that holds a copy; no later crawl fetches them."""
    from storage.eviction import in_use

    if check and pictures:
        raise ValueError(
            localised(
                "--check: got pictures too; it looks for copies of everything that was forgotten"
            )
        )
    _require_folders(folders or [])
    with in_use(workspace):
        if check:
            check_forgotten(workspace, OUTPUT, folders or [])
        else:
            remove_pictures(pictures or [], workspace, OUTPUT, folders or [], is_agreed=yes)


def remove_pictures(
    names: list[str],
    workspace: Workspace,
    console: Console,
    folders: list[Path],
    *,
    is_agreed: bool,
) -> None:
    """Remove pictures after a question, and print what was removed and what cannot be.

    Raises ``ValueError`` where the question cannot be asked, and exits with 1 after a "no", and
    while copies are left.
    """
    from flows.removal.full_removal import plan_removal, remove

    with progress_bar(console, transient=True) as progress:
        plan = plan_removal(names, workspace, folders=folders, progress=progress)
    if plan.copies.changes_products and not is_agreed:
        _ask(plan.copies, console)
    with progress_bar(console, transient=True) as progress:
        removal = remove(plan, workspace, folders=folders, progress=progress)
    for line in removal.lines:
        print_line(console, line)
    _print_left(removal.left, console, folders, removal.lines)


def check_forgotten(workspace: Workspace, console: Console, folders: list[Path]) -> None:
    """Print whether a copy of anything that was forgotten is left; exits with 1 if so."""
    from dataclasses import replace

    from flows.removal.copies import find_copies
    from flows.removal.full_removal import cannot_remove
    from scraping.forget import forgotten_digests
    from storage.forgotten_record import load_record

    record = load_record(workspace)
    record = replace(record, pictures=record.pictures | forgotten_digests(workspace))
    with progress_bar(console, transient=True) as progress:
        copies = find_copies(workspace, record, folders=folders, progress=progress)
    print_line(
        console,
        localised(
            "{pictures} forgotten in {workspace}",
            pictures=counted(len(record.pictures), "picture"),
            workspace=workspace,
        ),
    )
    for line in cannot_remove(workspace):
        print_line(console, line)
    if record.pending and copies.is_empty:
        names = ", ".join(sorted(record.pending))
        print_line(
            console,
            localised("[red]Not finished[/red]: forgetting {names} was interrupted", names=names),
        )
        print_line(
            console, localised("Finish it: {command}", command=_mending_command(workspace, folders))
        )
        print_result({"unfinished": sorted(record.pending), "left": []})
        raise typer.Exit(1)
    _print_left(copies, console, folders)


def _print_left(
    copies: Copies, console: Console, folders: list[Path], removed: Sequence[str] = ()
) -> None:
    lines = copies.lines()
    print_result({"removed": removed, "left": lines})
    if not lines:
        print_line(
            console, localised("[green]No copy is left[/green]: by name, by content, in any table")
        )
        return
    for line in lines:
        print_line(console, localised("[red]Left[/red]: {line}", line=line))
    print_line(
        console,
        localised("Remove them: {command}", command=_mending_command(copies.workspace, folders)),
    )
    raise typer.Exit(1)


def _mending_command(workspace: Workspace, folders: list[Path]) -> str:
    options = [word for folder in folders for word in ("--folder", folder)]
    return suyan_command("forget", "--yes", *options, workspace=workspace)


def _ask(copies: Copies, console: Console) -> None:
    """Ask once whether all these places may change."""
    for line in copies.lines():
        print_line(console, line)
    if not sys.stdin.isatty():
        raise ValueError(
            localised(
                "forget: found no terminal to ask whether to remove the picture from all "
                "this; needed --yes. Nothing was changed"
            )
        )
    print_line(
        console,
        localised(
            "It is removed from all of these. Dataset versions are prepared again "
            "without it, under new names; runs on them cannot go on, and keep their "
            "weights."
        ),
    )
    if not typer.confirm(localised("Go on?"), default=False, err=OUTPUT.stderr):
        print_line(console, localised("Nothing was changed"))
        raise typer.Exit(1)


def _require_folders(folders: list[Path]) -> None:
    for folder in folders:
        if not folder.is_dir():
            raise ValueError(
                localised("--folder: got {folder}, needed an existing folder", folder=folder)
            )
