"""The commands of one panel of ``suyan --help``."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Any

import typer
from typer import rich_utils
from typer.core import TyperCommand, TyperGroup

from cli.console import print_only_json
from core.language.messages import language, localised

_Json = Annotated[
    bool,
    typer.Option(
        "--json", help="Result as one line of JSON on the standard output; all else goes to the "
        "error output.",
    ),
]  # fmt: skip

HELP_WORDS = {  # typer's own, by their names in its module
    "ARGUMENTS_PANEL_TITLE": "Arguments",
    "COMMANDS_PANEL_TITLE": "Commands",
    "DEFAULT_STRING": "[default: {}]",
    "OPTIONS_PANEL_TITLE": "Options",
    "REQUIRED_LONG_STRING": "[required]",
    "help": "This help.",
}

_NOUNS = {  # of values, by the names of their parameters: one noun in every command
    "action": "ACTION", "block_after": "N", "crop_px": "PX", "dataset": "DATASET",
    "domain": "DOMAIN", "domain_a": "NAME", "domain_b": "NAME", "engine_url": "URL",
    "epoch": "EPOCH", "faces": "FACES", "folders": "FOLDER", "host": "HOST", "images": "N",
    "max_megapixels": "N", "model": "MODEL", "more_epochs": "N", "note": "TEXT",
    "num_bootstrap": "N", "out": "FOLDER", "params": "FILE", "photos": "PHOTO",
    "pictures": "PICTURE", "port": "PORT", "processes": "N", "reason": "TEXT", "recipe": "RECIPE",
    "root_path": "PREFIX",
    "run": "RUN", "source": "SOURCE", "sources": "SOURCE", "strength": "TIMES", "to": "DOMAIN",
    "url_column": "COLUMN", "version": "VERSION", "work_px": "PX",
}  # fmt: skip


def _name_values(parameters: list[Any]) -> list[Any]:
    """Give values a noun in place of Python's type; flags get none."""
    for parameter in parameters:
        text = getattr(parameter, "help", None) or ""
        parameter.help = localised(HELP_WORDS["help"] if parameter.name == "help" else text)
        choices = "|".join(map(str, parameter.type_descriptor.choices or ()))
        if getattr(parameter, "is_flag", False):
            parameter.metavar = ""  # otherwise the help says that a flag takes a <bool>
        elif parameter.param_type_name == "argument":
            noun = (parameter.metavar or _noun(parameter)).rstrip(".")
            parameter.metavar = noun if parameter.nargs == 1 else f"{noun}..."
            parameter.display_type_rich = lambda ctx, choices=choices: choices or None  # noqa: ARG005
        elif parameter.metavar is None:
            parameter.metavar = choices or _noun(parameter)
    return parameters


def _localise(command: Any) -> None:
    """Put the help of a command and of its commands into the person's language."""
    if language() == "en":
        return

    for each in (command, *getattr(command, "commands", {}).values()):
        each.help = localised(each.help or "")
        each.rich_help_panel = localised(each.rich_help_panel or "")
    for name in filter(str.isupper, HELP_WORDS):
        setattr(rich_utils, name, localised(HELP_WORDS[name]))
    make_text = rich_utils._make_rich_text  # noqa: SLF001 - rich cuts off lines without spaces

    def make_folded_text(**values: Any) -> Any:
        text: Any = make_text(**values)
        text.overflow = "fold"
        return text

    rich_utils._make_rich_text = make_folded_text  # noqa: SLF001


def _noun(parameter: Any) -> str:
    name: str = parameter.name
    return _NOUNS.get(name, name.upper())


class Command(TyperCommand):
    """A command whose values are shown without the types of Python."""

    def get_params(self, ctx: Any) -> list[Any]:
        """The parameters of the command and ``--help``."""
        return _name_values(super().get_params(ctx))

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print the help in the person's language."""
        _localise(self)
        super().format_help(ctx, formatter)

    def format_usage(self, ctx: Any, formatter: Any) -> None:
        """Print the line of the command's name and of what it takes."""
        pieces = " ".join(self.collect_usage_pieces(ctx))
        formatter.write_usage(ctx.command_path, pieces, prefix=localised("Usage: "))

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """The line after the command's name: what may be left out is in brackets."""
        arguments = [each for each in self.get_params(ctx) if each.param_type_name == "argument"]
        names = [each.metavar if each.required else f"[{each.metavar}]" for each in arguments]
        return ["[OPTIONS]", *names]


class MainGroup(TyperGroup):
    """A group of commands: all of them, or those of one subject."""

    def get_params(self, ctx: Any) -> list[Any]:
        """The parameters of the group itself and ``--help``."""
        return _name_values(super().get_params(ctx))

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print the help in the person's language."""
        _localise(self)
        super().format_help(ctx, formatter)

    def format_usage(self, ctx: Any, formatter: Any) -> None:
        """Print the line of the command's name and of what it takes."""
        pieces = " ".join(self.collect_usage_pieces(ctx))
        formatter.write_usage(ctx.command_path, pieces, prefix=localised("Usage: "))


class CommandGroup(typer.Typer):
    """Commands that ``suyan --help`` lists under the heading ``panel``."""

    def __init__(self, panel: str) -> None:
        super().__init__()
        self._panel = panel

    def command(
        self, name: str | None = None, *, has_result: bool = True, **settings: Any
    ) -> Callable[[Any], Any]:
        """Register a function as a command of this panel.

        One that ``has_result`` takes ``--json``, and ends with ``cli.console.print_result``.
        """
        register = super().command(
            name, **{"cls": Command, "rich_help_panel": self._panel, **settings}
        )
        return lambda function: register(_with_json(function) if has_result else function)


def _with_json(function: Callable[..., Any]) -> Callable[..., Any]:
    """``function`` with the option ``--json``, before the workspace."""
    signature = inspect.signature(function, eval_str=True)
    parameters = dict(signature.parameters)
    last = parameters.pop("workspace", None)
    option = inspect.Parameter(
        "as_json", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=_Json
    )
    ordered = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in parameters.values()]
    ordered += [option, *([last.replace(kind=inspect.Parameter.KEYWORD_ONLY)] if last else [])]

    @functools.wraps(function)
    def call(*, as_json: bool = False, **values: Any) -> Any:
        if as_json:
            print_only_json()
        return function(**values)

    call.__signature__ = signature.replace(parameters=ordered)  # type: ignore[attr-defined]
    call.__annotations__ = {each.name: each.annotation for each in ordered}
    return call
