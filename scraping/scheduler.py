"""The scheduler of a crawl: it searches, downloads and saves concurrently."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from urllib.parse import urlsplit

from core.errors import SuyanError, TransientError
from core.language.messages import localised
from core.progress import Progress
from core.workspace import Workspace
from scraping.catalogue.entities import (
    LIST_ENGINE,
    Attempt,
    Cursor,
    DownloadResult,
    DownloadTask,
    Status,
    StopReason,
)
from scraping.catalogue.leases import Leases
from scraping.catalogue.repository import Catalogue
from scraping.config import CrawlConfig
from scraping.download.client import DownloaderFactory, DownloadProcess, DownloadSettings
from scraping.download.limits import DownloadLimits
from scraping.failure_reasons import Reason
from scraping.originals import commit_drafts
from scraping.search.engine import ResultPage
from scraping.search.engines import build_engines
from scraping.search.frontier import Frontier
from storage import originals
from storage.remote import bucket_of

_OPEN_TASKS_PER_WORKER = 32  # tasks that run or wait for their host's turn
_POLL_S = 0.5  # between two checks of the leases of other crawls
_DEAD_NETWORK_FAILURES = 30  # downloads that fail in a row …
_DEAD_NETWORK_SITES = 3  # … from so many hosts, before the network is taken to be down


@dataclass(frozen=True)
class _SearchAnswer:
    phrase: str
    page: ResultPage | SuyanError


class CrawlScheduler:
    """One call's work on a crawl, in one event loop; only its thread uses the catalogue.

    It searches and downloads, or it only downloads the ``num_listed`` addresses of lists, all of
    them.

    A download is saved in three steps: its attempt is stored, then its file gets its name (and is
    sent to the bucket, if there is one), then its rows are stored. So, whenever the process dies,
    no row points to a missing file, and no file is downloaded again.
    """

    def __init__(
        self,
        config: CrawlConfig,
        name: str,
        workspace: Workspace,
        catalogue: Catalogue,
        progress: Progress,
        build_downloader: DownloaderFactory = DownloadProcess,
        *,
        num_listed: int | None = None,
    ) -> None:
        self._engines = [engine.key for engine in build_engines(config)]
        if num_listed is not None:
            config, self._engines = config.model_copy(update={"phrases": ()}), [LIST_ENGINE]
        self._config, self._name, self._workspace = config, name, workspace
        self._catalogue, self._progress = catalogue, progress
        self._bucket = bucket_of(workspace)
        self._started_at = time.time()
        current = catalogue.round(name)
        assert current is not None, "a round has begun"
        self._num_originals = catalogue.num_originals(name)
        self._target = current.target
        if num_listed is not None:
            self._target = self._num_originals + num_listed
        self._num_settled, self._num_by_reason = 0, Counter[str]()
        self._open_tasks: dict[int, DownloadTask] = {}  # by number of the hit
        self._inbox: asyncio.Queue[list[DownloadResult] | _SearchAnswer | Exception]
        self._inbox = asyncio.Queue()
        self._background: set[asyncio.Task[None]] = set()
        self._last_hit = 0  # highest number of a task so far
        self._settled_up_to = 0  # all hits up to this number are settled
        self._is_contested = False  # whether other crawls hold leases on needed addresses
        self._failed_attempts: list[Attempt] = []  # the last ones, which failed in a row
        self._frontier = Frontier(config, name, catalogue)
        settings = DownloadSettings(
            DownloadLimits.from_config(config),
            Workspace(workspace.folder.absolute()),
            catalogue.tombstones(),
        )
        self._downloader = build_downloader(settings)
        self._leases = Leases(catalogue, name, config.lease_s)

    async def run(self) -> None:
        """Search and download until there is enough, or no phrase has more.

        Raises ``TransientError`` when one download after the other fails, or the engine answers
        nothing; ``UnknownHostError`` when its name does not resolve; ``SuyanError`` when the disk
        is full. What was saved stays saved.
        """
        self._report()
        try:
            self._spawn(self._renew_leases)
            async with self._downloader:
                self._spawn(self._listen)
                await self._work()
        finally:
            self._frontier.close()
            await self._cancel_background()
            self._leases.close()
        self._check_engine_answered()

    async def _work(self) -> None:
        is_searching = False
        while True:
            if self._submit_tasks() and not is_searching:
                num_open = Counter(task.phrase for task in self._open_tasks.values())
                cursor = self._frontier.next_cursor(num_open)
                if cursor is not None:
                    self._spawn(partial(self._search, cursor))
                    is_searching = True
            if not is_searching and not self._open_tasks:
                if not self._is_contested:
                    return
                await asyncio.sleep(_POLL_S)
                self._num_originals = self._catalogue.num_originals(self._name)
                continue
            for answer in await self._receive():
                lowest = self._frontier.save_page(answer.phrase, answer.page)
                if lowest is not None:
                    self.revisit_from(lowest)
                is_searching = False

    def _submit_tasks(self) -> bool:
        """Start tasks of the catalogue; returns whether it has too few, so that a search is due."""
        self._is_contested = False
        num_missing = self._target - self._num_originals - len(self._open_tasks)
        max_open = _OPEN_TASKS_PER_WORKER * self._config.num_workers
        room = min(num_missing, max_open - len(self._open_tasks))
        if room < min(max(num_missing, 1), max_open // 4):
            return False
        pending_tasks = self._next_tasks(room)
        tasks = self._leases.acquire(pending_tasks, self._started_at)
        self._is_contested = len(tasks) < len(pending_tasks)
        attempts = self._catalogue.final_attempts(url for t in tasks for _, url in t.candidates)
        for task in tasks:
            urls = [url for _, url in task.candidates if url in attempts]
            self._open_tasks[task.hit] = replace(task, earlier={url: attempts[url] for url in urls})
        self._downloader.submit([self._open_tasks[task.hit] for task in tasks])
        return len(pending_tasks) < room

    def _next_tasks(self, num: int) -> list[DownloadTask]:
        """Tasks that are not open: first those of later hits, then remaining earlier ones.

        Settled hits are skipped: otherwise each page of a long crawl would take longer than the one
        before.
        """
        pending_tasks = partial(
            self._catalogue.pending_tasks, self._name, self._started_at, engines=self._engines
        )
        tasks = pending_tasks(num, after=self._last_hit)
        if len(tasks) < num:
            hits = {task.hit for task in tasks} | self._open_tasks.keys()
            tasks += pending_tasks(num - len(tasks), after=self._settled_up_to, without=hits)
            if len(tasks) < num:
                open_hits = hits | {task.hit for task in tasks}
                self._settled_up_to = min(open_hits, default=self._last_hit + 1) - 1
        self._last_hit = max([self._last_hit, *(task.hit for task in tasks)])
        return tasks

    def revisit_from(self, hit: int) -> None:
        """Look for tasks from this number on again: another crawl may have seen the hit first."""
        self._settled_up_to = min(self._settled_up_to, hit - 1)

    def _spawn(self, work: Callable[[], Awaitable[None]]) -> None:
        """Run ``work`` in the background; its error goes to the inbox and ends the crawl."""

        async def forward_error() -> None:
            try:
                await work()
            except Exception as error:
                await self._inbox.put(error)

        task = asyncio.create_task(forward_error())
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def _cancel_background(self) -> None:
        tasks = list(self._background)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _renew_leases(self) -> None:
        while True:
            await asyncio.sleep(self._config.lease_s / 4)
            self._leases.renew()

    async def _listen(self) -> None:
        while True:
            await self._inbox.put(await self._downloader.next_results())

    async def _search(self, cursor: Cursor) -> None:
        page = await asyncio.to_thread(self._frontier.fetch_page, cursor)
        await self._inbox.put(_SearchAnswer(cursor.phrase, page))

    async def _receive(self) -> list[_SearchAnswer]:
        """Wait until the inbox has an entry; save the results in it, and return the answers."""
        answers: list[_SearchAnswer] = []
        results: list[DownloadResult] = []
        item = await self._inbox.get()
        while True:
            if isinstance(item, Exception):
                raise item
            if isinstance(item, _SearchAnswer):
                answers.append(item)
            else:
                results += item
            if self._inbox.empty():
                break
            item = self._inbox.get_nowait()
        if results:
            await self._save(results)
        return answers

    async def _save(self, results: Sequence[DownloadResult]) -> None:
        attempts = [attempt for result in results for attempt in result.attempts]
        self._catalogue.save_attempts(attempts)
        drafts = {result.path: result.draft for result in results if result.draft}
        missing_keys = commit_drafts(self._workspace, drafts)
        if missing_keys:  # the machine that had downloaded them is gone
            self._download_again([result for result in results if result.path in missing_keys])
            results = [result for result in results if result.path not in missing_keys]
        if self._bucket is not None:
            paths = {result.path for result in results if result.status == Status.OK}
            await asyncio.to_thread(originals.publish, self._bucket, self._workspace, paths)
        self._num_originals += self._catalogue.save_results(self._name, results)
        self._downloader.mark_saved(results)
        self._leases.release([self._open_tasks.pop(result.hit) for result in results])
        self._num_settled += len(results)
        self._num_by_reason.update(result.reason for result in results if result.reason)
        self._report()
        self._check_network(attempts)

    def _download_again(self, results: Sequence[DownloadResult]) -> None:
        self._downloader.mark_saved(results)  # so that it drops its record of the downloads
        tasks = [replace(self._open_tasks[result.hit], earlier={}) for result in results]
        self._downloader.submit(tasks)

    def _report(self) -> None:
        done = min(self._num_originals, self._target)
        message = localised("{num_settled} hits tried", num_settled=self._num_settled)
        if not self._num_originals and self._num_by_reason:
            reason, num = self._num_by_reason.most_common(1)[0]
            message += localised(", {num} of them {reason}", num=num, reason=reason)
        self._progress(
            localised("crawl {domain}", domain=self._config.domain), done, self._target, message
        )

    def _check_network(self, attempts: Sequence[Attempt]) -> None:
        """Raise ``TransientError`` after many failures in a row from several hosts."""
        for attempt in attempts:
            if attempt.status == Status.FAILED and attempt.reason != Reason.PRIVATE_ADDRESS:
                self._failed_attempts.append(attempt)
            else:
                self._failed_attempts.clear()
        num_failures = len(self._failed_attempts)
        num_hosts = len({urlsplit(attempt.url).netloc for attempt in self._failed_attempts})
        if num_failures >= _DEAD_NETWORK_FAILURES and num_hosts >= _DEAD_NETWORK_SITES:
            reasons = Counter(attempt.reason for attempt in self._failed_attempts)
            causes = ", ".join(f"{reason}: {num}" for reason, num in reasons.most_common(3))
            raise TransientError(
                localised(
                    "the last {num_failures} downloads from {num_hosts} hosts all failed "
                    "({causes}): is the network down? Everything stored so far is kept; run the "
                    "same command again to go on",
                    num_failures=num_failures,
                    num_hosts=num_hosts,
                    causes=causes,
                )
            )

    def _check_engine_answered(self) -> None:
        """Raise ``UnknownHostError`` or ``TransientError`` when no engine answered any search."""
        cursors = [self._catalogue.cursor(self._name, phrase) for phrase in self._frontier.labels]
        stops = [cursor.stop for cursor in cursors]
        if stops and all(
            stop is not None and stop.reason is StopReason.UNREACHABLE for stop in stops
        ):
            if self._frontier.unknown_host is not None:
                raise self._frontier.unknown_host
            engines = " and ".join(self._frontier.engine_urls)
            raise TransientError(
                localised(
                    "{engines} answered none of {num} searches ({stops}): is the network down, "
                    "or is the address wrong?",
                    engines=engines,
                    num=len(stops),
                    stops=stops[0],
                )
            )
