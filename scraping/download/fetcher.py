"""Downloads of pictures from untrusted addresses.

Only http(s) is allowed. A host name is resolved once, its IP addresses are checked, and one of
these very addresses is connected to; a redirect is treated in the same way. Redirects, bytes and
times are limited, and the content decides which format a file has. Everything runs in one event
loop: ``requests`` would need a thread per transfer.
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

from core.image_formats import sniff
from scraping import backoff
from scraping.download.curl import CurlClient, HttpResponse
from scraping.download.limits import DownloadLimits
from scraping.download.politeness import RateLimiters, RobotsRules, Sleep
from scraping.download.sharding import ALL_HOSTS, HostShard
from scraping.download.ssrf import Address, original_url, refuse_private, split_url
from scraping.failure_reasons import (
    NOT_RETRIED_AT_ONCE,
    FailedError,
    Reason,
    RejectedError,
    http_reason,
)

_USER_AGENT = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0 "
    "Safari/537.36 Suyan/0.1"
)
_HEADERS = (f"User-Agent: {_USER_AGENT}", "Accept: image/*,*/*;q=0.8", "Accept-Encoding: identity")
_MAX_ROBOTS_BYTES = 512_000
_MAX_ERROR_BYTES = 65_536  # of an error page; reading it lets the connection be used again
_REDIRECTS = {301, 302, 303, 307, 308}
_FIRST_PAUSE_S = 0.5
_MAX_PAUSE_S = 20.0


@dataclass(frozen=True)
class PictureFile:
    """The bytes of a downloaded picture file."""

    body: bytes
    sha256: str
    extension: str  # by content: jpg png gif webp bmp tif avif


class Fetcher:
    """Downloads pictures; an asynchronous context manager, built inside its event loop.

    ``sleep`` makes every pause; tests pass their own.
    """

    def __init__(
        self,
        limits: DownloadLimits,
        shard: HostShard = ALL_HOSTS,
        *,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._limits = limits
        self._sleep = sleep
        self._limiters = RateLimiters(limits.requests_per_s_per_host, shard)
        self._robots = RobotsRules(self._fetch_text, self._limiters)
        self._slots = asyncio.Semaphore(limits.num_workers)
        self._client = CurlClient(
            _allow_any_ip if limits.allow_private_hosts else refuse_private,
            connect_timeout_s=limits.connect_timeout_s,
            read_timeout_s=limits.read_timeout_s,
        )

    async def __aenter__(self) -> Self:
        await self._client.__aenter__()
        return self

    async def __aexit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._client.__aexit__(error_type, error, trace)

    async def fetch(self, url: str, referer: str = "", *, robots: bool = True) -> PictureFile:
        """The picture at ``url``.

        With ``robots`` the robots.txt of the original's host is obeyed, provided that the limits
        respect opt-outs; the engine's own thumbnails are fetched without it.

        Raises ``RejectedError`` when the address gives no picture, ``FailedError`` when all tries
        failed for reasons that may pass.
        """
        num_tries = self._limits.num_tries
        for num_failed in range(1, num_tries + 1):
            try:
                return await self._fetch_once(url, referer, robots)
            except FailedError as error:
                if num_failed == num_tries or error.reason in NOT_RETRIED_AT_ONCE:
                    raise
                pause_s = backoff.pause_s(error, num_failed, _FIRST_PAUSE_S, _MAX_PAUSE_S)
                await self._sleep(pause_s)
        raise AssertionError("the loop returns or raises")

    async def _fetch_once(self, url: str, referer: str, robots: bool) -> PictureFile:
        respect = robots and self._limits.respect_opt_out
        if respect and original_url(url) != url:
            await self._robots.check(split_url(original_url(url)))
        budget = _TimeBudget(self._limits.total_timeout_s)
        for _ in range(self._limits.max_redirects + 1):
            address = split_url(url)
            if respect:
                await self._robots.check(address)
            step = await self._fetch_step(address, referer, budget)
            if isinstance(step, PictureFile):
                return step
            url = urljoin(url, step)
        raise RejectedError(Reason.TOO_MANY_REDIRECTS)

    async def _fetch_step(
        self, address: Address, referer: str, budget: _TimeBudget
    ) -> PictureFile | str:
        """The picture, or the location that the address redirects to."""
        max_bytes = int(self._limits.max_megabytes * 1e6)
        response = await self._get(address, referer, budget, max_bytes)
        if response.status in _REDIRECTS:
            if "location" not in response.headers:
                raise RejectedError(Reason.REDIRECT_WITHOUT_LOCATION)
            return response.headers["location"]
        if response.status != 200:
            raise RejectedError(http_reason(response.status))
        if self._opts_out(response.headers):
            raise RejectedError(Reason.OPT_OUT)
        if not response.is_whole:
            raise RejectedError(Reason.TOO_LARGE)
        if not response.body:
            raise RejectedError(Reason.EMPTY)
        image_format = sniff(response.body)
        if image_format is None:
            raise RejectedError(Reason.NOT_AN_IMAGE)
        sha256 = hashlib.sha256(response.body).hexdigest()
        return PictureFile(response.body, sha256, image_format.extension)

    async def _fetch_text(self, address: Address) -> tuple[int, bytes]:
        budget = _TimeBudget(self._limits.total_timeout_s)
        for _ in range(self._limits.max_redirects + 1):
            response = await self._get(address, "", budget, _MAX_ROBOTS_BYTES)
            if response.status not in _REDIRECTS or "location" not in response.headers:
                return response.status, response.body
            address = split_url(urljoin(address.url, response.headers["location"]))
        raise RejectedError(Reason.TOO_MANY_REDIRECTS)

    async def _get(
        self, address: Address, referer: str, budget: _TimeBudget, max_bytes: int
    ) -> HttpResponse:
        """One request at its host's pace; the rate limiter learns how it ended."""
        limiter = self._limiters.of_site(address.site)
        await limiter.acquire(self._sleep)
        try:
            async with self._slots:
                response = await self._request(address, referer, budget, max_bytes)
        except FailedError as error:
            limiter.release(failed=True, pause_s=error.retry_after_s)
            raise
        except RejectedError:
            limiter.release(failed=False)
            raise
        limiter.release(failed=False)
        return response

    async def _request(
        self, address: Address, referer: str, budget: _TimeBudget, max_bytes: int
    ) -> HttpResponse:
        request_headers = list(_HEADERS)
        if referer.isascii() and referer.isprintable() and referer.startswith("http"):
            request_headers.append(f"Referer: {referer}")

        def body_limit(status: int, headers: Mapping[str, str]) -> int:
            if status != 200:
                return _MAX_ERROR_BYTES
            content_length = headers.get("content-length", "")
            too_large = content_length.isdecimal() and int(content_length[:20]) > max_bytes
            return 0 if too_large or self._opts_out(headers) else max_bytes

        try:
            with budget:
                response = await self._client.get(
                    address.url, request_headers, body_limit=body_limit, timeout_s=budget.left_s()
                )
        except FailedError as error:
            if error.reason == Reason.TIMEOUT and budget.left_s() < 0.01:
                raise FailedError(Reason.TOO_SLOW) from error
            raise
        if response.status == 429 or response.status >= 500:
            retry_after_s = backoff.retry_after_s(response.headers.get("retry-after"))
            raise FailedError(http_reason(response.status), retry_after_s)
        return response

    def _opts_out(self, headers: Mapping[str, str]) -> bool:
        tags = headers.get("x-robots-tag", "").lower()
        return self._limits.respect_opt_out and ("noai" in tags or "noimageai" in tags)


class _TimeBudget:
    """The time limit of all requests for one file; waiting for a host's turn does not count."""

    def __init__(self, seconds: float) -> None:
        self._left_s = seconds
        self._started_s = 0.0

    def left_s(self) -> float:
        """Seconds until the limit, a millisecond at least."""
        return max(self._left_s, 1e-3)

    def __enter__(self) -> None:
        self._started_s = time.monotonic()

    def __exit__(self, *_: object) -> None:
        self._left_s -= time.monotonic() - self._started_s


def _allow_any_ip(_ip: str) -> None:
    """The check of IP addresses when private hosts are allowed: it accepts every address."""
