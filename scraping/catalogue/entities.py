"""The values that the catalogue stores: rounds, cursors, tasks, attempts and results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Self

FILE_ENGINE = "file:"
"""In place of a search engine: what begins the "engine" of the files of a folder or an archive.

Its path follows. The key of such a hit is the file's path there, "//", its time of change in
nanoseconds, "-" and its bytes, so that a changed file is another hit.
"""

LIST_ENGINE = "list"
"""In place of a search engine: the "engine" of the addresses of a person's lists."""


class Status(StrEnum):
    """The outcome of a hit, or of one attempt to download an address."""

    OK = "ok"
    REJECTED = "rejected"  # final
    FAILED = "failed"  # for a reason that may pass


class StopReason(StrEnum):
    """The reason why a phrase is not read any further in this round."""

    EXHAUSTED = "exhausted"  # the engine has no more hits
    REPEATS = "repeats"  # page after page repeats hits of this phrase
    NOTHING_NEW = "nothing-new"  # page after page repeats hits of this crawl
    PAGE_LIMIT = "page-limit"  # max_pages
    QUOTA = "quota"  # max_images_per_phrase
    ENOUGH = "enough"  # the crawl had num_images before; never stored with a cursor
    BLOCKED = "blocked"  # the engine refused
    UNREACHABLE = "unreachable"  # the engine did not answer
    FORMAT = "format"  # the engine's answer could not be read
    ALL_READ = "all-read"  # of a folder, an archive or a list
    MISSING = "missing"  # a folder, an archive or a list was not there

    @property
    def may_pass(self) -> bool:
        """Whether the next run tries the phrase again."""
        return self in {
            StopReason.BLOCKED, StopReason.UNREACHABLE, StopReason.FORMAT, StopReason.MISSING
        }  # fmt: skip


@dataclass(frozen=True)
class Stop:
    """The reason why a phrase stopped; ``detail`` is the engine's error, a note about a source, or
    "".

    On disk it is one text, ``reason`` or ``reason: detail``.
    """

    reason: StopReason
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}" if self.detail else str(self.reason)

    @classmethod
    def parse(cls, text: str) -> Self:
        """The stop that was stored as ``text``. Raises ``ValueError`` for an unknown text."""
        reason, _, detail = text.partition(": ")
        return cls(StopReason(reason), detail)


@dataclass(frozen=True)
class Round:
    """One reading of a crawl's phrases from the top; each refresh begins another one."""

    number: int
    target: int  # originals that the crawl should have at its end
    started_at: float  # s since 1970, here and below
    finished_at: float | None


@dataclass(frozen=True)
class Cursor:
    """The position of a phrase of a crawl in this round, and the reason why it stopped there."""

    phrase: str
    offset: int = 0  # hits to skip at the next request
    frontier: int = 0  # offset at which an earlier round stopped before the end; 0: none did
    pages: int = 0
    hits: int = 0
    new: int = 0  # hits that the crawl had not seen before
    stored: int = 0  # originals that this phrase was the first to find
    stale_pages: int = 0  # pages in a row without a new hit
    stop: Stop | None = None  # None while it may go on

    @property
    def is_cut_short(self) -> bool:
        """Whether the engine refused, did not answer, or answered something that cannot be read, so
        that the phrase is tried again.
        """
        return self.stop is not None and self.stop.reason.may_pass


@dataclass(frozen=True)
class PageYield:
    """The counts of a page of hits, compared with the hits that the crawl has seen."""

    num_new: int  # hits that the crawl had not seen
    num_repeated: int  # hits that this phrase has shown in this round already


@dataclass(frozen=True)
class Attempt:
    """One try to download an address."""

    url: str
    host: str
    at: float
    seconds: float
    status: str  # a Status
    reason: str  # "" or a code of failure_reasons.py
    num_bytes: int = 0  # of the file; of a rejection by a limit: that limit
    sha256: str = ""
    extension: str = ""


@dataclass(frozen=True)
class DownloadTask:
    """A hit to be downloaded: its addresses are tried in order until one gives a picture."""

    hit: int
    phrase: str  # the first one that showed it
    page_url: str
    candidates: tuple[tuple[str, str], ...]  # (field of the hit, address), the best first
    earlier: Mapping[str, Attempt] = field(default_factory=dict)  # final attempts, by address


@dataclass(frozen=True)
class DownloadResult:
    """The outcome of a task, with its attempts.

    ``draft`` is the temporary file of an original that is new here; it gets the name ``path`` when
    the result is saved. ``next_url`` is set when the task goes on in another downloading process,
    which owns the host of that address.
    """

    hit: int
    phrase: str
    status: str  # a Status
    reason: str
    url: str
    served_by: str
    at: float
    sha256: str = ""
    path: str = ""  # relative to the workspace
    num_bytes: int = 0
    attempts: Sequence[Attempt] = ()
    draft: str = ""
    next_url: str = ""
