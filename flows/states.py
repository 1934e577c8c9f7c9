"""States of flow runs in the Prefect UI: a finished run names the outcomes of its stages; a crashed
run that a person cancelled becomes a cancelled one.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator
from typing import Any, TypeVar, cast

from prefect import Flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun, State
from prefect.states import Cancelled, Completed

from core.errors import SuyanError
from core.progress import duration
from flows.stage_results import StageResult, Status
from flows.ui.run_progress import run_logger

Value = TypeVar("Value")


class _WithoutTraceback(logging.Filter):
    """Leaves the traceback out of the log where the error was raised on purpose: it is one line."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.exc_info and isinstance(record.exc_info[1], SuyanError):
            record.exc_info = None
        return True


logging.getLogger("prefect.flow_runs").addFilter(_WithoutTraceback())


class StageLog:
    """The stages of a flow run: their seconds and results, also as log lines."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.results: dict[str, list[StageResult]] = {}  # by stage, the outcomes of its tasks
        self._stage = ""

    @contextlib.contextmanager
    def stage(self, title: str) -> Iterator[None]:
        """Time the block as the stage ``title``, e.g. ``"3/5 train"``; log its begin and end."""
        self._stage = title.rsplit(maxsplit=1)[-1]
        started = time.monotonic()
        mark = "✘"
        run_logger().info("▶ %s", title)
        try:
            yield
            mark = "✔"
        finally:
            seconds = time.monotonic() - started
            self.seconds[self._stage] = round(seconds, 1)
            run_logger().info("%s %s in %s", mark, title, duration(seconds))

    def record(self, state: State[Value]) -> Value:
        """Record a task's state under the present stage; returns the summary inside it."""
        result = StageResult(Status(state.name or Status.DONE), state.message or "")
        self.results.setdefault(self._stage, []).append(result)
        return state.result()

    def final_state(self, value: Value, message: str) -> Value:
        """The return value of a flow: ``value`` in a state that names the outcomes of the stages.

        The type is that of ``value``, because Prefect unwraps the state.
        """
        results = [result for stage in self.results.values() for result in stage]
        partial = [result.reason for result in results if result.status is Status.PARTIAL]
        if partial:
            status = Status.PARTIAL
            message = f"{message.removesuffix('.')}. Partial: {'; '.join(partial)}"
        elif all(result.status is Status.NOTHING_NEW for result in results):
            status = Status.NOTHING_NEW
            seconds = duration(sum(self.seconds.values()))
            run_logger().info("nothing was new: every stage found its work done, in %s", seconds)
            message = f"every stage found its work done. {message}"
        else:
            status = Status.DONE
        return cast("Value", Completed(name=status.value, message=message, data=value))


def cancelled_not_crashed(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:  # noqa: ARG001 - names are Prefect's
    """Set a crashed run to cancelled if a person had cancelled it; a hook for ``on_crashed``.

    Training handles SIGTERM before Prefect does: it finishes its step and saves. Prefect's own
    handler runs after that, when it cannot tell any more that the signal was a cancellation.
    """
    with get_client(sync_client=True) as client:
        states = client.read_flow_run_states(flow_run.id)
        last_start = max((i for i, past in enumerate(states) if past.is_running()), default=0)
        if any(past.is_cancelling() for past in states[last_start:]):
            message = "Cancelled; finished work is saved, run it again to go on."
            client.set_flow_run_state(flow_run.id, Cancelled(message=message), force=True)
