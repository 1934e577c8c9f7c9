"""What every search engine gives and needs: the seam between the crawl and the engines' modules."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from scraping.transfer import HttpResponse


@dataclass(frozen=True)
class Credit:
    """The licence of a picture and its author, as an engine states them; "" for the unknown."""

    license: str = ""  # e.g. "CC BY-SA 2.0"
    license_url: str = ""  # address of the licence's text
    creator: str = ""
    attribution: str = ""  # the sentence by which the licence wants the picture to be credited


NO_CREDIT = Credit()
"""The credit of a picture whose licence nobody stated."""


@dataclass(frozen=True)
class Hit:
    """One search result. ``candidates`` are (field, address), the best first, each address once."""

    key: str  # the engine's own identity of the picture
    candidates: tuple[tuple[str, str], ...]
    page_url: str
    title: str
    width: int  # px as announced; 0 unknown
    height: int
    credit: Credit = NO_CREDIT


@dataclass(frozen=True)
class ResultPage:
    """The hits of one page; ``num_announced`` is the number that the engine says it has in all."""

    hits: tuple[Hit, ...]
    num_announced: int | None

    def is_withheld(self, offset: int, max_hits: int | None = None) -> bool:
        """Whether the page, asked for from ``offset`` on, lacks the hits that it announces.

        Beyond ``max_hits`` an engine shows nothing, whatever it announces.
        """
        num = self.num_announced or 0
        if max_hits is not None:
            num = min(num, max_hits)
        return not self.hits and offset < num


@dataclass(frozen=True)
class Endpoint:
    """One way to ask for a page of hits; the next one is tried where its answer cannot be read."""

    name: str  # for messages
    url: str
    parse: Callable[[bytes], ResultPage]
    """The hits of a body. It raises ``BlockedError`` for a refusal in it, ``ResponseFormatError``
    for anything else that is no page of hits, and no other error."""


class SearchEngine(Protocol):
    """A search engine: the addresses of its pages, their format, and how it says no. No I/O."""

    url: str
    """Its address, without a path."""
    key: str
    """What its hits belong to in the catalogue; never changed, since hits are found by it."""
    label: str
    """What is put before its phrases in tables: "" or e.g. ``"openverse: "``."""
    home: str
    """Address of its first page, which answers when the engine does."""
    needs_cookie: bool
    """Whether searches need the cookie that the first page sets."""
    headers: Sequence[str]
    """Lines that its requests need besides the general ones."""
    page_size: int
    """Hits of one page."""
    max_hits: int | None
    """Most hits of one search that it shows, whatever it announces; ``None``: all of them."""
    min_interval_s: float
    """Shortest time between two requests that its quota allows, seconds."""

    def endpoints(self, phrase: str, offset: int) -> Sequence[Endpoint]:
        """The ways to ask for the page that begins at ``offset``, a multiple of ``page_size``."""
        ...

    def refuse(self, response: HttpResponse) -> None:
        """Raise where an answer is this engine's own way to say no; the general ways (a redirect,
        statuses 401, 403, 418 and 451, and those that may pass) need no word here.

        Raises ``BlockedError``, ``TransientError`` or ``ResponseFormatError``.
        """
        ...


def text_of(item: Mapping[str, Any], *names: str) -> str:
    """The first of these fields that is a non-empty string, without NUL and lone surrogates."""
    text = next((v for n in names if isinstance(v := item.get(n), str) and v), "")
    return text.encode("utf-8", "replace").decode().replace("\0", "")


def pixels_of(item: Mapping[str, Any], name: str) -> int:
    """A size in px, which may be a text; 0 for none that is possible."""
    value = item.get(name)
    if isinstance(value, str) and value.isdecimal() and len(value) < 8:
        value = int(value)
    return value if isinstance(value, int) and 0 <= value < 10**7 else 0
