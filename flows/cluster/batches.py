"""Distribution of work over a Dask cluster in batches, each of which is a Prefect task run."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any

from prefect import task
from prefect.cache_policies import NO_CACHE
from pydantic import Field

from core.commands import install_command
from core.errors import SuyanError
from core.language.messages import localised
from flows.ui.run_progress import run_logger

if TYPE_CHECKING:
    from prefect_dask.task_runners import DaskTaskRunner

    from preprocessing.sandbox import MapBatches


_WORKER_TIMEOUT_S = 60
TaskRunnerName = Annotated[
    str,
    Field(
        pattern=r"^(local|dask|(tcp|tls|ws|wss)://[^\s/]+)$",
        description="Processes that download and prepare. local: those of this machine; dask: a "
        "Dask cluster of this machine for as long as the run lasts; tcp://HOST:8786: the Dask "
        "cluster of that scheduler, whose workers see the same workspace",
    ),
]


@contextlib.contextmanager
def dask_runner(task_runner: str) -> Iterator[DaskTaskRunner | None]:
    """The task runner of that name, started; ``None`` for ``"local"``.

    Raises ``SuyanError`` when Dask is not installed, or its scheduler cannot be reached.
    """
    if task_runner == "local":
        yield None
        return
    try:
        import dask
        from prefect_dask.task_runners import DaskTaskRunner
    except ImportError as error:
        raise SuyanError(
            localised(
                "task_runner: got {task_runner!r}, which needs Dask; take local, or run: {command}",
                task_runner=task_runner,
                command=install_command("cluster"),
            )
        ) from error
    # Decoding starts processes of its own, which Dask's workers may do only with this setting.
    settings = {"distributed.worker.daemon": False}
    options: dict[str, Any] = {"address": task_runner}
    if task_runner == "dask":
        options = {"cluster_kwargs": {"processes": True, "threads_per_worker": 1}}
    with dask.config.set(settings), DaskTaskRunner(**options) as runner:
        try:
            runner.client.wait_for_workers(1, timeout=_WORKER_TIMEOUT_S)
        except (OSError, TimeoutError) as error:
            raise SuyanError(
                localised(
                    "task_runner: no worker of {task_runner} could be reached ({error}); start "
                    "one there, or take local",
                    task_runner=task_runner,
                    error=error,
                )
            ) from error
        yield runner


def spread_over(runner: DaskTaskRunner) -> MapBatches:
    """A ``MapBatches`` over the workers of ``runner``, with a task run for each batch.

    Call the result inside a flow run. When a worker dies, Dask gives its batch to another one.
    """

    def spread(
        function: Callable[[Sequence[Any]], Any], batches: Sequence[Sequence[Any]]
    ) -> Iterator[Any]:
        from distributed import as_completed

        waiting = {}
        for number, batch in enumerate(batches, 1):
            job = Job(f"{number} of {len(batches)}", function, batch)
            future = runner.submit(run_batch, parameters={"job": job})
            waiting[future.wrapped_future.key] = future
        run_logger().info(
            localised("%d batches go to %d workers"), len(batches), num_workers(runner)
        )
        try:
            done: Iterator[Any] = as_completed(  # type: ignore[no-untyped-call]
                [future.wrapped_future for future in waiting.values()], loop=runner.client.loop
            )
            for dask_future in done:
                yield waiting.pop(dask_future.key).result()
        finally:
            unfinished = [future.wrapped_future for future in waiting.values()]
            runner.client.cancel(unfinished)  # type: ignore[no-untyped-call]

    return spread


def num_workers(runner: DaskTaskRunner) -> int:
    """The number of threads in the cluster at present, which is its number of simultaneous jobs."""
    threads: dict[str, int] = runner.client.nthreads()  # type: ignore[no-untyped-call]
    return sum(threads.values())


class Job:
    """A batch and the function for it, in an object whose content Prefect does not inspect."""

    def __init__(
        self, name: str, function: Callable[[Sequence[Any]], Any], batch: Sequence[Any]
    ) -> None:
        self.name, self._function, self._batch = name, function, batch

    def __call__(self) -> Any:
        """The function's result for the batch."""
        return self._function(self._batch)


@task(
    name="batch",
    task_run_name="batch {job.name}",
    cache_policy=NO_CACHE,
    persist_result=False,
    log_prints=False,
)
def run_batch(job: Job) -> Any:
    """Do the job in a worker; the flow gets the result, and Prefect does not store it."""
    return job()
