"""Downloads: a process of their own, as the one that keeps the catalogue sees it.

``worker.py`` is what runs there. The two speak in pickles over a pipe that nobody else can reach,
each behind its length.
"""

from __future__ import annotations

import asyncio
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol, Self

from core.errors import TransientError
from core.workspace import Workspace
from scraping.catalogue.entities import Attempt, Errand, Finished
from scraping.download.limits import Limits
from scraping.download.sharding import ALL, Share

_LENGTH_BYTES = 8
_PATIENCE_S = 5.0
_PROGRAM = "from scraping.download.worker import main; main()"

Job = tuple[Errand, Mapping[str, Attempt]]
"""An errand, with earlier tries by address."""


@dataclass(frozen=True)
class Settings:
    """What the other process is told first."""

    limits: Limits
    workspace: Workspace
    tombstones: set[tuple[str, str]]
    share: Share = ALL


@dataclass(frozen=True)
class Saved:
    """What is in the catalogue and in its place by now."""

    urls: list[str]
    paths: list[str]

    @classmethod
    def of(cls, finished: Sequence[Finished]) -> Self:
        """What is to be said of these."""
        urls = [attempt.url for one in finished for attempt in one.attempts]
        return cls(urls, [one.outcome.path for one in finished])


class Downloading(Protocol):
    """Whoever downloads for a crawl; an asynchronous context manager."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None: ...

    def ask(self, jobs: Sequence[Job]) -> None:
        """Have these errands run."""

    def saved(self, finished: Sequence[Finished]) -> None:
        """Tell that these are in the catalogue and their originals in place."""

    async def finished(self) -> list[Finished]:
        """The next errands that came to their end."""


Downloader = Callable[[Settings], Downloading]


class Downloads:
    """The other process, as the one that asks sees it; an asynchronous context manager."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-c", _PROGRAM),  # no module of the working folder
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._writer, self._reader = self._process.stdin, self._process.stdout
        self._writer.write(framed(self._settings))
        return self

    async def __aexit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._writer.close()  # it ends with what it was doing
        try:
            await asyncio.wait_for(self._process.wait(), _PATIENCE_S)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()

    def ask(self, jobs: Sequence[Job]) -> None:
        """Have these errands run."""
        if jobs:
            self._writer.write(framed(list(jobs)))

    def saved(self, finished: Sequence[Finished]) -> None:
        """Tell that these are in the catalogue and their originals in place."""
        self.told(Saved.of(finished))

    def told(self, saved: Saved) -> None:
        """The same, in fewer words."""
        self._writer.write(framed(saved))

    async def finished(self) -> list[Finished]:
        """The next errands that came to their end.

        Raises what ended the other process: ``OSError`` when its disk is full, ``TransientError``
        when it was killed.
        """
        try:
            message = await read(self._reader)
        except (asyncio.IncompleteReadError, ConnectionError):
            code = await self._process.wait()
            raise TransientError(
                f"the process that downloads ended by itself ({_ending(code)}). Everything stored "
                "is kept; the same command goes on"
            ) from None
        if isinstance(message, Exception):
            raise message
        assert isinstance(message, list)
        return message


def _ending(code: int) -> str:
    if code >= 0:
        return f"exit status {code}"
    return f"{signal.Signals(-code).name}: out of memory?"


def framed(message: Any) -> bytes:
    """The message as it goes through the pipe."""
    body = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
    return len(body).to_bytes(_LENGTH_BYTES) + body


async def read(reader: asyncio.StreamReader) -> Any:
    """The next message. Raises ``asyncio.IncompleteReadError`` when the other side is gone."""
    length = int.from_bytes(await reader.readexactly(_LENGTH_BYTES))
    return pickle.loads(await reader.readexactly(length))  # noqa: S301 - from our own process
