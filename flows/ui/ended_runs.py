"""What a run leaves behind whose process was killed: passing tags, and tasks that seem to run."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import FlowRun, State
from prefect.flows import Flow
from prefect.logging.loggers import flow_run_logger
from prefect.states import Cancelled, Crashed

from core.language.messages import localised
from flows.ui.run_progress import warn_on_error
from flows.ui.run_tags import remove_passing_tags


def settle_ended_run(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    """Do what the process of ``flow_run`` could not do when it was killed, and log the remedy.

    A hook of Prefect's: a worker calls it in a process of its own, after that of the run.
    """
    if end_tasks(flow_run.id) and state.is_crashed():
        logger = flow_run_logger(flow_run, flow)
        logger.info(localised("Finished work is saved: run it again to go on."))


def end_tasks(run_id: UUID) -> int:
    """Remove the passing tags of a flow run that was killed, and give its unfinished tasks its
    state; returns their number.

    Tasks of a run that goes on, or was started again meanwhile, are left alone.
    """
    num_ended = 0
    remove_passing_tags(run_id)
    with warn_on_error(), get_client(sync_client=True) as client:
        state = client.read_flow_run(run_id).state
        if state is None or not (state.is_crashed() or state.is_cancelled()):
            return 0
        kind = Crashed if state.is_crashed() else Cancelled
        message = localised("The process of its run ended. Run it again to go on.")
        of_run = FlowRunFilter(id=FlowRunFilterId(any_=[run_id]))
        for task in client.read_task_runs(flow_run_filter=of_run):
            if task.state is not None and not task.state.is_final():
                client.set_task_run_state(task.id, kind(message=message), force=True)
                num_ended += 1
    return num_ended
