"""The downloading process: it reads tasks from stdin and writes results to stdout.

Only this process connects to untrusted hosts. It writes pictures to disk as drafts, and has no
access to the catalogue.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys

from scraping.catalogue.entities import DownloadResult, DownloadTask
from scraping.download.client import (
    DownloadSettings,
    SavedDownloads,
    encode_message,
    read_message,
)
from scraping.download.fetcher import Fetcher
from scraping.download.task_runner import TaskRunner, Tombstones
from scraping.originals import Drafts

_RESULTS_PER_MESSAGE = 256
_MESSAGE_INTERVAL_S = 0.1  # a smaller batch is sent after this time


class _Worker:
    """Runs tasks side by side and sends their results in batches."""

    def __init__(
        self, settings: DownloadSettings, fetcher: Fetcher, writer: asyncio.WriteTransport
    ) -> None:
        self._writer = writer
        self._drafts = Drafts(settings.workspace)
        tombstones = Tombstones(settings.tombstones)
        self._runner = TaskRunner(fetcher, tombstones, self._drafts, settings.shard)
        self._running_tasks: set[asyncio.Task[None]] = set()
        self._outbox: list[DownloadResult] = []

    async def serve(self, reader: asyncio.StreamReader) -> None:
        """Run the tasks that arrive from ``reader`` until it is closed."""
        try:
            while True:
                message = await read_message(reader)
                if isinstance(message, SavedDownloads):
                    self._runner.mark_saved(message.urls)
                    self._drafts.mark_committed(message.paths)
                else:
                    self._running_tasks |= {
                        asyncio.create_task(self._run(task)) for task in message
                    }
        except asyncio.IncompleteReadError:
            pass
        finally:
            for asyncio_task in self._running_tasks:
                asyncio_task.cancel()
            await asyncio.gather(*self._running_tasks, return_exceptions=True)
            self._drafts.discard()

    async def _run(self, task: DownloadTask) -> None:
        try:
            result = await self._runner.run(task)
        except Exception as error:  # a bug, or a full disk: the parent raises it
            self._writer.write(encode_message(error))
            return
        finally:
            asyncio_task = asyncio.current_task()
            assert asyncio_task is not None
            self._running_tasks.discard(asyncio_task)
        self._outbox.append(result)
        if len(self._outbox) >= _RESULTS_PER_MESSAGE or not self._running_tasks:
            self._send_results()
        elif len(self._outbox) == 1:
            asyncio.get_running_loop().call_later(_MESSAGE_INTERVAL_S, self._send_results)

    def _send_results(self) -> None:
        if self._outbox:
            self._writer.write(encode_message(self._outbox))
            self._outbox = []


async def _main() -> None:
    loop = asyncio.get_running_loop()
    results = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # output of libraries goes to stderr, so that it cannot mix with the messages
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin.buffer)
    writer, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, results)
    settings = await read_message(reader)
    async with Fetcher(settings.limits, settings.shard) as fetcher:
        await _Worker(settings, fetcher, writer).serve(reader)
    writer.close()


def main() -> None:
    """Serve the parent process until it closes stdin."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C
    gc.freeze()  # the garbage collector skips the imported modules
    asyncio.run(_main())
