"""Politeness towards hosts: a rate limit, pauses when they ask for one, and their robots.txt."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import TypeVar

from protego import Protego

from core.errors import TransientError
from scraping.download.sharding import ALL_HOSTS, HostShard
from scraping.download.ssrf import Address
from scraping.failure_reasons import FailedError, Reason, RejectedError

ROBOT = "Suyan"
"""The user agent for which robots.txt may have rules."""

_BREAKER_FAILURES = 5  # in a row, before requests to a host are suspended
_BREAKER_PAUSE_S = 60.0
_MAX_CRAWL_DELAY_S = 30.0
_MAX_CACHED_HOSTS = 4096
_OF_THE_NAME = {Reason.HOST_UNKNOWN, Reason.PRIVATE_ADDRESS}  # robots.txt is not the cause

Value = TypeVar("Value")
Sleep = Callable[[float], Awaitable[None]]


class RateLimiter:
    """The pace of requests to one host, and a circuit breaker for when it keeps failing."""

    def __init__(self, interval_s: float) -> None:
        self.interval_s = interval_s
        self._next_request_s = 0.0  # by the monotonic clock, as below
        self._num_failures = 0
        self._suspended_until_s = 0.0

    async def acquire(self, sleep: Sleep) -> None:
        """Wait for this request's turn.

        Raises ``FailedError`` (``host-failing``) while requests to the host are suspended.
        """
        now = time.monotonic()
        if now < self._suspended_until_s:
            raise FailedError(Reason.HOST_FAILING)
        turn = max(now, self._next_request_s)
        self._next_request_s = turn + self.interval_s
        if turn > now:
            await sleep(turn - now)

    def release(self, *, failed: bool, pause_s: float | None = None) -> None:
        """Record the outcome of a request; ``pause_s`` is the host's own ``Retry-After``."""
        self._num_failures = self._num_failures + 1 if failed else 0
        if pause_s is not None:
            self._next_request_s = max(self._next_request_s, time.monotonic() + pause_s)
        if self._num_failures >= _BREAKER_FAILURES:
            self._suspended_until_s = time.monotonic() + _BREAKER_PAUSE_S
            self._num_failures = 0


class RateLimiters:
    """The rate limiters of the most recently used hosts."""

    def __init__(self, requests_per_s: float, shard: HostShard = ALL_HOSTS) -> None:
        self._interval_s, self._shard = 1 / requests_per_s, shard
        self._limiters: OrderedDict[str, RateLimiter] = OrderedDict()

    def of_site(self, site: str) -> RateLimiter:
        """The rate limiter of this scheme, host and port."""
        interval_s = self._interval_s / self._shard.rate_share(site)
        return _cached(self._limiters, site, lambda: RateLimiter(interval_s))

    def slow_down(self, site: str, interval_s: float) -> None:
        """Leave at least ``interval_s`` between two requests to ``site``, of all processes."""
        limiter = self.of_site(site)
        limiter.interval_s = max(limiter.interval_s, interval_s / self._shard.rate_share(site))


class Referers:
    """The ``Referer`` values to try for a picture; what a site served before comes first."""

    def __init__(self) -> None:
        self._served: OrderedDict[str, str] = OrderedDict()  # by site

    def of_site(self, site: str, page_url: str) -> list[str]:
        """The page that shows the picture, the site's own origin, and none; each once."""
        own = f"{site}/"
        values = [page_url, own, ""]
        if site in self._served:
            values.insert(0, self._served[site])
        return list(dict.fromkeys(values))

    def remember(self, site: str, value: str) -> None:
        """Note that the site answered a request with ``value``, which is ours and no page's."""
        if value in {"", f"{site}/"}:
            _cached(self._served, site, lambda: value)


class RobotsRules:
    """The rules of each host's robots.txt (RFC 9309), which is fetched once per host.

    ``fetch`` returns the status and the beginning of the body of an address.
    """

    def __init__(
        self, fetch: Callable[[Address], Awaitable[tuple[int, bytes]]], limiters: RateLimiters
    ) -> None:
        self._fetch = fetch
        self._limiters = limiters
        self._rules: OrderedDict[str, asyncio.Future[Protego | None]] = OrderedDict()

    async def check(self, address: Address) -> None:
        """Raise ``RejectedError`` (``robots``) where robots.txt forbids the address.

        A host without a robots.txt allows everything. Raises ``FailedError``
        (``robots-unreachable``) where robots.txt cannot be fetched.
        """
        rules_future = _cached(
            self._rules, address.site, lambda: asyncio.ensure_future(self._load(address))
        )
        rules = rules_future.result() if rules_future.done() else await asyncio.shield(rules_future)
        if rules is not None and not rules.can_fetch(address.url, ROBOT):
            raise RejectedError(Reason.ROBOTS)

    async def _load(self, address: Address) -> Protego | None:
        """The rules of the address's host; ``None`` when it has none."""
        page = Address(address.scheme, address.host, address.port, "/robots.txt")
        try:
            status, body = await self._fetch(page)
        except RejectedError:  # e.g. too many redirects: the host has no robots.txt
            return None
        except TransientError as error:
            if isinstance(error, FailedError) and error.reason in _OF_THE_NAME:
                raise
            raise FailedError(Reason.ROBOTS_UNREACHABLE) from error
        if status != 200:
            return None
        rules = Protego.parse(body.decode("utf-8", errors="replace"))
        delay = rules.crawl_delay(ROBOT)
        if delay:
            self._limiters.slow_down(address.site, min(float(delay), _MAX_CRAWL_DELAY_S))
        return rules


def _cached(cache: OrderedDict[str, Value], key: str, build: Callable[[], Value]) -> Value:
    """``cache[key]``, built where missing; the least recently used key is dropped when full."""
    if key not in cache:
        if len(cache) >= _MAX_CACHED_HOSTS:
            cache.popitem(last=False)
        cache[key] = build()
    cache.move_to_end(key)
    return cache[key]
