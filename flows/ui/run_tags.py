"""Tags of the present flow run, by which a list of runs says more than a state's name."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.runtime import flow_run

from flows.ui.run_progress import warn_on_error

HOLDS, WAITS = "holds: ", "waits for "
"""Beginnings of the tags that a run has only for a while."""


@contextlib.contextmanager
def tagged(tag: str) -> Iterator[None]:
    """Give the present flow run ``tag`` during the block."""
    add_tag(tag)
    try:
        yield
    finally:
        _change_tags(lambda tags: [each for each in tags if each != tag])


def add_tag(tag: str) -> None:
    """Give the present flow run ``tag``, for good."""
    _change_tags(lambda tags: [*tags, tag])


def remove_passing_tags(run_id: UUID) -> None:
    """Remove the tags that the process of the flow run could not remove when it was killed."""
    passing = (HOLDS, WAITS)
    _change_tags(lambda tags: [tag for tag in tags if not tag.startswith(passing)], run_id)


def _change_tags(change: Callable[[list[str]], list[str]], run_id: UUID | None = None) -> None:
    """Change the tags of the run ``run_id``, by default of the present one."""
    present = flow_run.get_id()
    run_id = run_id or (UUID(present) if present else None)
    if run_id is not None:
        with warn_on_error(), get_client(sync_client=True) as client:
            tags = client.read_flow_run(run_id).tags
            client.update_flow_run(run_id, tags=change(tags))
