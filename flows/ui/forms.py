"""Forms in the Prefect UI: each field's description states its range and default."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema


class Form(BaseModel):
    """Parameters of a flow, whose schema adds the range and default to each field's description.

    Fields of nested configurations are included.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler, /
    ) -> JsonSchemaValue:
        schema = handler(core_schema)
        _add_limits(handler.resolve_ref_schema(schema), handler)
        return schema


def _add_limits(schema: JsonSchemaValue, handler: GetJsonSchemaHandler) -> None:
    for field in schema.get("properties", {}).values():
        text = limits(field)
        if text and not field["description"].endswith(text):  # two crawls share one schema
            field["description"] += text
        for reference in _references(field):
            _add_limits(handler.resolve_ref_schema(reference), handler)


def _references(field: JsonSchemaValue) -> Iterator[JsonSchemaValue]:
    for kind in (field, *field.get("allOf", ()), *field.get("anyOf", ())):
        if "$ref" in kind:
            yield {"$ref": kind["$ref"]}


def limits(field: Mapping[str, Any]) -> str:
    """The range and default in a field's JSON schema: ``" [1 to 16; default 9]"``, or ``""``.

    Defaults are given for numbers only; the form shows the others.
    """
    parts: list[str] = []
    for kind in (field, *field.get("anyOf", ())):
        parts += filter(None, [_range(kind, "imum", ""), _range(kind, "Items", " entries"),
                               _range(kind, "Length", " characters")])  # fmt: skip
    default = field.get("default")
    if isinstance(default, int | float) and not isinstance(default, bool):
        parts.append(f"default {_number(default)}")
    return f" [{'; '.join(parts)}]" if parts else ""


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
