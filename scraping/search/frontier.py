"""The search frontier, which chooses the phrase to read next and ends phrases."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from core.errors import (
    BlockedError,
    EmptyPageError,
    QuotaError,
    ResponseFormatError,
    SuyanError,
    TransientError,
    UnknownHostError,
)
from core.language.messages import localised
from scraping.catalogue.entities import Cursor, Stop, StopReason
from scraping.catalogue.repository import Catalogue
from scraping.config import CrawlConfig
from scraping.search.engine import ResultPage, SearchEngine
from scraping.search.engines import build_searches

if TYPE_CHECKING:
    from scraping.search.client import SearchClient

_logger = logging.getLogger(__name__)
_MAX_STALE_PAGES = 2  # pages in a row without a new hit that end a phrase
_MAX_REFUSED_PHRASES = 2  # that got no answer in a row, after which no other one is searched
_MAX_WITHHELD_PHRASES = 5  # likewise, whose first pages came
_MAX_EMPTY_PAGES = 3  # runs in which a page stays empty, after which its phrase is exhausted
_MAX_DETAIL_CHARS = 300
_STOP_REASONS: Mapping[type[SuyanError], StopReason] = {
    BlockedError: StopReason.BLOCKED,
    TransientError: StopReason.UNREACHABLE,
    UnknownHostError: StopReason.UNREACHABLE,
    ResponseFormatError: StopReason.FORMAT,
}


class InterruptedSearchError(SuyanError):
    """The crawl ended while a search was waiting."""


@dataclass
class _EngineState:
    """How the searches at one engine went; others are asked whatever this one says."""

    client: SearchClient | None = None
    num_refused: int = 0  # phrases in a row, here and below
    num_withheld: int = 0
    refusal: StopReason | None = None  # set when no other phrase is to be searched there


class Frontier:
    """Reads the result pages of a crawl's searches in turn.

    A cursor's phrase is the label of its search.

    ``fetch_page`` may run in another thread; everything else belongs to the catalogue's thread.
    """

    def __init__(self, config: CrawlConfig, name: str, catalogue: Catalogue) -> None:
        self._config, self._name, self._catalogue = config, name, catalogue
        self._closing = threading.Event()
        self._searches = {search.label: search for search in build_searches(config)}
        self._states = {search.engine.key: _EngineState() for search in self._searches.values()}
        self._active = list(self._searches)
        self.unknown_host: UnknownHostError | None = None
        cursors = {phrase: catalogue.cursor(name, phrase) for phrase in self._active}
        for cursor in cursors.values():
            if cursor.is_cut_short:
                catalogue.save_cursor(name, replace(cursor, stop=None))
        # Phrases whose last page stayed empty come last, so that they do not keep others waiting.
        self._active.sort(key=lambda phrase: cursors[phrase].stale_pages)

    def close(self) -> None:
        """Interrupt a search that waits, and close the connections."""
        self._closing.set()
        for state in self._states.values():
            if state.client is not None:
                state.client.close()

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels of all searches."""
        return tuple(self._searches)

    @property
    def engine_urls(self) -> tuple[str, ...]:
        """Addresses of the engines, each once."""
        return tuple(dict.fromkeys(search.engine.url for search in self._searches.values()))

    def next_cursor(self, num_open: Mapping[str, int]) -> Cursor | None:
        """The cursor of the phrase whose turn it is; ``None`` when no phrase can be read now.

        ``num_open`` is the number of unfinished downloads of each phrase: a phrase whose quota
        these may fill waits for them.
        """
        for phrase in list(self._active):
            self._active.remove(phrase)
            cursor = self._catalogue.cursor(self._name, phrase)
            if cursor.stop is None and self._may_reach_quota(cursor, num_open.get(phrase, 0)):
                self._active.append(phrase)
                continue
            if cursor.stop is None:
                stop = self._stop_before_asking(cursor)
                if stop is None:
                    self._active.append(phrase)
                    return cursor
                self._catalogue.save_cursor(self._name, replace(cursor, stop=stop))
        return None

    def _may_reach_quota(self, cursor: Cursor, num_open: int) -> bool:
        quota = self._config.max_images_per_phrase
        return quota is not None and cursor.stored < quota <= cursor.stored + num_open

    def _stop_before_asking(self, cursor: Cursor) -> Stop | None:
        quota = self._config.max_images_per_phrase
        if quota is not None and cursor.stored >= quota:
            return Stop(StopReason.QUOTA)
        refusal = self._state(cursor.phrase).refusal
        if refusal is not None:
            return Stop(refusal, "not asked, as the phrases before it got no answer")
        return None

    def fetch_page(self, cursor: Cursor) -> ResultPage | SuyanError:
        """The cursor's next page, or the error instead of one. Runs in a thread, maybe minutes."""
        from scraping.search.client import (
            SearchClient,  # built late: a crawl with only downloads left needs no client
        )

        search, state = self._searches[cursor.phrase], self._state(cursor.phrase)
        if state.client is None:
            state.client = SearchClient(self._config, search.engine, sleep=self._sleep)
        try:
            return state.client.search(search.phrase, cursor.offset)
        except tuple(_STOP_REASONS) as error:
            return error

    def save_page(self, phrase: str, page: ResultPage | SuyanError) -> int | None:
        """Store what ``fetch_page`` returned for ``phrase`` in the catalogue.

        Returns the lowest number among its hits, ``None`` where there is none.
        """
        cursor = self._catalogue.cursor(self._name, phrase)
        if isinstance(page, SuyanError):
            self._save_error(cursor, page)
            return None
        state, engine = self._state(phrase), self._searches[phrase].engine
        state.num_refused = state.num_withheld = 0
        hits = list({hit.key: hit for hit in page.hits}.values())
        page_yield = self._catalogue.page_yield(self._name, engine.key, cursor, hits)
        new_cursor = replace(
            cursor,
            offset=cursor.offset + engine.page_size,
            pages=cursor.pages + 1,
            hits=cursor.hits + len(page.hits),
            new=cursor.new + page_yield.num_new,
            stale_pages=0 if page_yield.num_new else cursor.stale_pages + 1,
        )
        if hits:
            repeats = page_yield.num_repeated == len(hits)
            new_cursor = self._continued(new_cursor, engine, page.num_announced, repeats=repeats)
        else:
            new_cursor = replace(new_cursor, stop=Stop(StopReason.EXHAUSTED))
        return self._catalogue.save_page(self._name, engine.key, new_cursor, hits, time.time())

    def _save_error(self, cursor: Cursor, error: SuyanError) -> None:
        reason, state = _stop_reason(error), self._state(cursor.phrase)
        stop = Stop(reason, str(error)[:_MAX_DETAIL_CHARS])
        if isinstance(error, EmptyPageError) and cursor.offset:
            state.num_withheld += 1
            cursor = replace(cursor, stale_pages=cursor.stale_pages + 1)
            if cursor.stale_pages >= _MAX_EMPTY_PAGES:
                stop = Stop(StopReason.EXHAUSTED)
        else:
            state.num_refused += 1
        if isinstance(error, UnknownHostError):
            self.unknown_host = error
        if (
            isinstance(error, UnknownHostError | QuotaError)
            or state.num_refused >= _MAX_REFUSED_PHRASES
            or state.num_withheld >= _MAX_WITHHELD_PHRASES
        ):
            state.refusal = reason
        is_said_by_crawl = isinstance(error, UnknownHostError) and len(self._states) == 1
        if not is_said_by_crawl:
            _logger.warning(
                localised("%r stops at %d hits: %s"), cursor.phrase, cursor.offset, error
            )
        self._catalogue.save_cursor(self._name, replace(cursor, stop=stop))

    def _continued(
        self, cursor: Cursor, engine: SearchEngine, num_announced: int | None, *, repeats: bool
    ) -> Cursor:
        """The phrase's cursor after a page with hits: it goes on, or has stopped."""
        if cursor.stale_pages >= _MAX_STALE_PAGES and cursor.frontier > cursor.offset:
            return replace(cursor, offset=cursor.frontier, frontier=0, stale_pages=0)
        if cursor.stale_pages >= _MAX_STALE_PAGES:
            reason = StopReason.REPEATS if repeats else StopReason.NOTHING_NEW
            return replace(cursor, stop=Stop(reason))
        if num_announced is not None and cursor.offset >= num_announced:
            return replace(cursor, stop=Stop(StopReason.EXHAUSTED))
        if cursor.offset >= self._config.max_pages * engine.page_size:
            return replace(cursor, stop=Stop(StopReason.PAGE_LIMIT))
        return cursor

    def _state(self, label: str) -> _EngineState:
        return self._states[self._searches[label].engine.key]

    def _sleep(self, seconds: float) -> None:
        if self._closing.wait(seconds):
            raise InterruptedSearchError(localised("the crawl ends"))


def _stop_reason(error: SuyanError) -> StopReason:
    return next(reason for kind, reason in _STOP_REASONS.items() if isinstance(error, kind))
