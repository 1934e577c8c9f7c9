"""Recipes as commented YAML: a new one to fill in, and one with every setting."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from pydantic import BaseModel
from ruamel.yaml import YAML

from core.commands import suyan_command
from core.workspace import Workspace
from flows.forms.field_values import Place, Values, defaults, flatten, places, section_of
from flows.forms.form_schema import inline, limits
from flows.forms.questions import SHARED
from flows.parameters import PipelineParameters
from flows.recipe_files.recipe import (
    BASE,
    Recipe,
    RecipeFields,
    RecipeSettings,
    Schedule,
    Titles,
    Triggers,
)

_WIDTH = 96
_ACTIVE = {
    ("crawl_a", "domain"), ("crawl_a", "phrases"), ("crawl_b", "domain"), ("crawl_b", "phrases"),
}  # fmt: skip
_FIRST: Mapping[str, tuple[str, ...]] = {  # what people change first: in a new recipe as comments
    SHARED: ("engines", "engine_url", "num_images", "num_new_images", "requests_per_s_per_host"),
    "crawl_a": ("domain", "phrases", "suffixes", "folders", "lists"),
    "crawl_b": ("domain", "phrases", "suffixes", "folders", "lists"),
    "prepare": ("faces", "faces_policy", "min_face_px", "test_fraction", "min_images"),
    "train": ("generator", "ngf", "batch_size", "num_epochs", "num_epochs_decay", "seed"),
    "max_training_h": (),
    "promote": ("automatic",),
    "approval": (),
    "titles": ("recipe", "domain_a", "domain_b"),
    "schedule": ("cron", "timezone", "active"),
    "triggers": ("train", "evaluate"),
    "retrain_above": (),
    "retrain_from": (),
}


def new_text(name: str, base: Recipe, workspace: Workspace) -> str:
    """The file of a new recipe ``name``: domains and phrases of ``base`` to be replaced, and as
    comments the settings that people change first, with range, unit and the base's value.
    """
    check = suyan_command("recipe", "check", name, workspace=workspace)
    show = suyan_command("recipe", "show", name, workspace=workspace)
    head = (
        f"The recipe {name}: what differs from {base.name}. Write your own domains and phrases. "
        "Remove the # before another setting to change it; what is not here stays as in "
        f"{base.name}."
    )
    titles = Titles(recipe=name, domain_a=base.titles.domain_a, domain_b=base.titles.domain_b)
    settings = base.settings.model_copy(
        update={"recipe": name, "titles": titles, "schedule": Schedule(), "triggers": Triggers()}
    )
    values = _values(settings, base.parameters)
    lines = [*_comment(head), f"# Check it: {check}", f"# Every setting: {show}", ""]
    lines += [f"{BASE}: {base.name}", ""]
    for top, names in _FIRST.items():
        lines += [*_lines(top, names, values, flatten(values, RecipeFields), _ACTIVE), ""]
    return "\n".join(lines).rstrip() + "\n"


def full_text(recipe: Recipe) -> str:
    """Every setting of ``recipe`` with its description: a recipe too, without a base."""
    settings = recipe.settings.model_copy(update={"titles": recipe.titles})
    values = _values(settings, recipe.parameters)
    lines = [f"# The recipe {recipe.name} with every setting.", ""]
    usual = defaults(RecipeFields)
    for top in RecipeFields.model_fields:
        if top != SHARED:
            lines += [*_lines(top, (), values, usual, {*places(RecipeFields)}), ""]
    return "\n".join(lines).rstrip() + "\n"


def _values(settings: RecipeSettings, parameters: PipelineParameters) -> dict[str, Any]:
    values = settings.model_dump(mode="json") | parameters.model_dump(mode="json")
    return values | {"recipe": settings.recipe, SHARED: values["crawl_a"]}


def _lines(
    top: str,
    names: tuple[str, ...],
    values: Mapping[str, Any],
    usual: Values,
    active: Collection[Place],
) -> Iterator[str]:
    """The lines of a setting, or of a section: of all its settings, or only of ``names``.

    Settings outside ``active`` are comments; ``usual`` are the defaults that are named.
    """
    pending: list[tuple[Place, Any, Mapping[str, Any], type[BaseModel]]] = [
        ((top,), values[top], _SCHEMA["properties"][top], RecipeFields)
    ]
    while pending:
        place, value, schema, fields = pending.pop(0)
        indent, description = "  " * (len(place) - 1), str(schema.get("description", ""))
        section = section_of(fields, place[-1])
        if section is not None:
            yield from [*_comment(description, indent), f"{indent}{place[-1]}:"]
            below = (names if len(place) == 1 else ()) or tuple(section.model_fields)
            pending[:0] = [
                ((*place, name), value[name], schema["properties"][name], section) for name in below
            ]
            continue
        default = {} if place in _ACTIVE or place not in usual else {"": usual[place]}
        yield from _comment(description + limits(schema, default), indent)
        mark = "" if place in active else "#"
        yield from (f"{indent}{mark}{line}" for line in _scalar_lines(place[-1], value))


def _comment(text: str, indent: str = "") -> list[str]:
    return textwrap.wrap(
        text, _WIDTH, initial_indent=f"{indent}# ", subsequent_indent=f"{indent}# ",
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip


def _scalar_lines(name: str, value: Any) -> list[str]:
    """``name: value`` in YAML; a list of texts has a line for each."""
    if isinstance(value, list) and value:
        return [f"{name}:", *(f"  - {_scalar(each)}" for each in value)]
    return [f"{name}: {_scalar(value)}"]


def _scalar(value: Any) -> str:
    """A plain value, as the reader understands it again."""
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = True
    yaml.allow_unicode = True
    yaml.width = 100_000
    text = io.StringIO()
    yaml.dump([value], text)
    return text.getvalue().strip().removeprefix("[").removesuffix("]")


_SCHEMA = inline(RecipeFields.model_json_schema(), {})
