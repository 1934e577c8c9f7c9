"""The effective parameters of a run: the recipe, a preset above it, and a person's changes on top.

A person's changes are all values that a run is started with, except those that repeat what was
there, because the form and files of ``suyan run --show`` send every value back. So a value is no
change where it equals the deployment's own parameters, or where it equals the recipe in a section
that is sent with most of its fields.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any, Generic

from pydantic import BaseModel, ValidationError

from flows.forms.field_values import (
    Place,
    Values,
    defaults,
    flatten,
    nest,
    places,
    problem,
    sections,
    single_errors,
)
from flows.forms.form import PIPELINE, Form, Overrides, Parameters
from flows.forms.questions import CRAWLS, DERIVED
from flows.parameters import PipelineParameters, TrainParameters
from flows.presets import Preset, preset_values
from flows.recipes import RECIPES
from training.runtime.launcher import Torchrun

_WHOLE = 0.5  # share of a section's fields above which a form or a file sent it


@dataclass(frozen=True)
class Effective(Generic[Parameters]):
    """The parameters by which a run works, and where they come from.

    ``changes`` has a person's changes of ``recipe_values``, and ``preset_changes`` those of the
    preset; a place is in one of the two at most.
    """

    parameters: Parameters
    preset: Preset
    recipe_values: Values
    changes: Values
    preset_changes: Values


def resolve(
    form: Form[Parameters],
    overrides: Overrides,
    *,
    stored: dict[str, Any] | None = None,
    preset: Preset = "as given",
    decided: Values | None = None,
) -> Effective[Parameters]:
    """The effective parameters of a run that is started with ``overrides``, a part or all of them.

    ``stored`` are the deployment's own parameters; without a deployment, the recipe is the one
    that ``overrides`` name. ``decided`` are changes in any case, since a person gave each of them.
    Raises ``ValueError`` for an unknown name, for a value that is not
    allowed, and for a training that several processes cannot share.
    """
    stored = stored or {}
    values, stored_values = _complete(form, overrides), _complete(form, stored)
    recipe = stored_values.get(("recipe",)) or values.get(("recipe",), "")
    recipe_values = _recipe(form, recipe) | stored_values
    repeated = _repeated(form, values, form.values(stored), recipe_values)
    changes = {place: value for place, value in values.items() if place not in repeated}
    changes |= decided or {}
    preset_changes = {
        place: value
        for place, value in _sizes(preset, recipe_values, changes).items()
        if place[0] in form.parameters.model_fields
        and place not in changes
        and recipe_values.get(place, ...) != value
    }
    merged = recipe_values | preset_changes | changes
    if "prepare" in form.parameters.model_fields:
        for place, source in DERIVED.items():
            if place not in changes and source in merged:
                merged[place] = merged[source]
    return Effective(_checked(form, merged), preset, recipe_values, changes, preset_changes)


def _sizes(preset: Preset, recipe_values: Values, changes: Values) -> Values:
    """What the preset sets; pictures are prepared at the side that the training loads."""
    if preset == "as given":
        return {}
    torchrun = Torchrun.model_validate(nest(recipe_values | changes).get("torchrun", {}))
    values = preset_values(preset, recipe_values, torchrun)
    values["prepare", "crop_px"] = (values | changes)["train", "load_px"]
    return values


def with_preset(parameters: PipelineParameters, preset: Preset) -> PipelineParameters:
    """``parameters`` at the size of ``preset``; what differs from the shipped recipe stays.

    Raises ``ValueError`` as ``resolve`` does.
    """
    if preset == "as given":
        parameters.torchrun.check(parameters.train)
        return parameters
    return resolve(PIPELINE, parameters, preset=preset).parameters


def _complete(form: Form[Parameters], overrides: Overrides) -> Values:
    """The values of ``overrides``, in the former shape with the defaults that it leaves out."""
    if isinstance(overrides, BaseModel):
        return flatten(overrides.model_dump(mode="json"), form.parameters)
    if CRAWLS[0] in overrides:
        try:
            return _complete(form, form.parameters.model_validate(overrides))
        except ValidationError:
            pass  # a part of the parameters
    return form.values(overrides)


def _recipe(form: Form[Parameters], name: str) -> Values:
    """The values of the shipped recipe; of another one, the general defaults."""
    if name not in RECIPES:
        return defaults(form.parameters)
    fields = set(form.parameters.model_fields)
    return flatten(RECIPES[name]().model_dump(mode="json", include=fields), form.parameters)


def _repeated(form: Form[Any], values: Values, stored: Values, recipe_values: Values) -> set[Place]:
    """Places of ``values`` that only repeat the deployment's parameters, or the recipe in a section
    that ``values`` hold whole.
    """
    num_values = Counter(place[0] for place in values)
    num_fields = Counter(place[0] for place in places(form.parameters))
    whole = {name for name, num in num_values.items() if num > _WHOLE * num_fields[name]}
    return {
        place
        for place, value in values.items()
        if stored.get(place, ...) == value
        or (place[0] in whole and recipe_values.get(place, ...) == value)
    }


def _checked(form: Form[Parameters], values: Values) -> Parameters:
    nested = {name: {} for name in sections(form.parameters)} | nest(values)
    try:
        parameters = form.parameters.model_validate(nested)
    except ValidationError as error:
        lines = [f"  {problem(each)}" for each in single_errors(error)]
        raise ValueError("\n".join(["these parameters are refused:", *lines])) from None
    if isinstance(parameters, PipelineParameters | TrainParameters):
        parameters.torchrun.check(parameters.train)
    return parameters
