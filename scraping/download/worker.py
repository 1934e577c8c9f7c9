"""The process that talks to strangers' hosts: errands in, finished errands out.

It has the network and a core to itself. What it finds lies on the disk as drafts; it knows no
database.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
from collections.abc import Mapping

from scraping.catalogue.entities import Attempt, Errand, Finished
from scraping.download.attempts import Obtainer, Tombstones
from scraping.download.client import Saved, Settings, framed, read
from scraping.download.fetcher import Fetcher
from scraping.originals import Drafts

_BATCH = 256  # finished errands told together …
_BATCH_S = 0.1  # … or those of this time


class _Downloader:
    """Runs errands, many at a time, and tells in batches what became of them."""

    def __init__(
        self, settings: Settings, fetcher: Fetcher, writer: asyncio.WriteTransport
    ) -> None:
        self._writer = writer
        self._drafts = Drafts(settings.workspace)
        stones = Tombstones(settings.tombstones)
        self._obtainer = Obtainer(fetcher, stones, self._drafts, settings.share)
        self._tasks: set[asyncio.Task[None]] = set()
        self._outbox: list[Finished] = []

    async def serve(self, reader: asyncio.StreamReader) -> None:
        """Run errands until there is nobody any more who asks."""
        try:
            while True:
                message = await read(reader)
                if isinstance(message, Saved):
                    self._obtainer.saved(message.urls)
                    self._drafts.published(message.paths)
                else:
                    for errand, known in message:
                        self._tasks.add(asyncio.create_task(self._run(errand, known)))
        except asyncio.IncompleteReadError:
            pass
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            self._drafts.discard()

    async def _run(self, errand: Errand, known: Mapping[str, Attempt]) -> None:
        try:
            finished = await self._obtainer.obtain(errand, known)
        except Exception as error:  # ours or the disk's: it ends the crawl, there
            self._writer.write(framed(error))
            return
        finally:
            task = asyncio.current_task()
            assert task is not None
            self._tasks.discard(task)
        self._outbox.append(finished)
        if len(self._outbox) >= _BATCH or not self._tasks:
            self._tell()
        elif len(self._outbox) == 1:
            asyncio.get_running_loop().call_later(_BATCH_S, self._tell)

    def _tell(self) -> None:
        if self._outbox:
            self._writer.write(framed(self._outbox))
            self._outbox = []


async def _main() -> None:
    loop = asyncio.get_running_loop()
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever prints must not speak in between
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin.buffer)
    writer, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, answers)
    settings = await read(reader)
    async with Fetcher(settings.limits, settings.share) as fetcher:
        await _Downloader(settings, fetcher, writer).serve(reader)
    writer.close()


def main() -> None:
    """Serve whoever holds the other ends of stdin and stdout, until they are closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the one who asks
    gc.freeze()  # what was imported stays, and need not be looked through again and again
    asyncio.run(_main())
