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


class Later:
    """Marks a field that was added when results had names already.

    With its default the work is what it was before, and keeps its name::

        pseudo_steps: Annotated[int, LATER] = Field(0, description="…")
    """


LATER: Final = Later()
"""The marker of such a field."""


def identity(config: BaseModel) -> dict[str, Any]:
    """``config`` as JSON values, without the fields that are marked as ``INCIDENTAL``, and without
    those marked as ``LATER`` that have their default.

    The result of the work is stored under the ``core.files.digest`` of this identity.
    """
    left_out = {
        name
        for name, field in type(config).model_fields.items()
        for marker in field.metadata
        if isinstance(marker, Incidental)
        or (isinstance(marker, Later) and getattr(config, name) == field.get_default())
    }
    return config.model_dump(mode="json", exclude=left_out)
