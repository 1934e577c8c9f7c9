"""Parameters as a flat mapping of places to values, and the names that they may have.

A place is a field's path, e.g. ``("train", "seed")``. Flat, a merge of nested parameters is the
union of two dictionaries, and a difference a comprehension.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import to_jsonable_python

from core.commands import suyan_command
from core.language.messages import localised

Place = tuple[str, ...]
Values = dict[Place, Any]


def flatten(nested: Mapping[str, Any], config: type[BaseModel], above: Place = ()) -> Values:
    """The values of ``nested``, which may hold any part of ``config``; places begin with ``above``.

    ``None`` stands for no value, except where the field allows it. Raises ``ValueError`` for a name
    that ``config`` does not have, and for a value where fields are needed.
    """
    values: Values = {}
    for name, value in nested.items():
        place, field = (*above, name), config.model_fields[name]
        section = section_of(config, name)
        if section is None:
            if value is not None or type(None) in get_args(field.annotation):
                values[place] = value
        elif value is not None:
            fields = as_section(value, place)
            check_names(fields, section, place)
            values |= flatten(fields, section, place)
    return values


def nest(values: Mapping[Place, Any]) -> dict[str, Any]:
    """The nested form of ``values``."""
    nested: dict[str, Any] = {}
    for place, value in values.items():
        section = nested
        for name in place[:-1]:
            section = section.setdefault(name, {})
        section[place[-1]] = value
    return nested


def section_of(config: type[BaseModel], name: str) -> type[BaseModel] | None:
    """The configuration that is the field ``name`` of ``config``; ``None`` for a plain field."""
    kind = config.model_fields[name].annotation
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def as_section(value: Any, place: Place) -> Mapping[str, Any]:
    """``value``, if it holds fields by name; else ``ValueError`` with the ``place``."""
    if isinstance(value, Mapping):
        return value
    raise ValueError(
        localised(
            "{dotted}: got {value!r}, needed fields and their values",
            dotted=dotted(place),
            value=value,
        )
    )


def sections(config: type[BaseModel]) -> list[str]:
    """The names of the fields of ``config`` that are configurations."""
    return [name for name in config.model_fields if section_of(config, name)]


def places(config: type[BaseModel], above: Place = ()) -> Iterator[Place]:
    """The places of all plain fields of ``config``, of its sections too."""
    for name in config.model_fields:
        section = section_of(config, name)
        if section is None:
            yield (*above, name)
        else:
            yield from places(section, (*above, name))


def defaults(config: type[BaseModel], above: Place = ()) -> Values:
    """The default of every plain field of ``config`` that has one, as JSON values."""
    values: Values = {}
    for name, field in config.model_fields.items():
        section = section_of(config, name)
        if section is not None:
            values |= defaults(section, (*above, name))
        elif not field.is_required():
            default = field.get_default(call_default_factory=True)
            values[*above, name] = to_jsonable_python(default)
    return values


def check_names(nested: Mapping[str, Any], config: type[BaseModel], above: Place) -> None:
    """Raise ``ValueError`` with the nearest name for a name that ``config`` does not have."""
    for name in nested:
        if name not in config.model_fields:
            raise unknown_name((*above, name), [(*above, field) for field in config.model_fields])


def unknown_name(place: Place, names: list[Place]) -> ValueError:
    """The error about an unknown name. It has the nearest of ``names``: one with the
    same last name, else a similar one beside it, else a similar one anywhere.
    """
    nearest = [each for each in names if each[-1] == place[-1]]
    siblings = [each for each in names if each[:-1] == place[:-1]]
    for candidates in (siblings, names):
        nearest = nearest or _similar(place[-1], candidates)
    remedy = " or ".join(map(dotted, nearest))
    listing = suyan_command("run", "--show")
    needed = f"the nearest is {remedy}" if nearest else f"'{listing}' lists all of them"
    return ValueError(
        localised(
            "{dotted}: no parameter has this name; {needed}", dotted=dotted(place), needed=needed
        )
    )


def single_errors(error: ValidationError) -> list[Any]:
    """Pydantic's errors, one for each mistake: a list that is too short only because its entries
    are refused has none of its own.
    """
    return [each for each in error.errors() if each["type"] != "too_short" or not each["input"]]


def problem(error: Mapping[str, Any]) -> str:
    """The text of one of pydantic's errors: the place, the value, and what is needed."""
    place = dotted(tuple(map(str, error["loc"])))
    message = str(error["msg"]).removeprefix("Value error, ")
    if not place:
        return message
    value = "" if isinstance(error["input"], dict) else f"got {error['input']!r}; "
    return f"{place}: {value}{message}"


def _similar(name: str, candidates: list[Place]) -> list[Place]:
    by_name = {each[-1]: each for each in reversed(candidates)}
    return [by_name[match] for match in difflib.get_close_matches(name, by_name, n=2, cutoff=0.5)]


def dotted(place: Place) -> str:
    """``place`` as text, e.g. ``"train.seed"``."""
    return ".".join(place)
