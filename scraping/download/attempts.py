"""One hit → one original: its addresses are tried, the best first, until one gives a picture."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence

from core.errors import TransientError
from scraping.catalogue.entities import Attempt, Errand, Finished, Outcome
from scraping.download.fetcher import Fetched, Fetcher
from scraping.download.sharding import ALL, Share
from scraping.download.ssrf import RejectedError, host_of, origin
from scraping.originals import Drafts, path_of

_ENGINES_OWN = {"middleURL", "hoverURL", "thumbURL"}
_OPTED_OUT = {"opt-out", "robots", "forgotten"}  # a copy elsewhere would only go round it


class Tombstones:
    """What must not come back, as questions."""

    def __init__(self, stones: set[tuple[str, str]]) -> None:
        self._stones = stones

    def forbid_address(self, url: str) -> bool:
        """Whether the address, or its host or one above it, was forgotten."""
        if not self._stones:
            return False
        if ("url", url) in self._stones:
            return True
        names = host_of(url).split(".")
        return any(("host", ".".join(names[i:])) in self._stones for i in range(len(names)))

    def forbid_content(self, sha256: str) -> bool:
        """Whether the picture itself was forgotten."""
        return ("sha256", sha256) in self._stones


class Obtainer:
    """Runs errands; the same address is never downloaded twice at the same time."""

    def __init__(
        self,
        fetcher: Fetcher,
        tombstones: Tombstones,
        drafts: Drafts,
        share: Share = ALL,
    ) -> None:
        self._share = share
        self._fetcher = fetcher
        self._tombstones = tombstones
        self._drafts = drafts
        self._downloads: dict[str, asyncio.Future[Attempt]] = {}

    async def obtain(self, errand: Errand, known: Mapping[str, Attempt]) -> Finished:
        """Try the errand's addresses in order. Raises nothing that a host could cause, ``OSError``
        when the disk takes no more.

        ``known`` are earlier tries by address: a stored picture is not fetched again, a refused one
        not asked for again. The reason of a failure is that of the first address. Where the next
        address belongs to another process, the errand comes back with that as ``next_url``.
        """
        attempts: list[Attempt] = []
        tried: list[tuple[str, Attempt]] = []
        for field, url in errand.candidates:
            if url not in known and not self._share.has(url):
                return Finished(_bad(errand, tried), attempts, next_url=url)
            attempt, draft, is_new = await self._try(errand, field, url, known.get(url))
            tried.append((field, attempt))
            if is_new:
                attempts.append(attempt)
            if attempt.status == "ok":
                return Finished(_good(errand, field, attempt), attempts, draft)
            if attempt.reason in _OPTED_OUT:
                tried = [(field, attempt)]
                break
        return Finished(_bad(errand, tried), attempts)

    def saved(self, urls: Iterable[str]) -> None:
        """These downloads are in the catalogue now: whoever needs them finds them there."""
        for url in urls:
            self._downloads.pop(url, None)

    async def _try(
        self, errand: Errand, field: str, url: str, before: Attempt | None
    ) -> tuple[Attempt, str, bool]:
        """An attempt at one address, its draft if that is new, and whether it was made now."""
        forbidden = self._tombstones.forbid_address
        if forbidden(url) or forbidden(origin(url)):
            return _refused(url, "forgotten"), "", False
        if before is not None:
            if before.status != "ok":
                return before, "", False
            if self._tombstones.forbid_content(before.sha256):
                return _refused(url, "forgotten"), "", False
            if self._drafts.is_stored(path_of(before.sha256, before.extension)):
                return before, "", False
        if url in self._downloads:
            return await self._downloads[url], "", False
        self._downloads[url] = asyncio.get_running_loop().create_future()
        robots = field not in _ENGINES_OWN
        try:
            attempt, draft = await self._download(url, errand.page_url, robots=robots)
        except BaseException:
            self._downloads.pop(url).cancel()
            raise
        self._downloads[url].set_result(attempt)
        return attempt, draft, True

    async def _download(self, url: str, referer: str, *, robots: bool) -> tuple[Attempt, str]:
        started, at = time.monotonic(), time.time()
        fetched: Fetched | None = None
        status, reason = "ok", ""
        try:
            fetched = await self._fetcher.fetch(url, referer, robots=robots)
            if self._tombstones.forbid_content(fetched.sha256):
                fetched, status, reason = None, "rejected", "forgotten"
        except RejectedError as error:
            status, reason = "rejected", str(error)
        except TransientError as error:
            status, reason = "failed", str(error)
        attempt = Attempt(
            url=url,
            host=host_of(origin(url)),
            at=at,
            seconds=round(time.monotonic() - started, 4),
            status=status,
            reason=reason,
            num_bytes=len(fetched.body) if fetched else 0,
            sha256=fetched.sha256 if fetched else "",
            extension=fetched.extension if fetched else "",
        )
        if fetched is None:
            return attempt, ""
        return attempt, self._drafts.write(path_of(attempt.sha256, attempt.extension), fetched.body)


def _good(errand: Errand, field: str, attempt: Attempt) -> Outcome:
    return Outcome(
        hit=errand.hit,
        phrase=errand.phrase,
        status="ok",
        reason="",
        url=attempt.url,
        served_by=field,
        at=time.time(),
        sha256=attempt.sha256,
        path=path_of(attempt.sha256, attempt.extension),
        num_bytes=attempt.num_bytes,
    )


def _bad(errand: Errand, tried: Sequence[tuple[str, Attempt]]) -> Outcome:
    """The reason is that of the best address; a failure for now anywhere may pass."""
    if not tried:
        return Outcome(errand.hit, errand.phrase, "rejected", "no-address", "", "", time.time())
    field, first = tried[0]
    status = "failed" if any(a.status == "failed" for _, a in tried) else "rejected"
    return Outcome(errand.hit, errand.phrase, status, first.reason, first.url, field, time.time())


def _refused(url: str, reason: str) -> Attempt:
    return Attempt(url, host_of(url), time.time(), 0.0, "rejected", reason)
