"""States of runs in the Prefect UI: a finished run names the outcomes of its stages; a run that a
person cancelled, and its tasks, are cancelled and not crashed.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, ParamSpec, TypeVar, cast
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.context import TaskRunContext
from prefect.exceptions import ParameterTypeError, TerminationSignal
from prefect.logging.handlers import APILogHandler
from prefect.runtime import flow_run
from prefect.states import Cancelled, Completed

from core.errors import SuyanError
from core.language.messages import localisable, localised
from core.progress import duration
from flows.stage_results import StageResult, Status
from flows.ui import artifacts
from flows.ui.page_words import say
from flows.ui.run_progress import RUN_OF_THIS_PROCESS, run_logger

Value = TypeVar("Value")
Params = ParamSpec("Params")


_OF_PYDANTIC = "Value error, "  # before the text of an error that a validator raised


class _WithoutTraceback(logging.Filter):
    """Of an error that was raised on purpose, and of parameters that are refused, the log has the
    message alone, without a traceback.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, ParameterTypeError):
            text = str(error).replace(_OF_PYDANTIC, "")
            record.msg, record.args, record.exc_info = text, None, None
        if not isinstance(error, SuyanError):
            return True
        if record.getMessage().startswith("Engine execution exited"):
            return False  # the state that the lines before it name
        record.msg, record.args, record.exc_info = str(error), None, None
        return True


for _name in ("prefect.flow_runs", "prefect.task_runs"):
    logging.getLogger(_name).addFilter(_WithoutTraceback())


class StageLog:
    """The stages of a flow run: their seconds and results, also as log lines; a failed one has a
    page. ``name`` is that of the recipe, or of the flow and the recipe.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self.seconds: dict[str, float] = {}
        self.results: dict[str, list[StageResult]] = {}  # by stage, the outcomes of its tasks
        self._stage = ""

    @contextlib.contextmanager
    def stage(self, title: str) -> Iterator[None]:
        """Time the block as the stage ``title``, e.g. ``"3/5 train"``; log its begin and end."""
        number, self._stage = title.rsplit(maxsplit=1)
        title = f"{number} {say(self._stage)}"
        started = time.monotonic()
        mark = "✘"
        run_logger().info("▶ %s", title)
        try:
            yield
            mark = "✔"
        except Exception as error:
            artifacts.failure(self._name, self._stage, error, self.seconds, self.results)
            raise
        finally:
            seconds = time.monotonic() - started
            self.seconds[self._stage] = round(seconds, 1)
            run_logger().info(localised("%s %s in %s"), mark, title, duration(seconds))

    def record(self, state: State[Value]) -> Value:
        """Record a task's state under the present stage; returns the summary inside it.

        Raises ``TerminationSignal`` for a task that was cancelled: the flow is too.
        """
        if state.is_cancelled():
            raise TerminationSignal(signal.SIGTERM)
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
            message = localised(
                "{message}. Partial: {parts}",
                message=message.removesuffix("."),
                parts="; ".join(partial),
            )
        elif any(result.status is Status.NOT_PROMOTED for result in results):
            status = Status.NOT_PROMOTED
        elif all(result.status is Status.NOTHING_NEW for result in results):
            status = Status.NOTHING_NEW
            seconds = duration(sum(self.seconds.values()))
            run_logger().info(
                localised("nothing was new: every stage found its work done, in %s"), seconds
            )
            message = localised("every stage found its work done. {message}", message=message)
        else:
            status = Status.DONE
        return cast("Value", Completed(name=status.value, message=message, data=value))


_CANCELLED = localisable("Cancelled; finished work is saved: run it again to go on.")


def cancellable(body: Callable[Params, Value]) -> Callable[Params, Value]:
    """``body`` of a task or flow that ends as cancelled, not as crashed, if a person cancelled it.

    Prefect takes every SIGTERM that reaches a task for a crash, also that of a cancellation, and
    logs errors. Decorate with it below ``@task`` or ``@flow``.
    """

    @functools.wraps(body)
    def run(*args: Params.args, **kwargs: Params.kwargs) -> Value:
        try:
            return body(*args, **kwargs)
        except TerminationSignal:
            if not _is_cancelled():
                raise
            if TaskRunContext.get() is None:
                _end_cancelled_flow()
            return cast("Value", Cancelled(message=localised(_CANCELLED)))

    with contextlib.suppress(NameError):  # a task's names for type checkers, which Prefect ignores
        run.__signature__ = inspect.signature(body, eval_str=True)  # type: ignore[attr-defined]
    return run


_REPEAT_S = 0.2


def _repeat_lost_signal(lost: sys.UnraisableHookArgs) -> None:
    """Send SIGTERM again where Prefect's handler ran inside a finaliser, which drops errors.

    Otherwise the run would not end, and its worker would kill it.
    """
    if not issubclass(lost.exc_type, TerminationSignal):
        _former_hook(lost)
        return
    handler = signal.getsignal(signal.SIGTERM)

    def repeat() -> None:
        if signal.getsignal(signal.SIGTERM) is handler:
            os.kill(os.getpid(), signal.SIGTERM)

    timer = threading.Timer(_REPEAT_S, repeat)
    timer.daemon = True
    timer.start()


_former_hook, sys.unraisablehook = sys.unraisablehook, _repeat_lost_signal


def _is_cancelled() -> bool:
    """Whether a person cancelled the present flow run."""
    run_id = flow_run.get_id()
    if run_id is None:
        return False
    try:
        with get_client(sync_client=True) as client:
            state = client.read_flow_run(UUID(run_id)).state
    except Exception as error:  # without the server it is a crash, as Prefect says
        run_logger().warning(
            localised("the server does not say whether it was cancelled: %s"), error
        )
        return False
    return state is not None and (state.is_cancelling() or state.is_cancelled())


def _end_cancelled_flow() -> None:
    """Set the flow run to cancelled, and end the process if a worker started it for this run.

    A flow that returned or raised this would end with an error in its log.
    """
    run_logger().info(localised(_CANCELLED))
    set_state(Cancelled(message=localised(_CANCELLED)))
    APILogHandler().flush()  # otherwise the last lines may miss the server
    if RUN_OF_THIS_PROCESS in os.environ:
        os._exit(0)


def set_state(state: State[Any]) -> None:
    """Set the state of the present flow run, against Prefect's rules; outside of one do nothing."""
    run_id = flow_run.get_id()
    if run_id is not None:
        with get_client(sync_client=True) as client:
            client.set_flow_run_state(UUID(run_id), state, force=True)


class _CancelledIsNoError(logging.Filter):
    """Prefect logs the end of every task that is not completed as an error."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.getMessage().startswith("Finished in state Cancelled"):
            record.levelno, record.levelname = logging.INFO, "INFO"
        return True


logging.getLogger("prefect.task_runs").addFilter(_CancelledIsNoError())
