"""The JSON schema of a form, which the Prefect UI shows: questions first, all else folded.

No field has a default: an empty one stays as in the recipe, so a run is given exactly what a
person entered. Descriptions state range and default instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaValue

from flows.forms.field_values import Place, Values, flatten
from flows.forms.questions import ADVANCED, CRAWLS, DERIVED, SHARED, Question
from flows.recipes import RECIPES

OF_ONE_CRAWL = (
    "domain", "prefixes", "suffixes", "folders", "lists", "url_column", "num_images"
)  # fmt: skip
"""Fields of a crawl that each domain has in the form."""
_DESCRIPTIONS = {
    SHARED: "Search and download for both domains",
    "crawl_a": "Name of domain A, its folders and lists, and what differs from domain B",
    "crawl_b": "Name of domain B, its folders and lists, and what differs from domain A",
}
_LONGEST_DEFAULT = 24  # characters; longer texts are no defaults to remember


def form_schema(
    parameters: type[BaseModel],
    first_questions: Mapping[str, Question],
    questions: Mapping[str, Question],
) -> JsonSchemaValue:
    """The schema of a form of ``parameters``: the ``first_questions``, and the folded section
    ``advanced`` with its plain fields and, folded too, a section for each configuration.

    What is in ``advanced`` may stand outside too, and so may the answers to all ``questions``. The
    UI does not show ``patternProperties``, and the server checks them.
    """
    schema = inline(parameters.model_json_schema(), {})
    recipes = _recipe_values(parameters)
    of_questions = {place for question in first_questions.values() for place in question.places}
    plain: dict[str, JsonSchemaValue] = {}
    sections: dict[str, JsonSchemaValue] = {}
    left_out = of_questions | {*DERIVED}
    for name, field in schema["properties"].items():
        if "properties" not in field:
            if (name,) not in of_questions:
                plain[name] = _plain(field, _defaults((name,), recipes))
        elif name in CRAWLS:
            of_one: set[Place] = {(name, each) for each in OF_ONE_CRAWL}
            if SHARED not in sections:
                shared = left_out | of_one | {(name, "phrases")}
                sections[SHARED] = _section(SHARED, field, (name,), shared, recipes)
            of_both: set[Place] = {
                (name, each) for each in field["properties"] if each not in OF_ONE_CRAWL
            }
            sections[name] = _section(name, field, (name,), of_both, recipes)
        else:
            sections[name] = _section(name, field, (name,), left_out, recipes)
    question_fields = {name: _question(each, schema, recipes) for name, each in questions.items()}
    fields = {name: question_fields[name] for name in first_questions}
    names = ", ".join([*plain, *sections])
    fields[ADVANCED] = _folded(ADVANCED, f"Everything else: {names}", {**plain, **sections})
    folded = questions.keys() - first_questions.keys()
    outside = {f"^{name}$": _limited(question_fields[name]) for name in folded}
    outside |= {f"^{name}$": _limited(field) for name, field in schema["properties"].items()}
    if SHARED in sections:
        outside[f"^{SHARED}$"] = outside[f"^{CRAWLS[0]}$"]
    return {"type": "object", "properties": fields, "patternProperties": outside}


def _question(
    question: Question, schema: JsonSchemaValue, recipes: Mapping[str, Values]
) -> JsonSchemaValue:
    field: JsonSchemaValue = {"type": "string", "enum": [*question.answers]}
    if not question.answers:
        field = schema
        for name in question.places[0]:
            field = field["properties"][name]
        field = {key: value for key, value in field.items() if key != "title"}
    answers = {name: question.answer(values) for name, values in recipes.items()}
    return _plain({**field, "description": question.description}, answers)


def _section(
    name: str,
    field: JsonSchemaValue,
    place: Place,
    left_out: set[Place],
    recipes: Mapping[str, Values],
) -> JsonSchemaValue:
    description = _DESCRIPTIONS.get(name) or field.get("description", "")
    return _folded(name, description, _properties(field, place, left_out, recipes))


def _folded(
    title: str, description: str, properties: Mapping[str, JsonSchemaValue]
) -> JsonSchemaValue:
    """A section that is folded while it has no value.

    The UI folds a choice between nothing and an object. The limits of the object's fields stand
    beside the choice and not in it, so that an error names the field.
    """
    return {
        "title": title,
        "description": description,
        "anyOf": [
            {"type": "null", "title": "as in the recipe"},
            {"type": "object", "title": "change", "properties": {key: {} for key in properties}},
        ],
        "properties": properties,
        "default": None,
    }


def _properties(
    field: JsonSchemaValue, place: Place, left_out: set[Place], recipes: Mapping[str, Values]
) -> dict[str, JsonSchemaValue]:
    properties: dict[str, JsonSchemaValue] = {}
    for name, each in field["properties"].items():
        below = (*place, name)
        if below in left_out:
            continue
        if "properties" in each:
            words = {key: each[key] for key in ("title", "description") if key in each}
            nested = _properties(each, below, left_out, recipes)
            properties[name] = {"type": "object", **words, "properties": nested}
        else:
            properties[name] = _plain(each, _defaults(below, recipes))
    return properties


def _plain(field: JsonSchemaValue, defaults: Mapping[str, Any]) -> JsonSchemaValue:
    """``field`` without default, its range and ``defaults`` in the description.

    A yes or no becomes a choice, since the UI would send a switch that nobody touched.
    """
    plain = {key: value for key, value in field.items() if key != "default"}
    plain["description"] = field.get("description", "") + limits(field, defaults)
    kinds = [kind.get("type") for kind in field.get("anyOf", [field])]
    if "boolean" in kinds:
        plain = {key: value for key, value in plain.items() if key not in {"anyOf", "type"}}
        plain["enum"] = [True, False, None] if "null" in kinds else [True, False]
    return plain


def _limited(field: JsonSchemaValue) -> JsonSchemaValue:
    """What the server checks in ``field``, of whose fields any may be left out."""
    words = {"title", "description", "default", "required", "properties"}
    limited = {key: value for key, value in field.items() if key not in words}
    if "properties" in field:
        limited["type"] = ["object", "null"]
        limited["properties"] = {name: _limited(each) for name, each in field["properties"].items()}
    return limited


def _recipe_values(parameters: type[BaseModel]) -> dict[str, Values]:
    fields = set(parameters.model_fields)
    return {
        name: flatten(build().model_dump(mode="json", include=fields), parameters)
        for name, build in RECIPES.items()
    }


def _defaults(place: Place, recipes: Mapping[str, Values]) -> dict[str, Any]:
    """The value of each recipe at ``place``; a recipe's name is no default."""
    if place == ("recipe",):
        return {}
    return {name: values[place] for name, values in recipes.items() if place in values}


