"""What the catalogue speaks of: rounds, cursors, errands, attempts and their outcomes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Round:
    """One reading of a crawl's phrases; a refresh begins another one."""

    number: int
    target: int  # originals wanted at its end
    started_at: float
    finished_at: float | None


@dataclass(frozen=True)
class Cursor:
    """How far one phrase of a crawl has been read in this round, and why no further."""

    phrase: str
    offset: int = 0  # hits to skip at the next request
    frontier: int = 0  # where an earlier round left off with more to come; 0: nowhere
    pages: int = 0
    hits: int = 0
    new: int = 0  # hits that the crawl had not seen before
    stored: int = 0  # originals that this phrase was the first to find
    stale_pages: int = 0  # pages in a row without a new hit
    stopped_because: str = ""  # "" while it may go on


@dataclass(frozen=True)
class PageYield:
    """What a page of hits brought to a crawl."""

    new: int  # hits that the crawl had not seen
    repeated: int  # hits that this phrase has shown in this round already


@dataclass(frozen=True)
class Errand:
    """A hit to be fetched."""

    hit: int
    phrase: str  # that saw it first
    page_url: str
    candidates: tuple[tuple[str, str], ...]  # (field, address), the best first


@dataclass(frozen=True)
class Attempt:
    """One try to download an address: ``status`` is ``ok``, ``rejected`` or ``failed`` for now."""

    url: str
    host: str
    at: float  # s since 1970
    seconds: float
    status: str
    reason: str
    num_bytes: int = 0
    sha256: str = ""
    extension: str = ""


@dataclass(frozen=True)
class Outcome:
    """What became of an errand; an original that was found lies at ``path`` already."""

    hit: int
    phrase: str
    status: str
    reason: str
    url: str
    served_by: str
    at: float
    sha256: str = ""
    path: str = ""
    num_bytes: int = 0


@dataclass(frozen=True)
class Finished:
    """An errand's outcome, the downloads it took, and the draft of its original if it is new."""

    outcome: Outcome
    attempts: list[Attempt]
    draft: str = ""
    next_url: str = ""  # set when it has not come to an end: the address that another process asks
