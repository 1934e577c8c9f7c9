"""The moving parts of a crawl: it searches, has pictures downloaded, and saves, all at once."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from urllib.parse import urlsplit

from core.errors import SuyanError, TransientError
from core.progress import Progress
from core.workspace import Workspace
from scraping.catalogue.entities import Attempt, Cursor, Errand, Finished
from scraping.catalogue.leases import Claims
from scraping.catalogue.repository import Catalogue
from scraping.config import CrawlConfig
from scraping.download.client import Downloader, Downloads, Settings
from scraping.download.limits import Limits
from scraping.originals import publish
from scraping.search.baidu import Answer
from scraping.search.frontier import Search
from storage import originals
from storage.remote import bucket_of

_OPEN_PER_WORKER = 32  # errands under way or waiting for their host's turn
_POLL_S = 0.5  # between two looks at what other crawls are fetching
_LOST = 30  # downloads that fail in a row …
_LOST_SITES = 3  # … from so many hosts, before the network is taken to be gone


@dataclass(frozen=True)
class _Page:
    cursor: Cursor
    answer: Answer | SuyanError


class Gathering:
    """One call's work on a crawl, in the event loop that ``run`` runs in.

    The catalogue is used by this loop alone. An original is noted as downloaded, then its file
    appears (and is in the bucket, if there is one), then the rows that point to it: whenever the
    process dies, no row lacks its file, and no file is downloaded again.
    """

    def __init__(
        self,
        config: CrawlConfig,
        name: str,
        workspace: Workspace,
        catalogue: Catalogue,
        progress: Progress,
        downloader: Downloader = Downloads,
    ) -> None:
        self._downloader = downloader
        self._config, self._name, self._workspace = config, name, workspace
        self._catalogue, self._progress = catalogue, progress
        self._bucket = bucket_of(workspace)
        self._started_at = time.time()
        round_ = catalogue.round(name)
        assert round_ is not None, "a round has begun"
        self._target = round_.target
        self._found = catalogue.num_found(name)
        self._num_hits = 0
        self._open: dict[int, Errand] = {}  # by number of the hit
        self._inbox: asyncio.Queue[list[Finished] | _Page | Exception] = asyncio.Queue()
        self._last = 0  # the highest number of an errand so far
        self._floor = 0  # up to this number nothing is left to do
        self._contested = False  # whether others were fetching what this crawl wants
        self._lost: list[str] = []  # hosts of the downloads that failed in a row

    async def run(self) -> None:
        """Search and fetch until there is enough, or no phrase has more.

        Raises ``TransientError`` when one download after the other fails, ``SuyanError`` when the
        disk is full; what was saved stays saved.
        """
        self._report()
        search = Search(self._config, self._name, self._catalogue)
        tasks: list[asyncio.Task[None]] = []
        stones = self._catalogue.tombstones()
        limits = Limits.of(self._config)
        self._claims = Claims(self._catalogue, self._name, self._config.lease_s)
        try:
            tasks.append(asyncio.create_task(self._renew()))
            settings = Settings(limits, Workspace(self._workspace.folder.absolute()), stones)
            async with self._downloader(settings) as self._downloads:
                tasks.append(asyncio.create_task(self._listen()))
                await self._work(search, tasks)
        finally:
            search.close()
            await _cancel(tasks)
            self._claims.close()
        self._refuse_silence()

    async def _work(self, search: Search, tasks: list[asyncio.Task[None]]) -> None:
        searching: asyncio.Task[None] | None = None
        while True:
            if self._top_up() and searching is None:
                cursor = search.next_cursor(Counter(e.phrase for e in self._open.values()))
                if cursor is not None:
                    searching = asyncio.create_task(self._ask(search, cursor))
                    tasks[2:] = [searching]
            if searching is None and not self._open:
                if not self._contested:
                    return
                await asyncio.sleep(_POLL_S)
                self._found = self._catalogue.num_found(self._name)
                continue
            for page in await self._receive():
                lowest = search.take(page.cursor, page.answer)
                if lowest is not None:
                    self.look_from(lowest)
                searching = None

    def _top_up(self) -> bool:
        """Start errands that the catalogue knows of; whether more are wanted than it knows."""
        self._contested = False
        wanted = self._target - self._found - len(self._open)
        most = _OPEN_PER_WORKER * self._config.num_workers
        room = min(wanted, most - len(self._open))
        if room < min(max(wanted, 1), most // 4):
            return False
        wished = self._next(room)
        errands = self._claims.take(wished, self._started_at)
        self._contested = len(errands) < len(wished)
        known = self._catalogue.known(url for e in errands for _, url in e.candidates)
        self._open |= {errand.hit: errand for errand in errands}
        self._downloads.ask(
            [(e, {url: known[url] for _, url in e.candidates if url in known}) for e in errands]
        )
        return len(wished) < room

    def _next(self, num: int) -> list[Errand]:
        """Errands that are not open: further ones, or when those end, any left before them.

        What is settled is not looked through again: else every page of a long crawl would cost more
        than the one before it.
        """
        look = partial(self._catalogue.errands, self._name, self._started_at)
        errands = look(num, after=self._last)
        if len(errands) < num:
            taken = {errand.hit for errand in errands} | self._open.keys()
            errands += look(num - len(errands), after=self._floor, without=taken)
            if len(errands) < num:
                left = taken | {errand.hit for errand in errands}
                self._floor = min(left, default=self._last + 1) - 1
        self._last = max([self._last, *(errand.hit for errand in errands)])
        return errands

    def look_from(self, hit: int) -> None:
        """Hits from this number on may be left to do: another crawl may have seen them long ago."""
        self._floor = min(self._floor, hit - 1)

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(self._config.lease_s / 4)
            try:
                self._claims.renew()
            except Exception as error:  # as below
                await self._inbox.put(error)

    async def _listen(self) -> None:
        try:
            while True:
                await self._inbox.put(await self._downloads.finished())
        except Exception as error:  # it ends the crawl, in the loop that waits for us
            await self._inbox.put(error)

    async def _ask(self, search: Search, cursor: Cursor) -> None:
        try:
            answer = await asyncio.to_thread(search.ask, cursor)
        except Exception as error:  # ours, as above: unsaid, the loop would wait for ever
            await self._inbox.put(error)
        else:
            await self._inbox.put(_Page(cursor, answer))

    async def _receive(self) -> list[_Page]:
        """Wait for something to happen, save the downloads among it, return the pages among it."""
        pages: list[_Page] = []
        finished: list[Finished] = []
        item = await self._inbox.get()
        while True:
            if isinstance(item, Exception):
                raise item
            if isinstance(item, _Page):
                pages.append(item)
            else:
                finished += item
            if self._inbox.empty():
                break
            item = self._inbox.get_nowait()
        if finished:
            await self._save(finished)
        return pages

    async def _save(self, finished: Sequence[Finished]) -> None:
        attempts = [attempt for one in finished for attempt in one.attempts]
        self._catalogue.save_attempts(attempts)
        drafts = {one.outcome.path: one.draft for one in finished if one.draft}
        lost = publish(self._workspace, drafts)
        if lost:  # with the machine that had downloaded them
            again = [one for one in finished if one.outcome.path in lost]
            self._downloads.saved(again)  # else they would be remembered as downloaded
            self._downloads.ask([(self._open[one.outcome.hit], {}) for one in again])
            finished = [one for one in finished if one.outcome.path not in lost]
        outcomes = [one.outcome for one in finished]
        if self._bucket is not None:
            found = {outcome.path for outcome in outcomes if outcome.status == "ok"}
            await asyncio.to_thread(originals.publish, self._bucket, self._workspace, found)
        self._found += self._catalogue.save_outcomes(self._name, outcomes)
        self._downloads.saved(finished)
        self._claims.release([self._open.pop(outcome.hit) for outcome in outcomes])
        self._num_hits += len(outcomes)
        self._report()
        self._refuse_a_dead_network(attempts)

    def _report(self) -> None:
        done = min(self._found, self._target)
        message = f"{self._num_hits} hits fetched"
        self._progress(f"crawl {self._config.domain}", done, self._target, message)

    def _refuse_a_dead_network(self, attempts: Sequence[Attempt]) -> None:
        for attempt in attempts:
            if attempt.status != "failed":
                self._lost.clear()
                continue
            self._lost.append(urlsplit(attempt.url).netloc)
        sites = set(self._lost)
        if len(self._lost) >= _LOST and len(sites) >= _LOST_SITES:
            raise TransientError(
                f"the last {len(self._lost)} downloads from {len(sites)} hosts all failed: is the "
                "network down? Everything stored is kept; the same command goes on"
            )

    def _refuse_silence(self) -> None:
        cursors = [self._catalogue.cursor(self._name, p) for p in self._config.searches]
        if all(cursor.stopped_because.startswith("unreachable") for cursor in cursors):
            raise TransientError(
                f"{self._config.engine_url} answered none of {len(cursors)} searches "
                f"({cursors[0].stopped_because}): is the network down, or is the address wrong?"
            )


async def _cancel(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
