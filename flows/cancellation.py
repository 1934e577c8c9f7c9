"""How a run that was stopped is called."""

from __future__ import annotations

from typing import Any

from prefect import Flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun, State
from prefect.states import Cancelled


def cancelled_not_crashed(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:  # noqa: ARG001 - names are Prefect's
    """Call a run that crashed because someone cancelled it cancelled: a hook ``on_crashed``.

    Training takes SIGTERM itself, so that its step is whole and saved before the signal happens.
    Prefect, whose handler comes second, cannot tell then that it was its own cancellation.
    """
    with get_client(sync_client=True) as client:
        states = client.read_flow_run_states(flow_run.id)
        since = max((i for i, past in enumerate(states) if past.is_running()), default=0)
        if any(past.is_cancelling() for past in states[since:]):
            message = "Cancelled; what was done is saved, run it again to go on."
            client.set_flow_run_state(flow_run.id, Cancelled(message=message), force=True)
