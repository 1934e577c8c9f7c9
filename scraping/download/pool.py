"""Several processes that download for one crawl, as one."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import replace
from types import TracebackType
from typing import Self

from scraping.catalogue.entities import Attempt, Errand, Finished
from scraping.download.client import Downloading, Job
from scraping.download.sharding import first_of


class Crew:
    """Gives each errand to the one of ``members`` that has its host, and hands on those that need
    another's; an asynchronous context manager.

    Member k has ``Share(k, len(members))``.
    """

    def __init__(self, members: Sequence[Downloading]) -> None:
        self._members = members
        self._stack = contextlib.AsyncExitStack()
        self._inbox: asyncio.Queue[tuple[int, list[Finished] | Exception]] = asyncio.Queue()
        self._jobs: dict[int, tuple[Errand, dict[str, Attempt]]] = {}  # by number of the hit
        self._begun: dict[int, list[Attempt]] = {}  # tries of errands that were handed on
        self._maker: dict[int, int] = {}  # hits whose outcome came → the member that obtained them
        self._listeners: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        async with contextlib.AsyncExitStack() as stack:
            for member in self._members:
                await stack.enter_async_context(member)
            self._stack = stack.pop_all()
        self._listeners = [
            asyncio.create_task(self._listen(number)) for number in range(len(self._members))
        ]
        return self

    async def __aexit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for listener in self._listeners:
            listener.cancel()
        await asyncio.gather(*self._listeners, return_exceptions=True)
        await self._stack.aclose()

    async def _listen(self, number: int) -> None:
        try:
            while True:
                await self._inbox.put((number, await self._members[number].finished()))
        except Exception as error:  # told to whoever waits for us
            await self._inbox.put((number, error))

    def ask(self, jobs: Sequence[Job]) -> None:
        """Have these errands run."""
        parts: dict[int, list[Job]] = {}
        for errand, known in jobs:
            self._jobs[errand.hit] = errand, dict(known)
            url = errand.candidates[0][1] if errand.candidates else ""
            parts.setdefault(first_of(url, len(self._members)), []).append((errand, known))
        for number, part in parts.items():
            self._members[number].ask(part)

    def saved(self, finished: Sequence[Finished]) -> None:
        """Tell that these are in the catalogue and their originals in place."""
        parts: dict[int, list[Finished]] = {}
        for one in finished:
            took_part = {first_of(attempt.url, len(self._members)) for attempt in one.attempts}
            for number in took_part | {self._maker.pop(one.outcome.hit)}:
                parts.setdefault(number, []).append(one)
        for number, part in parts.items():
            self._members[number].saved(part)

    async def finished(self) -> list[Finished]:
        """The next errands that came to their end, as of one process that downloads."""
        while True:
            number, came = await self._inbox.get()
            if isinstance(came, Exception):
                raise came
            done = [self._ended(number, one) for one in came if not self._handed_on(one)]
            if done:
                return done

    def _handed_on(self, one: Finished) -> bool:
        if not one.next_url:
            return False
        errand, known = self._jobs[one.outcome.hit]
        self._begun.setdefault(errand.hit, []).extend(one.attempts)
        known |= {attempt.url: attempt for attempt in one.attempts}
        self._members[first_of(one.next_url, len(self._members))].ask([(errand, known)])
        return True

    def _ended(self, number: int, one: Finished) -> Finished:
        hit = one.outcome.hit
        self._jobs.pop(hit, None)
        self._maker[hit] = number
        return replace(one, attempts=[*self._begun.pop(hit, []), *one.attempts])
