"""The searching half of a crawl: whose turn it is, what a page brought, and when a phrase stops."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from core.errors import BlockedError, ResponseFormatError, SuyanError, TransientError
from scraping.catalogue.entities import Cursor
from scraping.catalogue.repository import Catalogue
from scraping.config import CrawlConfig
from scraping.search.baidu import Answer

if TYPE_CHECKING:
    from scraping.search.client import SearchClient

_logger = logging.getLogger(__name__)
_STALE_PAGES = 2  # pages in a row without a new hit that end a phrase
_REFUSED_PHRASES = 2  # in a row, before the others are not asked any more
_KINDS: Mapping[type[SuyanError], str] = {
    BlockedError: "blocked",
    TransientError: "unreachable",
    ResponseFormatError: "format",
}


class InterruptedSearchError(SuyanError):
    """The crawl ended while a search was waiting."""


def is_partial(cursor: Cursor) -> bool:
    """Whether the engine cut the phrase short, so that it may be tried further."""
    return cursor.stopped_because.split(":")[0] in {"blocked", "unreachable"}


class Search:
    """Reads the pages of a crawl's phrases in turn.

    ``ask`` may be called in another thread; everything else belongs to the catalogue's.
    """

    def __init__(self, config: CrawlConfig, name: str, catalogue: Catalogue) -> None:
        self._config, self._name, self._catalogue = config, name, catalogue
        self._closing = threading.Event()
        self._client: SearchClient | None = None
        self._active = list(config.searches)
        self._refused = 0
        for phrase in self._active:
            cursor = catalogue.cursor(name, phrase)
            if is_partial(cursor):
                catalogue.save_cursor(name, replace(cursor, stopped_because=""))

    def close(self) -> None:
        """End a search that waits, and give the connections back."""
        self._closing.set()
        if self._client is not None:
            self._client.close()

    def next_cursor(self, num_open: Mapping[str, int]) -> Cursor | None:
        """The cursor of the phrase whose turn it is; ``None`` when no phrase has more for now.

        ``num_open`` says how many errands of each phrase are under way: they may fill its quota.
        """
        quota = self._config.max_images_per_phrase
        for phrase in list(self._active):
            self._active.remove(phrase)
            cursor = self._catalogue.cursor(self._name, phrase)
            if not cursor.stopped_because and quota is not None:
                if cursor.stored < quota <= cursor.stored + num_open.get(phrase, 0):
                    self._active.append(phrase)
                    continue
                if cursor.stored >= quota:
                    cursor = replace(cursor, stopped_because="quota")
                    self._catalogue.save_cursor(self._name, cursor)
            if not cursor.stopped_because and self._refused >= _REFUSED_PHRASES:
                reason = f"blocked: not asked, for the last {self._refused} phrases were refused"
                cursor = replace(cursor, stopped_because=reason)
                self._catalogue.save_cursor(self._name, cursor)
            if not cursor.stopped_because:
                self._active.append(phrase)
                return cursor
        return None

    def ask(self, cursor: Cursor) -> Answer | SuyanError:
        """The cursor's next page, or why there is none (runs in a thread, may take minutes)."""
        from scraping.search.client import (
            SearchClient,  # a crawl with only downloads left needs none
        )

        if self._client is None:
            self._client = SearchClient(self._config, sleep=self._sleep)
        try:
            return self._client.search(cursor.phrase, cursor.offset)
        except (BlockedError, TransientError, ResponseFormatError) as error:
            return error

    def take(self, cursor: Cursor, answer: Answer | SuyanError) -> int | None:
        """Bring what ``ask`` returned for ``cursor`` into the catalogue; the lowest number among
        its hits.
        """
        cursor = self._catalogue.cursor(self._name, cursor.phrase)
        if isinstance(answer, SuyanError):
            kind = _KINDS[type(answer)]
            self._refused += kind == "blocked"
            _logger.warning("%r stops at %d hits: %s", cursor.phrase, cursor.offset, answer)
            stopped = replace(cursor, stopped_because=f"{kind}: {str(answer)[:300]}")
            self._catalogue.save_cursor(self._name, stopped)
            return None
        self._refused = 0
        engine = self._config.engine_url
        page = list({hit.key: hit for hit in answer.hits}.values())
        brought = self._catalogue.look(self._name, engine, cursor, page)
        moved = replace(
            cursor,
            offset=cursor.offset + self._config.page_size,
            pages=cursor.pages + 1,
            hits=cursor.hits + len(answer.hits),
            new=cursor.new + brought.new,
            stale_pages=0 if brought.new else cursor.stale_pages + 1,
        )
        repeats = brought.repeated == len(page)
        moved = self._onwards(moved, answer.num_announced, empty=not page, repeats=repeats)
        return self._catalogue.save_page(self._name, engine, moved, page, time.time())

    def _onwards(
        self, cursor: Cursor, announced: int | None, *, empty: bool, repeats: bool
    ) -> Cursor:
        """The cursor with the reason why its phrase stops here, if it does."""
        if empty:
            return replace(cursor, stopped_because="exhausted")
        if cursor.stale_pages >= _STALE_PAGES and cursor.frontier > cursor.offset:
            return replace(cursor, offset=cursor.frontier, frontier=0, stale_pages=0)
        if cursor.stale_pages >= _STALE_PAGES:
            return replace(cursor, stopped_because="repeats" if repeats else "nothing-new")
        if announced is not None and cursor.offset >= announced:
            return replace(cursor, stopped_because="exhausted")
        if cursor.offset >= self._config.max_pages * self._config.page_size:
            return replace(cursor, stopped_because="page-limit")
        return cursor

    def _sleep(self, seconds: float) -> None:
        if self._closing.wait(seconds):
            raise InterruptedSearchError("the crawl ends")
