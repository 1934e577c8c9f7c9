"""Names that a shell completes: of runs, models, datasets and recipes in the workspace.

A workspace in a bucket has the names that are on this machine. A shell waits for these functions,
so they only list folders, and print no error.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

import typer

from core.commands import RECIPE_DOMAINS, RECIPE_SUFFIXES
from core.workspace import Workspace
from storage.remote import open_workspace

_NEWEST = "newest"


def complete_runs(ctx: typer.Context, incomplete: str) -> list[str]:
    """Names of training runs, and ``newest``."""
    return _matching([_NEWEST, *_folders(_workspace(ctx).runs)], incomplete)


def complete_datasets(ctx: typer.Context, incomplete: str) -> list[str]:
    """Names of dataset versions, and ``newest``."""
    return _matching([_NEWEST, *_folders(_workspace(ctx).datasets)], incomplete)


def complete_versions(ctx: typer.Context, incomplete: str) -> list[str]:
    """Names of dataset versions."""
    return _matching(_folders(_workspace(ctx).datasets), incomplete)


def complete_models(ctx: typer.Context, incomplete: str) -> list[str]:
    """Names of the stored models of the recipe on the line."""
    recipe = str(ctx.params.get("recipe") or next(iter(RECIPE_DOMAINS)))
    return _matching(_folders(_workspace(ctx).recipe_models(recipe).path), incomplete)


def complete_starts(ctx: typer.Context, incomplete: str) -> list[str]:
    """What a training may start from: ``champion``, stored models of the recipe, and runs."""
    return _matching(
        ["champion", *complete_models(ctx, ""), *_folders(_workspace(ctx).runs)], incomplete
    )


def complete_recipes(ctx: typer.Context, incomplete: str) -> list[str]:
    """Names of the shipped recipes and of those of the workspace."""
    with contextlib.suppress(OSError):
        paths = sorted(_workspace(ctx).recipe_files.glob("[!.]*"))
        stems = [path.stem for path in paths if path.suffix in RECIPE_SUFFIXES]
        return _matching([*RECIPE_DOMAINS, *stems], incomplete)
    return []


def _workspace(ctx: typer.Context) -> Workspace:
    """The workspace on the line, if it stands before the word; else the usual one."""
    workspace = ctx.params.get("workspace")
    if isinstance(workspace, Workspace):
        return workspace
    with contextlib.suppress(ValueError, OSError):
        return open_workspace(str(workspace or os.environ.get("SUYAN_HOME") or "workspace"))
    return Workspace(Path("workspace"))


def _folders(above: Path) -> list[str]:
    with contextlib.suppress(OSError):
        return sorted(path.name for path in above.glob("[!.]*") if path.is_dir())
    return []


def _matching(names: Iterable[str], incomplete: str) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]
