"""The stage's verb: the phrases of one domain → originals on disk, each with its provenance."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import importlib
import json
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import filelock
from sqlalchemy.exc import DBAPIError

from core.errors import SuyanError
from core.files import claim_folder, digest, write_json
from core.progress import Progress, silent
from core.tables import Original, write_rows
from core.workspace import Workspace
from scraping.catalogue import queries
from scraping.catalogue.repository import Catalogue, catalogue_url
from scraping.config import CrawlConfig
from scraping.download.client import Downloader, Downloads
from scraping.originals import sweep
from scraping.preview import contact_sheet
from scraping.scheduler import Gathering
from scraping.search.frontier import is_partial
from storage import synced_files

_MANNERS = {
    "search_interval_s", "cool_down_s", "max_cool_downs", "requests_per_s_per_host", "num_workers",
    "connect_timeout_s", "read_timeout_s", "total_timeout_s", "num_tries", "refresh_after_h",
    "num_new_images", "lease_s",
}  # fmt: skip
_NUM_PREVIEWED = 60
_FEW_COLLECTIONS = 20_000  # objects made before the garbage collector looks for cycles


@dataclass(frozen=True)
class CrawlSummary:
    """What a crawl has brought so far: hits, different originals, reasons, yield of each phrase.

    ``partial`` is true when something was left for a reason that may pass, so that another call
    tries it: the engine refused a phrase or could not be reached for it, or ``num_waiting``
    downloads failed for now and are still wanted. ``num_added`` is what this call added.
    """

    domain: str
    listing: Path
    preview: Path
    num_hits: int
    num_ok: int
    num_rejected: int
    num_added: int
    reasons: dict[str, int]
    phrases: list[dict[str, Any]]
    partial: bool
    num_waiting: int = 0


def crawl(
    config: CrawlConfig,
    workspace: Workspace,
    *,
    progress: Progress = silent,
    downloader: Downloader = Downloads,
) -> CrawlSummary:
    """Search every phrase in turn, page by page, until ``num_images`` different originals are here.

    Run again after any interruption, it goes on at the next page and downloads nothing twice. Run
    again when complete, it returns at once, unless the crawl is older than ``refresh_after_h``:
    then the phrases are read again from the top, and only what is new or failed for now is
    downloaded. A crawl that the engine or the network cut short is tried further. A second crawl
    of the same configuration waits for the first. ``downloader`` makes whoever downloads: a
    process here, or several elsewhere that see the same workspace.

    Raises ``TransientError`` when the network is gone, ``SuyanError`` when the disk is full.
    """
    identity = _identity(config)
    name = crawl_name(config)
    folder = workspace / "crawls" / name
    with _disk_full_is_said(workspace), _few_collections():
        claim_folder(folder, identity)
        sweep(workspace)
        with (
            _alone(folder, config.domain, progress),
            Catalogue(catalogue_url(workspace)) as catalogue,
        ):
            before = catalogue.num_found(name)
            if _must_read(catalogue, name, config, folder):
                gathering = Gathering(config, name, workspace, catalogue, progress, downloader)
                with ThreadPoolExecutor(1) as aside:
                    # publish needs it, and while downloads start there is nothing else to do
                    aside.submit(importlib.import_module, "pyarrow.parquet")
                    try:
                        asyncio.run(gathering.run())
                    finally:
                        publish(catalogue, name, workspace)
                catalogue.finish_round(name, time.time())
            added = catalogue.num_found(name) - before
        send(folder, workspace)
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    return CrawlSummary(
        **summary,
        listing=folder / "listing.parquet",
        preview=folder / "preview.jpg",
        num_added=added,
    )


def crawl_name(config: CrawlConfig) -> str:
    """The crawl's name: its domain, and a digest of all that decides what it finds."""
    return f"{config.domain}-{digest(_identity(config))}"


def _identity(config: CrawlConfig) -> dict[str, Any]:
    return config.model_dump(mode="json", exclude=_MANNERS)


