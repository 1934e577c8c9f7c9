"""Fetching pictures from addresses that strangers chose: nothing about them is trusted.

Only http(s); a name is resolved once, its addresses are checked, and those very addresses are
connected to, at each redirect anew. Redirects, bytes and times are limited; the content decides
what it is. One event loop does it all: ``requests`` would need one thread a transfer.
"""

from __future__ import annotations

import asyncio
import hashlib
import socket
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Self
from urllib.parse import urljoin

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver
from yarl import URL

from scraping import backoff
from scraping.address import Address, RejectedError, literal_ip, origin, refuse_private, split
from scraping.config import CrawlConfig
from scraping.hosts import Gates, Robots, Sleep
from scraping.records import TransientError

_USER_AGENT = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0 "
    "Safari/537.36 Suyan/0.1"
)
_CHUNK = 262_144
_MAX_ROBOTS_BYTES = 512_000
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

    def __init__(self, config: CrawlConfig, sleep: Sleep = asyncio.sleep) -> None:
        self._config = config
        self._sleep = sleep
        self._gates = Gates(config.requests_per_s_per_host)
        self._robots = Robots(self._get_text, self._gates)
        self._transfers = asyncio.Semaphore(config.num_workers)

    async def __aenter__(self) -> Self:
        config = self._config
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                resolver=_PublicResolver(allow_private=config.allow_private_hosts),
                limit=config.num_workers,
                keepalive_timeout=15,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            read_bufsize=_CHUNK,
            headers={
                "User-Agent": _USER_AGENT,
                "Accept": "image/*,*/*;q=0.8",
                "Accept-Encoding": "identity",
            },
        )
        return self

    async def __aexit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._session.close()

    async def fetch(self, url: str, referer: str = "", *, robots: bool = True) -> Fetched:
        """The picture at ``url``.

        With ``robots`` the robots.txt of the origin host is obeyed (where the configuration
        respects opt-outs at all); the engine's own thumbnails are asked for without.

        Raises ``RejectedError`` when there is none to be had (its text is the reason, e.g.
        ``http-404``), ``TransientError`` when all tries failed for reasons that may pass.
        """
        tries = self._config.num_tries
        for num_failed in range(1, tries + 1):
            try:
                return await self._fetch_once(url, referer, robots)
            except TransientError as error:
                if num_failed == tries or str(error) in _NOT_AT_ONCE:
                    raise
                await self._sleep(backoff.pause_s(error, num_failed, 0.5, 20))
        raise AssertionError("the loop returns or raises")

    async def _fetch_once(self, url: str, referer: str, robots: bool) -> Fetched:
        respect = robots and self._config.respect_opt_out
        if respect and origin(url) != url:
            await self._robots.check(split(origin(url)))
        budget = _Budget(self._config.total_timeout_s)
        for _ in range(self._config.max_redirects + 1):
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
        limit = int(self._config.max_megabytes * 1e6)
        answer = await self._get(address, referer, budget, limit)
        if answer.status in _REDIRECTS:
            if not answer.location:
                raise RejectedError("redirect-without-location")
            return answer.location
        if answer.status != 200:
            raise RejectedError(f"http-{answer.status}")
        if not answer.body:
            raise RejectedError("empty")
        extension = sniff(answer.body)
        if extension is None:
            raise RejectedError("not-an-image")
        return Fetched(answer.body, hashlib.sha256(answer.body).hexdigest(), extension)

    async def _get_text(self, address: Address) -> tuple[int, bytes]:
        budget = _Budget(self._config.total_timeout_s)
        for _ in range(self._config.max_redirects + 1):
            answer = await self._get(address, "", budget, _MAX_ROBOTS_BYTES)
            if answer.status not in _REDIRECTS or not answer.location:
                return answer.status, answer.body
            address = split(urljoin(address.url, answer.location))
        raise RejectedError("too-many-redirects")

    async def _get(self, address: Address, referer: str, budget: _Budget, limit: int) -> _Answer:
        """One request in its host's turn; how it ends is noted at the host's gate."""
        ip = literal_ip(address.host)  # aiohttp asks no resolver for these
        if ip and not self._config.allow_private_hosts:
            refuse_private(ip)
        gate = self._gates.of(address.site)
        await gate.enter(self._sleep)
        try:
            async with self._transfers:
                answer = await self._request(address, referer, budget, limit)
        except TransientError as error:
            gate.leave(failed=True, pause_s=error.retry_after_s)
            raise
        except aiohttp.InvalidURL:
            raise RejectedError("bad-address") from None
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            gate.leave(failed=True)
            raise TransientError(_network_reason(error, budget)) from error
        except RejectedError:
            gate.leave(failed=False)
            raise
        gate.leave(failed=False)
        return answer

    async def _request(
        self, address: Address, referer: str, budget: _Budget, limit: int
    ) -> _Answer:
        config = self._config
        headers = {}
        if referer.isascii() and referer.isprintable() and referer.startswith("http"):
            headers["Referer"] = referer
        timeout = aiohttp.ClientTimeout(
            total=budget.left_s(),
            sock_connect=config.connect_timeout_s,
            sock_read=config.read_timeout_s,
        )
        with budget:
            async with self._session.get(
                URL(address.url, encoded=True),
                allow_redirects=False,
                headers=headers,
                timeout=timeout,
            ) as answer:
                try:
                    return await self._read(answer, limit)
                except BaseException:
                    answer.close()  # the rest of a refused body is not read
                    raise

    async def _read(self, answer: aiohttp.ClientResponse, limit: int) -> _Answer:
        status = answer.status
        if status == 429 or status >= 500:
            wish = backoff.retry_after(answer.headers.get("Retry-After"))
            raise TransientError(f"http-{status}", wish)
        if status != 200:
            return _Answer(status, b"", answer.headers.get("Location", ""))
        tags = ",".join(answer.headers.getall("X-Robots-Tag", [])).lower()
        if self._config.respect_opt_out and ("noai" in tags or "noimageai" in tags):
            raise RejectedError("opt-out")
        if (answer.content_length or 0) > limit:
            raise RejectedError("too-large")
        chunks, size = [], 0
        async for chunk in answer.content.iter_chunked(_CHUNK):
            chunks.append(chunk)
            size += len(chunk)
            if size > limit:
                raise RejectedError("too-large")
        return _Answer(status, chunks[0] if len(chunks) == 1 else b"".join(chunks), "")


@dataclass(frozen=True)
class _Answer:
    status: int
    body: bytes
    location: str


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


class _PublicResolver(AbstractResolver):
    """Resolves a name once and hands out its addresses if all of them may be connected to."""

    def __init__(self, *, allow_private: bool) -> None:
        self._allow_private = allow_private
        self._names = ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        try:
            found = await self._names.resolve(host, port, family)
        except (OSError, UnicodeError):
            raise RejectedError("host-unknown") from None
        if not self._allow_private:
            for entry in found:
                refuse_private(entry["host"])
        return found

    async def close(self) -> None:
        await self._names.close()


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


def _network_reason(error: Exception, budget: _Budget) -> str:
    if isinstance(error, TimeoutError):
        return "too-slow" if budget.left_s() <= 0.01 else "timeout"
    if isinstance(error, aiohttp.ClientPayloadError):
        return "cut-short"
    if isinstance(error, aiohttp.ClientSSLError):
        return "tls-failed"
    return "connection-failed"
