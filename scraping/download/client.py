"""The parent's side of the downloading process; ``worker.py`` runs inside it.

Only these two processes can reach the pipes between them. A message is a pickle, preceded by its
length.
"""

from __future__ import annotations

import asyncio
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol, Self

from core.errors import TransientError
from core.language.messages import localised
from core.workspace import Workspace
from scraping.catalogue.entities import DownloadResult, DownloadTask
from scraping.download.limits import DownloadLimits
from scraping.download.sharding import ALL_HOSTS, HostShard

_LENGTH_BYTES = 8
_EXIT_TIMEOUT_S = 5.0
_PROGRAM = "from scraping.download.worker import main; main()"


@dataclass(frozen=True)
class DownloadSettings:
    """The settings of a downloading process; its first message."""

    limits: DownloadLimits
    workspace: Workspace
    tombstones: set[tuple[str, str]]  # (kind, value)
    shard: HostShard = ALL_HOSTS


@dataclass(frozen=True)
class SavedDownloads:
    """A message to the process: addresses whose attempts are in the catalogue, and originals that
    have their names.
    """

    urls: list[str]
    paths: list[str]

    @classmethod
    def from_results(cls, results: Sequence[DownloadResult]) -> Self:
        """The addresses and the originals of these results."""
        urls = [attempt.url for result in results for attempt in result.attempts]
        return cls(urls, [result.path for result in results])


class Downloader(Protocol):
    """Downloads for a crawl; an asynchronous context manager."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None: ...

    def submit(self, tasks: Sequence[DownloadTask]) -> None:
        """Start these tasks."""

    def mark_saved(self, results: Sequence[DownloadResult]) -> None:
        """Report that the catalogue has these results, and originals their names."""

    async def next_results(self) -> list[DownloadResult]:
        """Wait for the results of the next tasks that end."""


DownloaderFactory = Callable[[DownloadSettings], Downloader]


class DownloadProcess:
    """A ``Downloader`` that is a process of its own on this machine."""

    def __init__(self, settings: DownloadSettings) -> None:
        self._settings = settings
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-c", _PROGRAM),  # -P: import nothing from the working folder
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._send(self._settings)
        return self

    async def __aexit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.close()  # the process cancels its tasks and ends
        try:
            await asyncio.wait_for(self._process.wait(), _EXIT_TIMEOUT_S)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()

    def submit(self, tasks: Sequence[DownloadTask]) -> None:
        """Start these tasks."""
        if tasks:
            self._send(list(tasks))

    def mark_saved(self, results: Sequence[DownloadResult]) -> None:
        """Report that the catalogue has these results, and originals their names."""
        self.send_saved(SavedDownloads.from_results(results))

    def send_saved(self, saved: SavedDownloads) -> None:
        """Report these as saved; their results may be on another machine."""
        self._send(saved)

    async def next_results(self) -> list[DownloadResult]:
        """Wait for the results of the next tasks that end.

        Raises the error that ended the process: ``OSError`` when its disk is full,
        ``TransientError`` when it was killed.
        """
        assert self._process is not None
        assert self._process.stdout is not None
        try:
            message = await read_message(self._process.stdout)
        except (asyncio.IncompleteReadError, ConnectionError):
            code = await self._process.wait()
            raise TransientError(
                localised(
                    "the downloading process ended unexpectedly ({exit_cause}). Everything "
                    "stored so far is kept; run the same command again to go on",
                    exit_cause=_exit_cause(code),
                )
            ) from None
        if isinstance(message, Exception):
            raise message
        assert isinstance(message, list)
        return message

    def _send(self, message: Any) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(encode_message(message))


def _exit_cause(code: int) -> str:
    if code >= 0:
        return f"exit status {code}"
    return f"{signal.Signals(-code).name}: out of memory?"


def encode_message(message: Any) -> bytes:
    """The message as bytes for the pipe."""
    body = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
    return len(body).to_bytes(_LENGTH_BYTES) + body


async def read_message(reader: asyncio.StreamReader) -> Any:
    """The next message. Raises ``asyncio.IncompleteReadError`` when the other side is gone."""
    length = int.from_bytes(await reader.readexactly(_LENGTH_BYTES))
    return pickle.loads(await reader.readexactly(length))  # noqa: S301 - sent by our own process
