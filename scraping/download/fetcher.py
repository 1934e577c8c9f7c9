"""Downloads of pictures from untrusted addresses.

Only http(s) is allowed. A host name is resolved once, its IP addresses are checked, and one of
these very addresses is connected to; a redirect is treated in the same way. With a proxy the name
is checked before the request (``ssrf.HostCheck``). Redirects, bytes and times are limited, and the
content decides which format a file has. Everything runs in one event loop: ``requests`` would need
a thread per transfer.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self
from urllib.parse import urljoin

from core.image_formats import sniff
from core.proxies import Proxies
from scraping import backoff
from scraping.content_encoding import TooLongError, decode_body
from scraping.download.completeness import has_end
from scraping.download.cookies import RedirectCookies
from scraping.download.curl import CurlClient
from scraping.download.lenient_http import get_leniently
from scraping.download.limits import DownloadLimits
from scraping.download.politeness import RateLimiters, Referers, RobotsRules, Sleep
from scraping.download.sharding import ALL_HOSTS, HostShard
from scraping.download.ssrf import (
    Address,
    HostCheck,
    is_fixed,
    original_url,
    refuse_private,
    split_url,
)
from scraping.failure_reasons import (
    NOT_RETRIED_AT_ONCE,
    FailedError,
    Reason,
    RejectedError,
    http_reason,
    may_pass,
)
from scraping.transfer import BodyLimit, HttpResponse

_USER_AGENT = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0 "
    "Safari/537.36 Suyan/0.1"
)
_HEADERS = (f"User-Agent: {_USER_AGENT}", "Accept: image/*,*/*;q=0.8", "Accept-Encoding: identity")
_MAX_ROBOTS_BYTES = 512_000
_MAX_ERROR_BYTES = 65_536  # of an error page; reading it lets the connection be used again
_REDIRECTS = {301, 302, 303, 307, 308}
_SUCCESSES = {200, 203}  # the latter from a proxy that changed something
_FORBIDDEN = 403
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
        self._check_ip = _allow_any_ip if limits.allow_private_hosts else refuse_private
        self._proxies = Proxies.from_environment()
        self._host_check = HostCheck(self._check_ip, limits.connect_timeout_s)
        self._referers = Referers()
        self._client = CurlClient(
            self._check_ip,
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
        first = address = split_url(url)
        cookies = RedirectCookies()
        for _ in range(self._limits.max_redirects + 1):
            if respect:
                await self._robots.check(address)
            response = await self._get_as_browser(address, referer, cookies, budget)
            if response.status in _REDIRECTS:
                cookies.take(address, response.headers)
                address = _redirect_target(address, response)
            else:
                return self._picture(response, is_moved=address.host != first.host)
        raise RejectedError(Reason.TOO_MANY_REDIRECTS, self._limits.max_redirects)

    async def _get_as_browser(
        self, address: Address, referer: str, cookies: RedirectCookies, budget: _TimeBudget
    ) -> HttpResponse:
        """The response to a request with the cookies and the referer that a browser would send.

        Where the host forbids that one (403), its own origin is sent, and then none, as many hosts
        serve their pictures only on their own pages.
        """
        if not (referer.isascii() and referer.isprintable() and referer.startswith("http")):
            referer = ""
        max_bytes = int(self._limits.max_megabytes * 1e6)
        for value in self._referers.of_site(address.site, referer):
            lines = [*([f"Referer: {value}"] if value else []), *cookies.lines(address)]
            response = await self._get(address, lines, budget, max_bytes)
            if response.status != _FORBIDDEN:
                self._referers.remember(address.site, value)
                break
        return response

    def _picture(self, response: HttpResponse, *, is_moved: bool) -> PictureFile:
        """The picture in the final response; ``is_moved``: another host gave it."""
        if response.status not in _SUCCESSES:
            reason = http_reason(response.status)
            is_challenge = "cf-mitigated" in response.headers  # of us, whatever the picture is
            passes = is_challenge or may_pass(reason)
            raise FailedError(reason) if passes else RejectedError(reason)
        if self._opts_out(response.headers):
            raise RejectedError(Reason.OPT_OUT)
        if not response.is_whole:
            raise self._too_large()
        if not response.body:
            raise RejectedError(Reason.EMPTY)
        body = response.body
        image_format = sniff(body)
        if image_format is None:
            body = self._decoded(response)
            image_format = sniff(body)
        if image_format is None:
            error = FailedError if is_moved else RejectedError  # a portal may stand in its place
            raise error(Reason.NOT_AN_IMAGE)
        sha256 = hashlib.sha256(body).hexdigest()
        return PictureFile(body, sha256, image_format.extension)

    def _decoded(self, response: HttpResponse) -> bytes:
        """The body without its content encoding, which some hosts apply though we ask for none."""
        max_bytes = int(self._limits.max_megabytes * 1e6)
        try:
            return decode_body(
                response.body, response.headers.get("content-encoding", ""), max_bytes
            )
        except TooLongError:
            raise self._too_large() from None

    def _too_large(self) -> RejectedError:
        return RejectedError(Reason.TOO_LARGE, int(self._limits.max_megabytes * 1e6))

    async def _fetch_text(self, address: Address) -> tuple[int, bytes]:
        budget = _TimeBudget(self._limits.total_timeout_s)
        for _ in range(self._limits.max_redirects + 1):
            response = await self._get(address, (), budget, _MAX_ROBOTS_BYTES)
            if response.status not in _REDIRECTS or "location" not in response.headers:
                return response.status, self._decoded(response)
            address = _redirect_target(address, response)
        raise RejectedError(Reason.TOO_MANY_REDIRECTS)

    async def _get(
        self, address: Address, lines: Sequence[str], budget: _TimeBudget, max_bytes: int
    ) -> HttpResponse:
        """One request at its host's pace; the rate limiter learns how it ended."""
        limiter = self._limiters.of_site(address.site)
        await limiter.acquire(self._sleep)
        try:
            async with self._slots:
                response = await self._request(address, lines, budget, max_bytes)
        except FailedError as error:
            limiter.release(failed=True, pause_s=error.retry_after_s)
            raise
        except RejectedError:
            limiter.release(failed=False)
            raise
        limiter.release(failed=False)
        return response

    async def _request(
        self, address: Address, lines: Sequence[str], budget: _TimeBudget, max_bytes: int
    ) -> HttpResponse:
        proxy = self._proxies.of(address.scheme, address.host, address.port)

        def body_limit(status: int, headers: Mapping[str, str]) -> int:
            if status not in _SUCCESSES:
                return _MAX_ERROR_BYTES
            content_length = headers.get("content-length", "")
            too_large = content_length.isdecimal() and int(content_length[:20]) > max_bytes
            return 0 if too_large or self._opts_out(headers) else max_bytes

        try:
            if proxy:
                await self._host_check.check(address.host)
            with budget:
                response = await self._transfer(
                    address, [*_HEADERS, *lines], body_limit, budget.left_s(), proxy
                )
            if response.status in _SUCCESSES and response.failure and not has_end(response.body):
                raise response.failure
        except FailedError as error:
            if error.reason == Reason.TIMEOUT and budget.left_s() < 0.01:
                raise FailedError(Reason.TOO_SLOW) from error
            raise
        except RejectedError as error:
            if error.reason == Reason.PRIVATE_ADDRESS and not is_fixed(address.host):
                raise FailedError(Reason.PRIVATE_ADDRESS) from error  # a name gets new addresses
            raise
        if response.status >= 400 and may_pass(http_reason(response.status)):
            retry_after_s = backoff.retry_after_s(response.headers.get("retry-after"))
            raise FailedError(http_reason(response.status), retry_after_s)
        return response

    async def _transfer(
        self,
        address: Address,
        headers: Sequence[str],
        body_limit: BodyLimit,
        timeout_s: float,
        proxy: str,
    ) -> HttpResponse:
        """The response, read a second time leniently where libcurl refuses its look."""
        started_s = time.monotonic()
        try:
            return await self._client.get(
                address.url, headers, body_limit=body_limit, timeout_s=timeout_s, proxy=proxy
            )
        except FailedError as error:
            if error.reason != Reason.BAD_RESPONSE or proxy:
                raise
        return await get_leniently(
            address,
            headers,
            check_ip=self._check_ip,
            body_limit=body_limit,
            timeout_s=timeout_s - (time.monotonic() - started_s),
        )

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


def _redirect_target(address: Address, response: HttpResponse) -> Address:
    """The address that a response redirects to. Raises ``RejectedError`` where it names none."""
    location = response.headers.get("location", "")
    if not location:
        raise RejectedError(Reason.REDIRECT_WITHOUT_LOCATION)
    try:
        return split_url(urljoin(address.url, location))
    except ValueError:  # e.g. a bracket without its pair
        raise RejectedError(Reason.BAD_ADDRESS) from None


def _allow_any_ip(_ip: str) -> None:
    """The check of IP addresses when private hosts are allowed: it accepts every address."""