def publish(catalogue: Catalogue, name: str, workspace: Workspace) -> None:
    """Write a crawl's listing, summary and contact sheet from what the catalogue knows."""
    folder = workspace / "crawls" / name
    reasons: Counter[str] = Counter()
    counts: Counter[str] = Counter()

    def counted() -> Iterable[Original]:
        for row in queries.rows(catalogue, name):
            counts[row.status] += 1
            if row.status != "ok":
                reasons[row.reason] += 1
            yield row

    newest = [workspace / path for path in queries.newest(catalogue, name, _NUM_PREVIEWED)]
    newest = [path for path in newest if path.exists()]  # others may lie on another machine
    cut_short = any(is_partial(cursor) for cursor in queries.cursors(catalogue, name))
    num_ok, round_ = catalogue.num_found(name), catalogue.round(name)
    is_full = round_ is not None and num_ok >= round_.target
    num_waiting = 0 if is_full else queries.num_waiting(catalogue, name)
    with ThreadPoolExecutor(1) as aside:
        sheet = aside.submit(contact_sheet, newest, folder / "preview.jpg")
        write_rows(folder / "listing.parquet", Original, counted())
        sheet.result()
    write_json(
        folder / "summary.json",
        {
            "domain": name.rpartition("-")[0],
            "num_hits": counts.total(),
            "num_ok": num_ok,
            "num_rejected": reasons.total(),
            "reasons": dict(reasons),
            "phrases": yields(catalogue, name),
            "partial": cut_short or num_waiting > 0,
            "num_waiting": num_waiting,
        },
    )


def send(folder: Path, workspace: Workspace) -> None:
    """Store a crawl's files in the workspace's bucket too, if it has one."""
    for path in sorted(folder.glob("[!.]*")):
        synced_files.push(workspace, path)


def _must_read(catalogue: Catalogue, name: str, config: CrawlConfig, folder: Path) -> bool:
    """Whether there is anything to do; begins a round where one is due."""
    now = time.time()
    current = catalogue.round(name)
    if current is None:
        catalogue.begin_round(name, config.domain, config.num_images, now)
        return True
    summary = folder / "summary.json"
    if current.finished_at is None or not summary.exists():
        return True
    if json.loads(summary.read_text(encoding="utf-8"))["partial"]:
        return True
    if catalogue.num_found(name) < current.target and catalogue.errands(name, now, 1):
        return True
    if config.refresh_after_h is None or now < current.finished_at + 3600 * config.refresh_after_h:
        return False
    catalogue.begin_round(
        name, config.domain, catalogue.num_found(name) + config.num_new_images, now
    )
    return True


def yields(catalogue: Catalogue, name: str) -> list[dict[str, Any]]:
    """For each phrase of a crawl what it brought, what failed, and why it stopped."""
    reasons = queries.phrase_reasons(catalogue, name)
    duplicates = queries.phrase_duplicates(catalogue, name)
    return [
        {
            "phrase": cursor.phrase,
            "pages": cursor.pages,
            "hits": cursor.hits,
            "new": cursor.new,
            "stored": cursor.stored,
            "duplicates": duplicates.get(cursor.phrase, 0),
            "rejected": reasons.get(cursor.phrase, {}),
            "stopped_because": cursor.stopped_because or "enough",
        }
        for cursor in queries.cursors(catalogue, name)
    ]


@contextlib.contextmanager
def _disk_full_is_said(workspace: Workspace) -> Iterator[None]:
    """Turn what files and databases raise on a full disk into one ``SuyanError`` with a way out."""
    try:
        yield
    except (OSError, DBAPIError) as error:
        full = {errno.ENOSPC, errno.EDQUOT}
        if getattr(error, "errno", None) not in full and "disk is full" not in str(error):
            raise
        raise SuyanError(
            f"the disk of {workspace} is full. Everything stored so far is kept: free some space "
            "(or move the workspace) and run the same command again, it goes on where it stopped"
        ) from error


@contextlib.contextmanager
def _few_collections() -> Iterator[None]:
    """Rows come by the thousand and hold no cycles: to look for some takes a tenth of a crawl."""
    before = gc.get_threshold()
    gc.set_threshold(_FEW_COLLECTIONS, 5, 5)
    gc.freeze()  # what is there already stays, and need not be looked through again and again
    try:
        yield
    finally:
        gc.unfreeze()
        gc.set_threshold(*before)


def _alone(
    folder: Path, domain: str, progress: Progress
) -> contextlib.AbstractContextManager[object]:
    """The crawl's lock, held; the system gives it back when its holder dies."""
    lock = filelock.FileLock(folder / ".lock")
    try:
        return lock.acquire(timeout=0)
    except filelock.Timeout:
        progress(f"crawl {domain}", 0, None, "another process does this crawl; waiting for it")
        return lock.acquire(poll_interval=0.2)
