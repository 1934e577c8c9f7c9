"""A crawl's downloads on the workers of a Dask cluster: each worker has a share of the hosts.

For each share one task run lasts as long as the crawl. Jobs and outcomes go through queues of the
scheduler. When a worker dies, Dask starts its share on another worker; that one announces itself
and gets the unfinished jobs of the share again.
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
from scraping.catalogue.entities import Finished
from scraping.download.client import Downloader, Downloads, Job, Saved, Settings
from scraping.download.pool import Crew
from scraping.download.sharding import Share

if TYPE_CHECKING:
    from prefect_dask.task_runners import DaskTaskRunner

_MAX_SHARES = 16
_POLL_S = 0.1
_STOP_TIMEOUT_S = 30.0
_END = "end"  # the message that ends a share


def downloader_over(runner: DaskTaskRunner) -> Downloader:
    """A downloader for ``crawl`` that uses the workers of ``runner``."""

    def build(settings: Settings) -> Crew:
        num = min(num_workers(runner), _MAX_SHARES)
        shares = [replace(settings, share=Share(number, num)) for number in range(num)]
        return Crew([FarDownloads(runner, share) for share in shares])

    return build


class FarDownloads:
    """``Downloads`` of one share, in a worker of the cluster."""

    def __init__(self, runner: DaskTaskRunner, settings: Settings) -> None:
        self._runner, self._settings = runner, settings
        self._open: dict[int, Job] = {}  # unfinished ones, by number of the hit
        self._jobs: Any = None  # the queue of the worker that has the share at present

    async def __aenter__(self) -> Self:
        name, share = uuid.uuid4().hex, self._settings.share
        self._outcomes = _queue(name, self._runner.client)
        title = f"of downloads, {share.number + 1} of {share.num}"
        work = Batch(title, _Serve(name, self._settings), ())
        self._future = self._runner.submit(run_batch, parameters={"job": work})
        return self

    async def __aexit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with contextlib.suppress(Exception):  # the cluster may be gone; then nothing is left to do
            self._put(_END)
            await asyncio.to_thread(self._future.wait, _STOP_TIMEOUT_S)
            self._outcomes.close()

    def ask(self, jobs: Sequence[Job]) -> None:
        """Have these errands run."""
        if jobs:
            self._open |= {job[0].hit: job for job in jobs}
            self._put(list(jobs))

    def saved(self, finished: Sequence[Finished]) -> None:
        """Tell that these are in the catalogue and their originals in place."""
        self._put(Saved.of(finished))

    def _put(self, message: Any) -> None:
        if self._jobs is not None:
            self._jobs.put(pickle.dumps(message))

    async def finished(self) -> list[Finished]:
        """The errands that finished since the last call, each once; waits for the first.

        Raises the error that ended the share, e.g. ``OSError`` when its disk is full.
        """
        while True:
            is_over = self._future.wrapped_future.done()  # type: ignore[no-untyped-call]
            messages = await _received(self._outcomes)
            finished: list[Finished] = []
            for message in messages:
                if isinstance(message, str):
                    self._begin(message)
                else:
                    finished += [
                        result for result in message if self._open.pop(result.outcome.hit, None)
                    ]
            if finished:
                return finished
            if is_over and not messages:
                self._future.result()  # raises the error that ended it

    def _begin(self, name: str) -> None:
        """Send all open jobs to the worker that took the share and reads the queue ``name``."""
        self._jobs = _queue(name, self._runner.client)
        if self._open:
            self._put(list(self._open.values()))


@dataclass(frozen=True)
class _Serve:
    """The function that a worker runs: it starts a download process of its own, as a local crawl
    does, and passes jobs and outcomes between it and the queues.
    """

    name: str
    settings: Settings

    def __call__(self, _batch: Sequence[Any]) -> None:
        from distributed import secede

        # A share mostly waits. If Dask gives two shares to one worker, e.g. while another worker
        # restarts, both must begin: each may hold the only jobs that are left.
        secede()  # type: ignore[no-untyped-call]
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        from distributed import get_client

        client, name = get_client(), uuid.uuid4().hex
        # A queue of its own: what is left of a dead worker must not take this one's jobs.
        jobs, outcomes = _queue(name, client), _queue(self.name, client)
        async with Downloads(self.settings) as downloads:
            listening = asyncio.create_task(self._listen(downloads, outcomes))
            outcomes.put(pickle.dumps(name))
            try:
                await self._work(downloads, jobs, listening)
            finally:
                listening.cancel()
                await asyncio.gather(listening, return_exceptions=True)
                jobs.close()

    async def _work(self, downloads: Downloads, jobs: Any, listening: asyncio.Task[None]) -> None:
        while not listening.done():
            for message in await _received(jobs):
                if message == _END:
                    return
                if isinstance(message, Saved):
                    downloads.told(message)
                else:
                    downloads.ask(message)
        listening.result()  # raises the error that ended it

    async def _listen(self, downloads: Downloads, outcomes: Any) -> None:
        while True:
            finished = pickle.dumps(await downloads.finished())
            await asyncio.to_thread(outcomes.put, finished)


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
    return [pickle.loads(message) for message in messages]  # noqa: S301 - of our own workers
