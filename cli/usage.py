"""Errors of a command line that cannot be read, in the voice of all other errors."""

from __future__ import annotations

import re
from typing import Any

from core.commands import suyan_command
from core.errors import nearest, suggestion
from core.language.messages import localised


def usage_text(error: Any, command: str) -> str:
    """The message for an error of typer's parser: what was wrong, the nearest name, where to look.

    ``error`` is a ``typer.TyperException``; "" for one that has shown the help. ``command`` is the
    command, or "" where the line names none.
    """
    context = getattr(error, "ctx", None)
    path = [command] if command else []
    problem = _problem(error, context)
    if not problem:
        return ""
    where = suyan_command(*path, "--help") if path else suyan_command("--help")
    end = "" if problem.endswith("?") else "."
    return localised("{problem}{end} See '{command}'").format(
        problem=": ".join([*path, problem]), end=end, command=where
    )


def _problem(error: Any, context: Any) -> str:
    message: str = error.message.removeprefix("Value error, ").rstrip(".")
    option = getattr(error, "option_name", None)
    if option and message.startswith("No such option"):
        options = {name for each in context.command.get_params(context) for name in each.opts}
        near = suggestion(nearest(option, options))
        return localised("there is no option {name}").format(name=option) + near
    if option:
        return f"{option}: {_without_name(message)}"
    parameter = getattr(error, "param", None)
    if parameter is None:
        return _unknown_command(context, message)
    name = (getattr(parameter, "metavar", None) or parameter.name).rstrip(".")
    if parameter.param_type_name == "option":
        name = parameter.opts[0]
    if type(error).__name__ == "MissingParameter":
        if parameter.param_type_name == "option":
            return localised("the option {name} is missing").format(name=name)
        return localised("the argument {name} is missing").format(name=name)
    return f"{name}: {_choices(message)}"


def _unknown_command(context: Any, message: str) -> str:
    if not message.startswith("No such command"):
        surplus = re.fullmatch(r"Got unexpected extra arguments?(?:\(s\))? \((.*)\)", message)
        if not surplus:
            return _lower(message)
        return localised("got {found}, which is too much").format(found=surplus[1])
    name = message.split("'")[1]
    near = suggestion(nearest(name, context.command.commands))
    return localised("there is no command {name}").format(name=name) + near


def _without_name(message: str) -> str:
    """``Option '--set' requires an argument`` without the option, which stands before it."""
    return message.rpartition("' ")[2].replace("requires an argument", localised("needs a value"))


def _choices(message: str) -> str:
    """``'kep' is not one of 'keep', 'drop'`` as found, needed and the nearest."""
    value, is_choice, choices = message.partition(" is not one of ")
    if not is_choice:
        return _lower(message.partition(", unable to")[0])
    names = [choice.strip("'") for choice in choices.split(", ")]
    near = suggestion(nearest(value.strip("'"), names))
    text = localised("got {found}, needed {names} or {last}")
    return text.format(found=value, names=", ".join(names[:-1]), last=names[-1]) + near


def _lower(message: str) -> str:
    return message[:1].lower() + message[1:]
