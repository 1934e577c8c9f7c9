"""The commands of one panel of ``suyan --help``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

_PLACEHOLDERS = {
    "int": "N",
    "float": "X",
    "str": "TEXT",
    "Path": "PATH",
    "list[Path]": "PATH",
    "list[str]": "TEXT",
}


def _name_values(parameters: list[Any]) -> list[Any]:
    """Give options without a placeholder one in place of Python's type; flags get none."""
    for parameter in parameters:
        if getattr(parameter, "is_flag", False):
            parameter.metavar = ""  # otherwise the help says that a flag takes a <bool>
        elif parameter.param_type_name == "option" and parameter.metavar is None:
            choices = parameter.type_descriptor.choices or ()
            name = "|".join(map(str, choices)) or _PLACEHOLDERS.get(parameter.bare_type())
            parameter.metavar = name
    return parameters


class Command(TyperCommand):
    """A command whose options are shown without the types of Python."""

    def get_params(self, ctx: Any) -> list[Any]:
        """The parameters of the command and ``--help``."""
        return _name_values(super().get_params(ctx))


class MainGroup(TyperGroup):
    """A group of commands: all of them, or those of one subject."""

    def get_params(self, ctx: Any) -> list[Any]:
        """The parameters of the group itself and ``--help``."""
        return _name_values(super().get_params(ctx))


class CommandGroup(typer.Typer):
    """Commands that ``suyan --help`` lists under the heading ``panel``."""

    def __init__(self, panel: str) -> None:
        super().__init__()
        self._panel = panel

    def command(self, name: str | None = None, **settings: Any) -> Callable[[Any], Any]:
        """Register a function as a command of this panel."""
        return super().command(name, **{"cls": Command, "rich_help_panel": self._panel, **settings})
