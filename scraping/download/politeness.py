"""Manners towards hosts: a pace, a pause when they ask for one, and their robots.txt."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import TypeVar

from protego import Protego

from core.errors import TransientError
from scraping.download.sharding import ALL, Share
from scraping.download.ssrf import Address, RejectedError

ROBOT = "Suyan"
_BREAKER_FAILURES = 5  # in a row, before a host is left alone
_BREAKER_PAUSE_S = 60.0
_MAX_CRAWL_DELAY_S = 30.0
_MAX_HOSTS = 4096  # remembered at a time

Value = TypeVar("Value")
Sleep = Callable[[float], Awaitable[None]]


class Gate:
    """One host: the pace at which it is asked, and whether it is left alone for a while."""

    def __init__(self, interval_s: float) -> None:
        self.interval_s = interval_s
        self._next = 0.0
        self._failures = 0
        self._closed_until = 0.0

    async def enter(self, sleep: Sleep) -> None:
        """Wait for this request's turn. Raises ``TransientError("host-failing")`` when closed."""
        now = time.monotonic()
        if now < self._closed_until:
            raise TransientError("host-failing")
        turn = max(now, self._next)
        self._next = turn + self.interval_s
        if turn > now:
            await sleep(turn - now)

    def leave(self, *, failed: bool, pause_s: float | None = None) -> None:
        """Note how a request ended; ``pause_s`` is the host's own ``Retry-After``."""
        self._failures = self._failures + 1 if failed else 0
        if pause_s is not None:
            self._next = max(self._next, time.monotonic() + pause_s)
        if self._failures >= _BREAKER_FAILURES:
            self._closed_until = time.monotonic() + _BREAKER_PAUSE_S
            self._failures = 0


class Gates:
    """The gates of the hosts that were asked last."""

    def __init__(self, requests_per_s: float, share: Share = ALL) -> None:
        self._interval_s, self._share = 1 / requests_per_s, share
        self._gates: OrderedDict[str, Gate] = OrderedDict()

    def of(self, site: str) -> Gate:
        """The gate of this scheme, host and port."""
        return _remembered(
            self._gates, site, lambda: Gate(self._interval_s / self._share.part(site))
        )

    def slow_down(self, site: str, interval_s: float) -> None:
        """Leave at least so much time between two requests to this host, of all processes."""
        gate = self.of(site)
        gate.interval_s = max(gate.interval_s, interval_s / self._share.part(site))


class Robots:
    """What each host's robots.txt allows (RFC 9309), asked for once a host.

    ``get`` fetches an address and returns its status and the beginning of its body.
    """

    def __init__(
        self, get: Callable[[Address], Awaitable[tuple[int, bytes]]], gates: Gates
    ) -> None:
        self._get = get
        self._gates = gates
        self._rules: OrderedDict[str, asyncio.Future[Protego | None]] = OrderedDict()

    async def check(self, address: Address) -> None:
        """Raise ``RejectedError("robots")`` where the host does not want its pictures taken.

        A host without a robots.txt allows everything; one that fails to give it allows nothing
        for now, which is a ``TransientError("robots-unreachable")``.
        """
        reading = _remembered(
            self._rules, address.site, lambda: asyncio.ensure_future(self._read(address))
        )
        rules = reading.result() if reading.done() else await asyncio.shield(reading)
        if rules is not None and not rules.can_fetch(address.url, ROBOT):
            raise RejectedError("robots")

    async def _read(self, address: Address) -> Protego | None:
        """The rules of the address's host; ``None`` when it has none."""
        page = Address(address.scheme, address.host, address.port, "/robots.txt")
        try:
            status, body = await self._get(page)
        except RejectedError:  # e.g. it redirects in circles: there is none
            return None
        except TransientError as error:
            raise TransientError("robots-unreachable") from error
        if status != 200:
            return None
        rules = Protego.parse(body.decode("utf-8", errors="replace"))
        delay = rules.crawl_delay(ROBOT)
        if delay:
            self._gates.slow_down(address.site, min(float(delay), _MAX_CRAWL_DELAY_S))
        return rules


def _remembered(known: OrderedDict[str, Value], key: str, make: Callable[[], Value]) -> Value:
    """``known[key]``, made where missing; the key that was longest unused gives way."""
    if key not in known:
        if len(known) >= _MAX_HOSTS:
            known.popitem(last=False)
        known[key] = make()
    known.move_to_end(key)
    return known[key]
