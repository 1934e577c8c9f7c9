"""A pool of downloading processes that a crawl uses as if it were one."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import replace
from types import TracebackType
from typing import Self

from scraping.catalogue.entities import Attempt, DownloadResult, DownloadTask
from scraping.download.client import Downloader
from scraping.download.sharding import shard_of_url


class DownloaderPool:
    """Gives each task to the downloader that owns its host, and hands it over when its next address
    belongs to another downloader; an asynchronous context manager.

    Downloader k has ``HostShard(k, len(downloaders))``.
    """

    def __init__(self, downloaders: Sequence[Downloader]) -> None:
        self._downloaders = downloaders
        self._stack = contextlib.AsyncExitStack()
        self._inbox: asyncio.Queue[tuple[int, list[DownloadResult] | Exception]] = asyncio.Queue()
        self._tasks: dict[int, DownloadTask] = {}  # by number of the hit, here and below
        self._attempts: dict[int, list[Attempt]] = {}  # of tasks that were handed over
        self._finished_by: dict[int, int] = {}  # index of the downloader that ended the task
        self._listeners: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        async with contextlib.AsyncExitStack() as stack:
            for downloader in self._downloaders:
                await stack.enter_async_context(downloader)
            self._stack = stack.pop_all()
        self._listeners = [
            asyncio.create_task(self._listen(index)) for index in range(len(self._downloaders))
        ]
        return self

    async def __aexit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for listener in self._listeners:
            listener.cancel()
        await asyncio.gather(*self._listeners, return_exceptions=True)
        await self._stack.aclose()

    async def _listen(self, index: int) -> None:
        try:
            while True:
                await self._inbox.put((index, await self._downloaders[index].next_results()))
        except Exception as error:  # next_results raises it
            await self._inbox.put((index, error))

    def submit(self, tasks: Sequence[DownloadTask]) -> None:
        """Start these tasks."""
        by_downloader: dict[int, list[DownloadTask]] = {}
        for task in tasks:
            self._tasks[task.hit] = task
            url = task.candidates[0][1] if task.candidates else ""
            by_downloader.setdefault(self._owner(url), []).append(task)
        for index, own_tasks in by_downloader.items():
            self._downloaders[index].submit(own_tasks)

    def mark_saved(self, results: Sequence[DownloadResult]) -> None:
        """Report that the catalogue has these results, and originals their names."""
        by_downloader: dict[int, list[DownloadResult]] = {}
        for result in results:
            participants = {self._owner(attempt.url) for attempt in result.attempts}
            for index in participants | {self._finished_by.pop(result.hit)}:
                by_downloader.setdefault(index, []).append(result)
        for index, own_results in by_downloader.items():
            self._downloaders[index].mark_saved(own_results)

    async def next_results(self) -> list[DownloadResult]:
        """Wait for the results of the next tasks that end; raises a downloader's error."""
        while True:
            index, message = await self._inbox.get()
            if isinstance(message, Exception):
                raise message
            results = []
            for result in message:
                if result.next_url:
                    self._hand_over(result)
                else:
                    results.append(self._finish(index, result))
            if results:
                return results

    def _hand_over(self, result: DownloadResult) -> None:
        """Give the task to the downloader that owns its next address."""
        self._attempts.setdefault(result.hit, []).extend(result.attempts)
        task = self._tasks[result.hit]
        attempts = {attempt.url: attempt for attempt in result.attempts}
        task = replace(task, earlier={**task.earlier, **attempts})
        self._tasks[result.hit] = task
        self._downloaders[self._owner(result.next_url)].submit([task])

    def _finish(self, index: int, result: DownloadResult) -> DownloadResult:
        """The result with the attempts of every downloader that took part."""
        self._tasks.pop(result.hit, None)
        self._finished_by[result.hit] = index
        return replace(result, attempts=[*self._attempts.pop(result.hit, []), *result.attempts])

    def _owner(self, url: str) -> int:
        return shard_of_url(url, len(self._downloaders))
