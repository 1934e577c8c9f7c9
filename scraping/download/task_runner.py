"""Runs download tasks: a hit's addresses are tried in order until one gives a picture."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from core.workspace_folders import original_key
from scraping.catalogue.entities import Attempt, DownloadResult, DownloadTask, Status
from scraping.download.fetcher import Fetcher, PictureFile
from scraping.download.sharding import ALL_HOSTS, HostShard
from scraping.download.ssrf import host_of, original_url
from scraping.failure_reasons import FORBIDDEN, FailedError, Reason, RejectedError
from scraping.originals import Drafts

_logger = logging.getLogger(__name__)
_ENGINE_FIELDS = {"middleURL", "hoverURL", "thumbURL"}  # addresses on the engine's own hosts


class Tombstones:
    """Addresses, hosts and pictures that were forgotten and must not come back."""

    def __init__(self, tombstones: set[tuple[str, str]]) -> None:
        self._tombstones = tombstones  # (kind, value)

    def cover_address(self, url: str) -> bool:
        """Whether the address, its host or a parent domain was forgotten."""
        if not self._tombstones:
            return False
        if ("url", url) in self._tombstones:
            return True
        labels = host_of(url).split(".")
        return any(("host", ".".join(labels[i:])) in self._tombstones for i in range(len(labels)))

    def cover_picture(self, sha256: str) -> bool:
        """Whether the picture itself was forgotten."""
        return ("sha256", sha256) in self._tombstones


@dataclass(frozen=True)
class _Try:
    """An attempt at one address, maybe one that another task made."""

    attempt: Attempt
    draft: str = ""
    is_new: bool = False


class TaskRunner:
    """Runs download tasks; never downloads the same address twice at the same time."""

    def __init__(
        self,
        fetcher: Fetcher,
        tombstones: Tombstones,
        drafts: Drafts,
        shard: HostShard = ALL_HOSTS,
    ) -> None:
        self._fetcher = fetcher
        self._tombstones = tombstones
        self._drafts = drafts
        self._shard = shard
        self._downloads: dict[str, asyncio.Future[Attempt]] = {}  # by address

    async def run(self, task: DownloadTask) -> DownloadResult:
        """Try the task's addresses in order.

        An address with an earlier attempt is not requested again: a stored picture is used, a
        rejection stands. If all addresses fail, the result has the reason of the first one. If the
        next address belongs to another process, the result names it as ``next_url``.

        Raises ``OSError`` when the disk is full; nothing that a host sends raises an error.
        """
        attempts: list[Attempt] = []
        trials: list[tuple[str, Attempt]] = []
        for field, url in task.candidates:
            if url not in task.earlier and not self._shard.owns(url):
                return replace(_without_picture(task, trials), attempts=attempts, next_url=url)
            outcome = await self._try(task, field, url)
            trials.append((field, outcome.attempt))
            if outcome.is_new:
                attempts.append(outcome.attempt)
            if outcome.attempt.status == Status.OK:
                result = _with_picture(task, field, outcome.attempt)
                return replace(result, attempts=attempts, draft=outcome.draft)
            if outcome.attempt.reason in FORBIDDEN:
                trials = [(field, outcome.attempt)]
                break
        return replace(_without_picture(task, trials), attempts=attempts)

    def mark_saved(self, urls: Iterable[str]) -> None:
        """Drop downloads that the catalogue has: later tasks get them as earlier attempts."""
        for url in urls:
            self._downloads.pop(url, None)

    async def _try(self, task: DownloadTask, field: str, url: str) -> _Try:
        tombstones = self._tombstones
        if tombstones.cover_address(url) or tombstones.cover_address(original_url(url)):
            return _Try(_forgotten(url))
        earlier = task.earlier.get(url)
        if earlier is not None:
            if earlier.status != Status.OK:
                return _Try(earlier)
            if tombstones.cover_picture(earlier.sha256):
                return _Try(_forgotten(url))
            if self._drafts.is_stored(original_key(earlier.sha256, earlier.extension)):
                return _Try(earlier)
        if url in self._downloads:
            return _Try(await self._downloads[url])
        self._downloads[url] = asyncio.get_running_loop().create_future()
        try:
            attempt, draft = await self._download(
                url, task.page_url, robots=field not in _ENGINE_FIELDS
            )
        except BaseException:
            self._downloads.pop(url).cancel()
            raise
        self._downloads[url].set_result(attempt)
        return _Try(attempt, draft, is_new=True)

    async def _download(self, url: str, referer: str, *, robots: bool) -> tuple[Attempt, str]:
        """A new attempt, and the draft of its picture; "" without a picture or for a stored one."""
        started_s, at = time.monotonic(), time.time()
        picture: PictureFile | None = None
        status, reason, limit = Status.OK, "", 0
        try:
            picture = await self._fetcher.fetch(url, referer, robots=robots)
            if self._tombstones.cover_picture(picture.sha256):
                picture, status, reason = None, Status.REJECTED, Reason.FORGOTTEN
        except RejectedError as error:
            status, reason, limit = Status.REJECTED, error.reason, error.limit
        except FailedError as error:
            status, reason = Status.FAILED, error.reason
        except Exception:  # a bug that a host's bytes met: it costs this row, and not the crawl
            _logger.exception("%s cannot be fetched: an error in Suyan", url)
            status, reason = Status.FAILED, Reason.UNEXPECTED
        attempt = Attempt(
            url=url,
            host=host_of(original_url(url)),
            at=at,
            seconds=round(time.monotonic() - started_s, 4),
            status=status,
            reason=reason,
            num_bytes=len(picture.body) if picture else limit,
            sha256=picture.sha256 if picture else "",
            extension=picture.extension if picture else "",
        )
        if picture is None:
            return attempt, ""
        key = original_key(picture.sha256, picture.extension)
        return attempt, self._drafts.write(key, picture.body)


def _with_picture(task: DownloadTask, field: str, attempt: Attempt) -> DownloadResult:
    return DownloadResult(
        hit=task.hit,
        phrase=task.phrase,
        status=Status.OK,
        reason="",
        url=attempt.url,
        served_by=field,
        at=time.time(),
        sha256=attempt.sha256,
        path=original_key(attempt.sha256, attempt.extension),
        num_bytes=attempt.num_bytes,
    )


def _without_picture(task: DownloadTask, trials: Sequence[tuple[str, Attempt]]) -> DownloadResult:
    """A result with the first address's reason; it may pass if any of the reasons may."""
    if not trials:
        return DownloadResult(
            task.hit, task.phrase, Status.REJECTED, Reason.NO_ADDRESS, "", "", time.time()
        )
    field, first = trials[0]
    has_failed = any(attempt.status == Status.FAILED for _, attempt in trials)
    status = Status.FAILED if has_failed else Status.REJECTED
    return DownloadResult(
        task.hit, task.phrase, status, first.reason, first.url, field, time.time()
    )


def _forgotten(url: str) -> Attempt:
    return Attempt(url, host_of(url), time.time(), 0.0, Status.REJECTED, Reason.FORGOTTEN)
