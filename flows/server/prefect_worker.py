"""``python -m flows.server.prefect_worker``: Prefect's worker, whose runs save before it ends.

Prefect's own command ends the runs of a worker that gets SIGTERM within seconds. A run whose
process ends within a training step cannot say so itself, and Prefect's worker does not say it while
it ends: the run would stay Running until its heartbeat is missed.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
from collections.abc import Iterable
from uuid import UUID

import anyio
from prefect.client.orchestration import get_client
from prefect.states import Cancelled, Crashed
from prefect.workers.process import ProcessWorker

from core.language.messages import localised
from flows.deployments import WORK_POOL
from flows.server.processes import children, environment_of, wait_until_gone
from flows.ui.ended_runs import end_tasks
from flows.ui.run_progress import RUN_OF_THIS_PROCESS

_SAVE_TIMEOUT_S = 120.0  # time for the current step of a training and its checkpoint
_logger = logging.getLogger(__name__)


def end_runs(worker_pid: int, timeout_s: float = _SAVE_TIMEOUT_S) -> list[UUID]:
    """Send SIGTERM to the runs of a worker, and wait until they are gone; returns their ids in
    Prefect.
    """
    processes = children(worker_pid)
    ids = [environment_of(process).get(RUN_OF_THIS_PROCESS) for process in processes]
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGTERM)
    wait_until_gone(processes, timeout_s)
    return [UUID(run) for run in ids if run]


async def report_ended(runs: Iterable[UUID]) -> None:
    """Set those of these flow runs to crashed, or to cancelled, that did not say so themselves."""
    try:
        async with get_client() as client:
            for run in runs:
                state = (await client.read_flow_run(run)).state
                if state is None or not (
                    state.is_running() or state.is_pending() or state.is_cancelling()
                ):
                    continue
                kind = Cancelled if state.is_cancelling() else Crashed
                message = localised(
                    "Its worker was asked to stop. Finished work is saved: run it again to go on."
                )
                await client.set_flow_run_state(run, kind(message=message), force=True)
                await anyio.to_thread.run_sync(end_tasks, run)
    except Exception:  # without the server the missing heartbeat tells it
        _logger.exception("the server was not told that these runs ended: %s", runs)


async def _end_on_signal(scope: anyio.CancelScope) -> None:
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for _ in signals:
            await report_ended(await anyio.to_thread.run_sync(end_runs, os.getpid()))
            scope.cancel()
            return


def quieten() -> None:
    """Keep the worker's own lines out of the logs of its runs; warnings and errors stay."""
    logging.getLogger("prefect.flow_runs.worker").setLevel(logging.WARNING)


async def _work() -> None:
    quieten()
    async with anyio.create_task_group() as group:
        group.start_soon(_end_on_signal, group.cancel_scope)
        await ProcessWorker(work_pool_name=WORK_POOL).start()


if __name__ == "__main__":
    anyio.run(_work)
