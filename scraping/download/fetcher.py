"""Fetching pictures from addresses that strangers chose: nothing about them is trusted.

Only http(s); a name is resolved once, its addresses are checked, and those very addresses are
connected to, at each redirect anew. Redirects, bytes and times are limited; the content decides
what it is. One event loop does it all: ``requests`` would need one thread a transfer.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self
from urllib.parse import urljoin

from core.errors import TransientError
from scraping import backoff
from scraping.download.curl import Answer, TransferError, Transfers
from scraping.download.limits import Limits
from scraping.download.politeness import Gates, Robots, Sleep
from scraping.download.sharding import ALL, Share
from scraping.download.ssrf import Address, RejectedError, origin, refuse_private, split

_USER_AGENT = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0 "
    "Safari/537.36 Suyan/0.1"
)
_HEADERS = (f"User-Agent: {_USER_AGENT}", "Accept: image/*,*/*;q=0.8", "Accept-Encoding: identity")
_MAX_ROBOTS_BYTES = 512_000
_MAX_REFUSAL_BYTES = 65_536  # of what a host says instead of a picture, to keep its connection
_NOT_AT_ONCE = {"host-failing", "robots-unreachable"}  # what another try would not change
_REDIRECTS = {301, 302, 303, 307, 308}
_MAGIC = (
    (b"\xff\xd8\xff", "jpg"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"BM", "bmp"),
    (b"II*\x00", "tif"),
    (b"MM\x00*", "tif"),
)


@dataclass(frozen=True)
class Fetched:
    """The bytes of a picture file, with what they are."""

    body: bytes
    sha256: str
    extension: str  # by content: jpg png gif webp bmp tif avif


class Fetcher:
    """Fetches pictures within one event loop; an asynchronous context manager.

    ``sleep`` is given so that pauses can be observed.
    """

    def __init__(
        self,
        limits: Limits,
        share: Share = ALL,
        *,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._limits = limits
        self._sleep = sleep
        self._gates = Gates(limits.requests_per_s_per_host, share)
        self._robots = Robots(self._get_text, self._gates)
        self._turns = asyncio.Semaphore(limits.num_workers)
        self._transfers = Transfers(
            _allow_all if limits.allow_private_hosts else refuse_private,
            connect_timeout_s=limits.connect_timeout_s,
            read_timeout_s=limits.read_timeout_s,
        )

    async def __aenter__(self) -> Self:
        await self._transfers.__aenter__()
        return self

    async def __aexit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._transfers.__aexit__(error_type, error, trace)

    async def fetch(self, url: str, referer: str = "", *, robots: bool = True) -> Fetched:
        """The picture at ``url``.

        With ``robots`` the robots.txt of the origin host is obeyed (where the limits
        respect opt-outs at all); the engine's own thumbnails are asked for without.

        Raises ``RejectedError`` when there is none to be had (its text is the reason, e.g.
        ``http-404``), ``TransientError`` when all tries failed for reasons that may pass.
        """
        tries = self._limits.num_tries
        for num_failed in range(1, tries + 1):
            try:
                return await self._fetch_once(url, referer, robots)
            except TransientError as error:
                if num_failed == tries or str(error) in _NOT_AT_ONCE:
                    raise
                await self._sleep(backoff.pause_s(error, num_failed, 0.5, 20))
        raise AssertionError("the loop returns or raises")

    async def _fetch_once(self, url: str, referer: str, robots: bool) -> Fetched:
        respect = robots and self._limits.respect_opt_out
        if respect and origin(url) != url:
            await self._robots.check(split(origin(url)))
        budget = _Budget(self._limits.total_timeout_s)
        for _ in range(self._limits.max_redirects + 1):
            address = split(url)
            if respect:
                await self._robots.check(address)
            outcome = await self._hop(address, referer, budget)
            if isinstance(outcome, Fetched):
                return outcome
            url = urljoin(url, outcome)
        raise RejectedError("too-many-redirects")

    async def _hop(self, address: Address, referer: str, budget: _Budget) -> Fetched | str:
        """The picture, or the address that this one redirects to."""
        limit = int(self._limits.max_megabytes * 1e6)
        answer = await self._get(address, referer, budget, limit)
        if answer.status in _REDIRECTS:
            if "location" not in answer.headers:
                raise RejectedError("redirect-without-location")
            return answer.headers["location"]
        if answer.status != 200:
            raise RejectedError(f"http-{answer.status}")
        if self._opts_out(answer.headers):
            raise RejectedError("opt-out")
        if not answer.is_whole:
            raise RejectedError("too-large")
        if not answer.body:
            raise RejectedError("empty")
        extension = sniff(answer.body)
        if extension is None:
            raise RejectedError("not-an-image")
        return Fetched(answer.body, hashlib.sha256(answer.body).hexdigest(), extension)

    async def _get_text(self, address: Address) -> tuple[int, bytes]:
        budget = _Budget(self._limits.total_timeout_s)
        for _ in range(self._limits.max_redirects + 1):
            answer = await self._get(address, "", budget, _MAX_ROBOTS_BYTES)
            if answer.status not in _REDIRECTS or "location" not in answer.headers:
                return answer.status, answer.body
            address = split(urljoin(address.url, answer.headers["location"]))
        raise RejectedError("too-many-redirects")

    async def _get(self, address: Address, referer: str, budget: _Budget, limit: int) -> Answer:
        """One request in its host's turn; how it ends is noted at the host's gate."""
        gate = self._gates.of(address.site)
        await gate.enter(self._sleep)
        try:
            async with self._turns:
                answer = await self._request(address, referer, budget, limit)
        except TransientError as error:
            gate.leave(failed=True, pause_s=error.retry_after_s)
            raise
        except RejectedError:
            gate.leave(failed=False)
            raise
        gate.leave(failed=False)
        return answer

    async def _request(self, address: Address, referer: str, budget: _Budget, limit: int) -> Answer:
        headers = list(_HEADERS)
        if referer.isascii() and referer.isprintable() and referer.startswith("http"):
            headers.append(f"Referer: {referer}")

        def wanted(status: int, got: Mapping[str, str]) -> int:
            if status != 200:
                return _MAX_REFUSAL_BYTES
            announced = got.get("content-length", "")
            too_large = announced.isdecimal() and int(announced[:20]) > limit
            return 0 if too_large or self._opts_out(got) else limit

        try:
            with budget:
                answer = await self._transfers.get(
                    address.url, headers, wanted=wanted, timeout_s=budget.left_s()
                )
        except TransferError as error:
            slow = error.is_timeout and budget.left_s() < 0.01
            raise TransientError("too-slow" if slow else str(error)) from error
        if answer.status == 429 or answer.status >= 500:
            wish = backoff.retry_after(answer.headers.get("retry-after"))
            raise TransientError(f"http-{answer.status}", wish)
        return answer

    def _opts_out(self, headers: Mapping[str, str]) -> bool:
        tags = headers.get("x-robots-tag", "").lower()
        return self._limits.respect_opt_out and ("noai" in tags or "noimageai" in tags)


class _Budget:
    """The time that all requests for one file may take together, waiting for turns not counted."""

    def __init__(self, seconds: float) -> None:
        self._left = seconds

    def left_s(self) -> float:
        return max(self._left, 1e-3)

    def __enter__(self) -> None:
        self._since = time.monotonic()

    def __exit__(self, *_: object) -> None:
        self._left -= time.monotonic() - self._since


def _allow_all(_ip: str) -> None:
    pass


def sniff(body: bytes) -> str | None:
    """The picture format that the first bytes announce, as a file extension; ``None``: not one."""
    for magic, extension in _MAGIC:
        if body.startswith(magic):
            return extension
    if body[:4] == b"RIFF" and body[8:12] == b"WEBP":
        return "webp"
    if body[4:12] in {b"ftypavif", b"ftypavis"}:
        return "avif"
    return None
