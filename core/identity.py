"""Which fields of a configuration name a piece of work: a field says so itself.

Most fields do: work of other values is other work. A field such as the language of a report, or how
many pictures go through a network together, changes no result, and is marked with
``outside_identity``.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel
from pydantic.config import JsonDict

_MARK = "outside_identity"


def outside_identity() -> JsonDict:
    """``json_schema_extra`` of a pydantic ``Field`` that does not name the work."""
    return {_MARK: True}


def identity_fields(config: BaseModel) -> dict[str, Any]:
    """``config.model_dump(mode="json")`` without the fields marked with ``outside_identity``."""
    marked = {
        name
        for name, field in type(config).model_fields.items()
        if isinstance(field.json_schema_extra, dict) and field.json_schema_extra.get(_MARK)
    }
    return config.model_dump(mode="json", exclude=marked)
