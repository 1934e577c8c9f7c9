"""The stage's verb: the phrases of one domain → originals on disk, each with its provenance."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from scraping.baidu import Hit
from scraping.catalogue import Address, Catalogue, Cursor
from scraping.client import SearchClient
from scraping.config import CrawlConfig
from scraping.fetch import Fetched, Fetcher, RejectedError
from scraping.records import (
    BlockedError,
    Original,
    Progress,
    ResponseFormatError,
    TransientError,
    atomic_file,
    claim_folder,
    digest,
    silent,
    write_json,
    write_rows,
)

_logger = logging.getLogger(__name__)
_POLITENESS = {
    "search_interval_s", "cool_down_s", "max_cool_downs", "requests_per_s_per_host", "num_workers",
    "connect_timeout_s", "read_timeout_s", "total_timeout_s", "num_tries",
}  # fmt: skip
_STALE_PAGES = 2  # pages in a row without a new hit that end a phrase


@dataclass(frozen=True)
class CrawlSummary:
    """What a crawl brought: hits, different originals, rejections by reason, yield of each phrase.

    ``partial`` is true when the engine refused a phrase or could not be reached for it.
    """

    domain: str
    listing: Path
    num_hits: int
    num_ok: int
    num_rejected: int
    reasons: dict[str, int]
    phrases: list[dict[str, Any]]
    partial: bool


def crawl(config: CrawlConfig, workspace: Path, *, progress: Progress = silent) -> CrawlSummary:
    """Search every phrase in turn, page by page, until ``num_images`` different originals are here.

    Run again after any interruption, it goes on at the next page and fetches no address twice; run
    again when complete, it returns at once. A crawl that the engine cut short is tried further.

    Raises ``TransientError`` when the engine cannot be reached at all and nothing was found.
    """
    identity = config.model_dump(mode="json", exclude=_POLITENESS)
    name = f"{config.domain}-{digest(identity)}"
    folder = workspace / "crawls" / name
    claim_folder(folder, identity)
    summary_file = folder / "summary.json"
    if summary_file.exists():
        summary = json.loads(summary_file.read_text())
        if not summary["partial"]:
            return CrawlSummary(**{**summary, "listing": folder / "listing.parquet"})
    with Catalogue(f"sqlite:///{workspace / 'catalogue.sqlite'}") as catalogue:
        run = _Crawl(config, name, workspace, catalogue, progress)
        try:
            run.go()
        finally:
            run.close()
        rows = catalogue.originals(name)
        cursors = [catalogue.cursor(name, phrase) for phrase in config.phrases]
    write_rows(folder / "listing.parquet", Original, rows)
    summary = _summarise(config.domain, rows, cursors)
    write_json(summary_file, summary)
    return CrawlSummary(**summary, listing=folder / "listing.parquet")


def _summarise(domain: str, rows: Sequence[Original], cursors: Sequence[Cursor]) -> dict[str, Any]:
    reasons = Counter(row.reason for row in rows if row.status != "ok")
    return {
        "domain": domain,
        "num_hits": len(rows),
        "num_ok": len({row.sha256 for row in rows if row.status == "ok"}),
        "num_rejected": reasons.total(),
        "reasons": dict(reasons),
        "phrases": [
            {
                "phrase": cursor.phrase,
                "pages": cursor.pages,
                "hits": cursor.hits,
                "new": cursor.new,
                "stopped_because": cursor.stopped_because or "enough",
            }
            for cursor in cursors
        ],
        "partial": any(_is_partial(cursor) for cursor in cursors),
    }


def _is_partial(cursor: Cursor) -> bool:
    return cursor.stopped_because.split(":")[0] in {"blocked", "unreachable"}


class _Crawl:
    """One run of a crawl: a search client in this thread, fetches in many."""

    def __init__(
        self,
        config: CrawlConfig,
        name: str,
        workspace: Path,
        catalogue: Catalogue,
        progress: Progress,
    ) -> None:
        self._config, self._name, self._workspace = config, name, workspace
        self._catalogue, self._progress = catalogue, progress
        self._client = SearchClient(config)
        self._fetcher = Fetcher(config)
        self._threads = ThreadPoolExecutor(config.num_workers, thread_name_prefix="fetch")
        self._found = {row.sha256 for row in catalogue.originals(name) if row.status == "ok"}
        self._num_hits = 0

    def close(self) -> None:
        self._threads.shutdown(cancel_futures=True)
        self._client.close()
        self._fetcher.close()

    def go(self) -> None:
        self._report()
        self._fetch_pending()
        active = list(dict.fromkeys(self._config.phrases))
        for phrase in active:
            cursor = self._catalogue.cursor(self._name, phrase)
            if _is_partial(cursor):
                self._catalogue.save_page(self._name, replace(cursor, stopped_because=""), [])
        while active and len(self._found) < self._config.num_images:
            for phrase in list(active):
                if len(self._found) >= self._config.num_images:
                    break
                if not self._next_page(phrase):
                    active.remove(phrase)
                self._fetch_pending()

    def _next_page(self, phrase: str) -> bool:
        """Read the phrase's next page into the catalogue; whether there may be another one."""
        cursor = self._catalogue.cursor(self._name, phrase)
        if cursor.stopped_because:
            return False
        try:
            answer = self._client.search(phrase, cursor.offset)
        except (BlockedError, TransientError, ResponseFormatError) as error:
            kind = {BlockedError: "blocked", TransientError: "unreachable"}.get(
                type(error), "format"
            )
            _logger.warning("%r stops at %d hits: %s", phrase, cursor.offset, error)
            stopped = replace(cursor, stopped_because=f"{kind}: {str(error)[:300]}")
            self._catalogue.save_page(self._name, stopped, [])
            return False
        hits = {hit.key: hit for hit in answer.hits}
        known = self._catalogue.known(self._name, hits)
        new = [hit for key, hit in hits.items() if key not in known]
        moved = replace(
            cursor,
            offset=cursor.offset + self._config.page_size,
            pages=cursor.pages + 1,
            hits=cursor.hits + len(answer.hits),
            new=cursor.new + len(new),
            stale_pages=0 if new else cursor.stale_pages + 1,
        )
        moved = replace(moved, stopped_because=self._why_stop(moved, answer.num_announced, hits))
        self._catalogue.save_page(self._name, moved, new)
        return not moved.stopped_because

    def _why_stop(self, cursor: Cursor, announced: int | None, hits: dict[str, Hit]) -> str:
        if not hits:
            return "exhausted"
        if cursor.stale_pages >= _STALE_PAGES:
            return "nothing-new"
        if announced is not None and cursor.offset >= announced:
            return "exhausted"
        return "page-limit" if cursor.pages >= self._config.max_pages else ""

    def _fetch_pending(self) -> None:
        """Fetch what the catalogue knows of and does not have; each outcome is stored at once."""
        tasks = []
        for phrase, hit in self._catalogue.pending(self._name):
            known = {url: self._catalogue.address(url) for _, url in hit.candidates}
            tasks.append(self._threads.submit(self._obtain, phrase, hit, known))
        for task in tasks:
            key, original, learnt = task.result()
            self._catalogue.save_outcomes(self._name, [(key, original)], learnt)
            if original.status == "ok":
                self._found.add(original.sha256)
            self._num_hits += 1
            self._report()

    def _report(self) -> None:
        done, wanted = len(self._found), self._config.num_images
        message = f"{self._num_hits} hits fetched"
        self._progress(f"crawl {self._config.domain}", min(done, wanted), wanted, message)

    def _obtain(
        self, phrase: str, hit: Hit, known: dict[str, Address | None]
    ) -> tuple[str, Original, list[Address]]:
        """Try a hit's addresses, the best first, until one gives a picture (runs in a thread)."""
        row = Original(
            domain=self._config.domain, phrase=phrase, url="", served_by="",
            page_url=hit.page_url, title=hit.title, sha256="", path="", num_bytes=0,
            status="rejected", reason="no-address", fetched_at=datetime.now(UTC).isoformat(),
        )  # fmt: skip
        learnt: list[Address] = []
        for field, url in hit.candidates:
            row = replace(row, url=url, served_by=field)
            address = known[url] or self._fetch(url, hit.page_url)
            if known[url] is None and not address.reason.startswith("for-now:"):
                learnt.append(address)
            if address.sha256:
                row = replace(
                    row,
                    sha256=address.sha256,
                    path=address.path,
                    num_bytes=address.num_bytes,
                    status="ok",
                    reason="",
                )
                break
            reason = address.reason.removeprefix("for-now:")
            row = replace(row, reason=reason if row.reason == "no-address" else row.reason)
        return hit.key, row, learnt

    def _fetch(self, url: str, referer: str) -> Address:
        try:
            fetched = self._fetcher.fetch(url, referer)
        except RejectedError as error:
            passing = "for-now:" if str(error) == "host-failing" else ""
            return Address(url, "", "", 0, f"{passing}{error}")
        except TransientError as error:
            return Address(url, "", "", 0, f"for-now:{error}")
        return Address(url, fetched.sha256, self._store(fetched), len(fetched.body), "")

    def _store(self, fetched: Fetched) -> str:
        """Keep the bytes under their digest; the path relative to the workspace."""
        relative = f"originals/{fetched.sha256[:2]}/{fetched.sha256}.{fetched.extension}"
        path = self._workspace / relative
        if not path.exists():
            with atomic_file(path) as file:
                file.write(fetched.body)
        return relative
