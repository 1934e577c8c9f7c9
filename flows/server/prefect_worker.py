"""``python -m flows.server.prefect_worker``: Prefect's worker, whose runs save before it ends.

Prefect's own command ends the runs of a worker that gets SIGTERM within seconds.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal

import anyio
from prefect.workers.process import ProcessWorker

from flows.deployments import WORK_POOL
from flows.server.processes import children, wait_until_gone

_SAVE_TIMEOUT_S = 120.0  # time for the current step of a training and its checkpoint


def end_runs(worker_pid: int, timeout_s: float = _SAVE_TIMEOUT_S) -> int:
    """Send SIGTERM to the runs of a worker, and wait until they are gone; returns their number."""
    runs = children(worker_pid)
    for run in runs:
        with contextlib.suppress(ProcessLookupError):
            os.kill(run, signal.SIGTERM)
    wait_until_gone(runs, timeout_s)
    return len(runs)


async def _end_on_signal(scope: anyio.CancelScope) -> None:
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for _ in signals:
            await anyio.to_thread.run_sync(end_runs, os.getpid())
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
