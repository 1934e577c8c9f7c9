"""A crawl's downloads on the workers of a Dask cluster: each worker has a share of the hosts.

Each share has one task run, which lasts as long as the crawl. Tasks and results go through queues
of the scheduler. When a worker dies, Dask starts its share on another worker; that one announces
itself and gets the unfinished tasks of the share again.
"""

from __future__ import annotations

import asyncio
import contextlib
import pickle
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from flows.cluster.batches import Job as Batch
from flows.cluster.batches import num_workers, run_batch
from scraping.catalogue.entities import DownloadResult, DownloadTask
from scraping.download.client import (
    DownloaderFactory,
    DownloadProcess,
    DownloadSettings,
    SavedDownloads,
)
from scraping.download.pool import DownloaderPool
from scraping.download.sharding import HostShard

if TYPE_CHECKING:
    from prefect_dask.task_runners import DaskTaskRunner

_MAX_SHARES = 16
_POLL_S = 0.1
_STOP_TIMEOUT_S = 30.0
_END = "end"  # the message that ends a share


def downloader_over(runner: DaskTaskRunner) -> DownloaderFactory:
    """A downloader for ``crawl`` that uses the workers of ``runner``."""

    def build(settings: DownloadSettings) -> DownloaderPool:
        num = min(num_workers(runner), _MAX_SHARES)
        shares = [replace(settings, shard=HostShard(number, num)) for number in range(num)]
        return DownloaderPool([FarDownloads(runner, share) for share in shares])

    return build


class FarDownloads:
    """A ``DownloadProcess`` of one share, in a worker of the cluster."""

    def __init__(self, runner: DaskTaskRunner, settings: DownloadSettings) -> None:
        self._runner, self._settings = runner, settings
        self._open: dict[int, DownloadTask] = {}  # unfinished tasks, by hit
        self._jobs: Any = None  # the queue of the worker that has the share at present

    async def __aenter__(self) -> Self:
        name, share = uuid.uuid4().hex, self._settings.shard
        self._outcomes = _queue(name, self._runner.client)
        title = f"of downloads, {share.index + 1} of {share.num_shards}"
        work = Batch(title, _Serve(name, self._settings), ())
        self._future = self._runner.submit(run_batch, parameters={"job": work})
        return self

    async def __aexit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with contextlib.suppress(Exception):  # the cluster may have ended already
            self._put(_END)
            await asyncio.to_thread(self._future.wait, _STOP_TIMEOUT_S)
            self._outcomes.close()

    def submit(self, tasks: Sequence[DownloadTask]) -> None:
        """Start these tasks."""
        if tasks:
            self._open |= {task.hit: task for task in tasks}
            self._put(list(tasks))

    def mark_saved(self, results: Sequence[DownloadResult]) -> None:
        """Report that the catalogue has these results, and originals their names."""
        self._put(SavedDownloads.from_results(results))

    def _put(self, message: Any) -> None:
        if self._jobs is not None:
            self._jobs.put(pickle.dumps(message))

    async def next_results(self) -> list[DownloadResult]:
        """The results of the tasks that ended since the last call, each once; waits for the first.

        Raises the error that ended the share, e.g. ``OSError`` when its disk is full.
        """
        while True:
            is_over = self._future.wrapped_future.done()  # type: ignore[no-untyped-call]
            messages = await _received(self._outcomes)
            results: list[DownloadResult] = []
            for message in messages:
                if isinstance(message, str):
                    self._begin(message)
                else:
                    results += [result for result in message if self._open.pop(result.hit, None)]
            if results:
                return results
            if is_over and not messages:
                self._future.result()  # raises the error that ended it

    def _begin(self, name: str) -> None:
        """Send all open jobs to the worker that took the share and reads the queue ``name``."""
        self._jobs = _queue(name, self._runner.client)
        if self._open:
            self._put(list(self._open.values()))


@dataclass(frozen=True)
class _Serve:
    """The function that a worker runs for a share.

    Like a local crawl, it starts a download process of its own, and it passes jobs and outcomes
    between this process and the queues.
    """

    name: str
    settings: DownloadSettings

    def __call__(self, _batch: Sequence[Any]) -> None:
        from distributed import secede

        # A share mostly waits. If Dask gives two shares to one worker, e.g. while another worker
        # restarts, both must begin: each may hold the only jobs that are left.
        secede()  # type: ignore[no-untyped-call]
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        from distributed import get_client

        client, name = get_client(), uuid.uuid4().hex
        # A queue of its own: remains of a dead worker must not take this worker's jobs.
        jobs, outcomes = _queue(name, client), _queue(self.name, client)
        async with DownloadProcess(self.settings) as downloads:
            listening = asyncio.create_task(self._listen(downloads, outcomes))
            outcomes.put(pickle.dumps(name))
            try:
                await self._work(downloads, jobs, listening)
            finally:
                listening.cancel()
                await asyncio.gather(listening, return_exceptions=True)
                jobs.close()

    async def _work(
        self, downloads: DownloadProcess, jobs: Any, listening: asyncio.Task[None]
    ) -> None:
        while not listening.done():
            for message in await _received(jobs):
                if message == _END:
                    return
                if isinstance(message, SavedDownloads):
                    downloads.send_saved(message)
                else:
                    downloads.submit(message)
        listening.result()  # raises the error that ended it

    async def _listen(self, downloads: DownloadProcess, outcomes: Any) -> None:
        while True:
            results = pickle.dumps(await downloads.next_results())
            await asyncio.to_thread(outcomes.put, results)


def _queue(name: str, client: Any) -> Any:
    """The scheduler's queue of this name; it transports bytes."""
    from distributed import Queue

    return Queue(name, client=client)  # type: ignore[no-untyped-call]


async def _received(queue: Any) -> list[Any]:
    """All messages in the queue, perhaps none, after a short pause.

    A blocking get would write an error into the scheduler's log at each time-out.
    """
    await asyncio.sleep(_POLL_S)
    messages = await asyncio.to_thread(queue.get, batch=True)
    return [pickle.loads(message) for message in messages]  # noqa: S301 - from our own workers
