"""Forms in the Prefect UI say in words what pydantic would refuse; the UI itself tells no range."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema


class Form(BaseModel):
    """Parameters of a flow. Its schema tells of each field, and of those of the stages'
    configurations in it, the range and the default behind its description.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler, /
    ) -> JsonSchemaValue:
        schema = handler(core_schema)
        _explain(handler.resolve_ref_schema(schema), handler)
        return schema


def _explain(schema: JsonSchemaValue, handler: GetJsonSchemaHandler) -> None:
    for field in schema.get("properties", {}).values():
        told = limits(field)
        if told and not field["description"].endswith(told):  # two crawls share one schema
            field["description"] += told
        for reference in _references(field):
            _explain(handler.resolve_ref_schema(reference), handler)


def _references(field: JsonSchemaValue) -> Iterator[JsonSchemaValue]:
    for kind in (field, *field.get("allOf", ()), *field.get("anyOf", ())):
        if "$ref" in kind:
            yield {"$ref": kind["$ref"]}


def limits(field: Mapping[str, Any]) -> str:
    """What of a field's JSON schema its form should say: ``" [1 to 16; default 9]"``, or nothing.

    A default is told of numbers alone: of others the form has it filled in or selected.
    """
    said: list[str] = []
    for kind in (field, *field.get("anyOf", ())):
        said += filter(None, [_range(kind, "imum", ""), _range(kind, "Items", " entries"),
                              _range(kind, "Length", " characters")])  # fmt: skip
    default = field.get("default")
    if isinstance(default, int | float) and not isinstance(default, bool):
        said.append(f"default {_number(default)}")
    return f" [{'; '.join(said)}]" if said else ""


def _range(kind: Mapping[str, Any], suffix: str, of: str) -> str:
    least, most = kind.get(f"min{suffix}"), kind.get(f"max{suffix}")
    above, below = kind.get("exclusiveMinimum"), kind.get("exclusiveMaximum")
    if least is not None and most is not None:
        return f"{_number(least)} to {_number(most)}{of}"
    words = {"at least": least, "at most": most}
    if suffix == "imum":
        words = {"more than": above, "at least": least, "less than": below, "at most": most}
    said = [f"{word} {_number(value)}" for word, value in words.items() if value is not None]
    return ", ".join(said) + of if said else ""


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else str(value)
