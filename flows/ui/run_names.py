"""Names of flow runs: the name that a person gave, else recipe, date and dataset."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from coolname.data import config as random_words
from prefect.client.orchestration import get_client
from prefect.context import FlowRunContext
from prefect.runtime import deployment, flow_run

from flows.latest import NEWEST
from flows.ui.run_progress import warn_on_error

_OWN_NAME = re.compile(r"[a-z0-9-]+ \d{4}-\d\d-\d\d \d\d:\d\d")


def run_name() -> str:
    """The name of the present flow run; for ``flow_run_name`` of its flow."""
    context = FlowRunContext.get()
    assert context is not None
    name = context.flow_run.name if context.flow_run else ""
    if name and not is_random(name):
        return name
    values = context.parameters or {}
    parameters = values["parameters"]
    recipe = parameters.get("recipe") if isinstance(parameters, dict) else parameters.recipe
    title = str(recipe or deployment.get_name() or flow_run.get_flow_name())
    time = f"{datetime.now().astimezone():%Y-%m-%d %H:%M}"
    chosen = [values.get(name) for name in ("dataset", "run") if values.get(name) != NEWEST]
    return " ".join([title, time, *map(str, filter(None, chosen))])


def add_dataset(version: str) -> None:
    """Add a dataset's version to the name of the present flow run, unless a person named it."""
    context = FlowRunContext.get()
    run = context.flow_run if context else None
    if run is None or not _OWN_NAME.fullmatch(run.name):
        return
    with warn_on_error(), get_client(sync_client=True) as client:
        run.name = f"{run.name} {version}"
        client.set_flow_run_name(run.id, run.name)


def is_random(name: str) -> bool:
    """Whether Prefect made up ``name``: two of its words, such as ``"olive-heron"``."""
    lists: Mapping[str, Any] = random_words
    words = {word for entry in lists.values() for word in entry.get("words", ())}
    parts = name.split("-")
    return len(parts) == 2 and words.issuperset(parts)
