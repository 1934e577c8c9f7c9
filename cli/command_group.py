"""The commands of one panel of ``suyan --help``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup


def _hide_types_of_flags(parameters: list[Any]) -> list[Any]:
    for parameter in parameters:
        if getattr(parameter, "is_flag", False):
            parameter.metavar = ""  # otherwise the help says that a flag takes a <bool>
    return parameters


class Command(TyperCommand):
    """A command whose flags are shown without a type."""

    def get_params(self, ctx: Any) -> list[Any]:
        """The parameters of the command and ``--help``."""
        return _hide_types_of_flags(super().get_params(ctx))


class MainGroup(TyperGroup):
    """The group of all commands, whose flags are shown without a type."""

    def get_params(self, ctx: Any) -> list[Any]:
        """The parameters of ``suyan`` itself and ``--help``."""
        return _hide_types_of_flags(super().get_params(ctx))


class CommandGroup(typer.Typer):
    """Commands that ``suyan --help`` lists under the heading ``panel``."""

    def __init__(self, panel: str) -> None:
        super().__init__()
        self._panel = panel

    def command(self, name: str | None = None, **settings: Any) -> Callable[[Any], Any]:
        """Register a function as a command of this panel."""
        return super().command(name, **{"cls": Command, "rich_help_panel": self._panel, **settings})
