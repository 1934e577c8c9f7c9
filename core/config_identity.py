"""The identity of a configuration: the fields that decide the result, without those that do not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from pydantic import BaseModel


class Incidental:
    """Marks a field that changes how work is done, but not its result.

    ::

        num_workers: Annotated[int, INCIDENTAL] = Field(16, description="…")
    """


INCIDENTAL: Final = Incidental()
"""The marker of such a field."""


def identity(config: BaseModel) -> dict[str, Any]:
    """``config`` as JSON values, without the fields that are marked as ``INCIDENTAL``.

    The result of the work is stored under the ``core.files.digest`` of this identity.
    """
    incidental = {
        name
        for name, field in type(config).model_fields.items()
        if any(isinstance(marker, Incidental) for marker in field.metadata)
    }
    return config.model_dump(mode="json", exclude=incidental)
