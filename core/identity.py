"""Which fields of a configuration name the work: a digest is made of these alone.

A field that changes no result (a time limit, a number of processes) is marked where it is declared:
``Field(2, json_schema_extra=outside_identity())``.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel
from pydantic.config import JsonDict

_MARK = "outside_identity"


def outside_identity() -> JsonDict:
    """The ``json_schema_extra`` of a pydantic ``Field`` that does not name the work."""
    return {_MARK: True}


def identity_fields(config: BaseModel) -> dict[str, Any]:
    """``config.model_dump(mode="json")`` without the fields that are marked as outside identity."""
    marked = {
        name
        for name, field in type(config).model_fields.items()
        if isinstance(field.json_schema_extra, dict) and field.json_schema_extra.get(_MARK)
    }
    return config.model_dump(mode="json", exclude=marked)