def inline(schema: JsonSchemaValue, definitions: Mapping[str, Any]) -> JsonSchemaValue:
    """``schema`` with every reference replaced by what it refers to."""
    all_definitions = {**definitions, **schema.get("$defs", {})}
    inlined: JsonSchemaValue = {}
    if "$ref" in schema:
        inlined = inline(all_definitions[schema["$ref"].rpartition("/")[2]], all_definitions)
    for key, value in schema.items():
        if key in {"$defs", "$ref", "additionalProperties"}:
            continue
        if key == "properties":
            inlined[key] = {name: inline(field, all_definitions) for name, field in value.items()}
        elif isinstance(value, dict) and key == "items":
            inlined[key] = inline(value, all_definitions)
        elif key in {"anyOf", "allOf"}:
            inlined[key] = [inline(kind, all_definitions) for kind in value]
        else:
            inlined[key] = value
    return inlined


def limits(field: Mapping[str, Any], defaults: Mapping[str, Any]) -> str:
    """The range of a field's JSON schema, and its default: ``" [1 to 16; default 9]"``, or ``""``.

    ``defaults`` has the value of each recipe, which is given once where they agree. Lists, long
    texts and ``None`` are left out.
    """
    parts: list[str] = []
    for kind in (field, *field.get("anyOf", ())):
        parts += filter(None, [_range(kind, "imum", ""), _range(kind, "Items", " entries"),
                               _range(kind, "Length", " characters")])  # fmt: skip
    texts = {name: _text(value) for name, value in defaults.items()}
    if texts and all(0 < len(text) <= _LONGEST_DEFAULT for text in texts.values()):
        same = len(set(texts.values())) == 1
        pairs = ", ".join(f"{name}: {text}" for name, text in texts.items())
        parts.append(f"default {next(iter(texts.values())) if same else pairs}")
    return f" [{'; '.join(parts)}]" if parts else ""


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return _number(value)
    return value if isinstance(value, str) else ""


def _range(kind: Mapping[str, Any], suffix: str, unit: str) -> str:
    least, most = kind.get(f"min{suffix}"), kind.get(f"max{suffix}")
    above, below = kind.get("exclusiveMinimum"), kind.get("exclusiveMaximum")
    if least is not None and most is not None:
        return f"{_number(least)} to {_number(most)}{unit}"
    words = {"at least": least, "at most": most}
    if suffix == "imum":
        words = {"more than": above, "at least": least, "less than": below, "at most": most}
    bounds = [f"{word} {_number(value)}" for word, value in words.items() if value is not None]
    return ", ".join(bounds) + unit if bounds else ""


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else str(value)
