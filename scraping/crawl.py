"""The stage's verb: from the sources of one domain to originals on disk, with their provenance."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import importlib
import json
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy.exc import DBAPIError

from core.commands import suyan_command
from core.config_identity import identity
from core.errors import SuyanError
from core.files import claim_folder, digest, load_json, try_load_json, write_json
from core.language.messages import localised
from core.locks import file_lock
from core.progress import Progress, silent
from core.tables import Original, write_rows
from core.workspace import Workspace
from core.workspace_folders import CrawlFolder
from scraping.catalogue import queries
from scraping.catalogue.database import catalogue_url
from scraping.catalogue.entities import Status, Stop, StopReason
from scraping.catalogue.repository import Catalogue
from scraping.catalogue.retries import RetryRules
from scraping.config import CrawlConfig
from scraping.download.client import DownloaderFactory, DownloadProcess
from scraping.failure_reasons import LIFTED_BY, Reason
from scraping.originals import remove_stale_drafts
from scraping.preview import write_contact_sheet
from scraping.scheduler import CrawlScheduler
from scraping.search.engines import build_engines
from scraping.sources.source_import import SourceImport, Sources
from storage import synced_files

_NUM_PREVIEWED = 60
_REMEDIES = {  # by the field of CrawlConfig that lifts the refusal
    "allow_private_hosts": "If these hosts are yours, e.g. the offline engine, allow private "
    "addresses: --allow-private-hosts",
    "max_megabytes": "Allow larger files",
    "max_redirects": "Allow more redirects",
    "respect_opt_out": "The hosts' robots.txt or X-Robots-Tag forbids the pictures: choose other "
    "phrases; only if you have their owners' permission, switch off the respect for opt-outs",
}
_LIFTABLE = {str(reason) for reason in LIFTED_BY}
_DISK_FULL = "53100"  # PostgreSQL's SQLSTATE
_GC_THRESHOLD = 20_000  # new objects before the garbage collector looks for cycles


@dataclass(frozen=True)
class CrawlSummary:
    """The results of a crawl so far: hits, originals, reasons, and the yield of each phrase.

    ``partial`` is true when the next call would try something again: phrases that the engine
    refused or did not answer, sources that were not there, or ``num_waiting`` downloads that failed
    for reasons that may pass. A row of ``phrases`` may also be that of a folder or a list.
    ``num_added`` is the number of originals that this call added.
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

    @property
    def num_duplicates(self) -> int:
        """Number of hits whose picture the crawl had already, byte for byte."""
        return max(self.num_hits - self.num_ok - self.num_rejected, 0)

    @property
    def num_cut_short(self) -> int:
        """Number of phrases that stopped because the engine refused or did not answer."""
        return sum(stop.may_pass for stop in self._stops()) - self.num_missing

    @property
    def num_missing(self) -> int:
        """Number of folders, archives and lists that were not there."""
        return sum(stop is StopReason.MISSING for stop in self._stops())

    def _stops(self) -> list[StopReason]:
        return [Stop.parse(row["stopped_because"]).reason for row in self.phrases]


def crawl(
    config: CrawlConfig,
    workspace: Workspace,
    *,
    progress: Progress = silent,
    build_downloader: DownloaderFactory = DownloadProcess,
) -> CrawlSummary:
    """Read the folders and lists, then search every phrase in turn, page by page, until there are
    ``num_images`` originals. Without phrases no network is asked but the lists' hosts.

    Called again after an interruption, it goes on at the next page and downloads nothing twice.
    Called again when finished, it returns immediately, unless the crawl is older than
    ``refresh_after_h``: then it reads sources and phrases from the top, and downloads new hits and
    those that failed for reasons that may pass. A partial crawl goes on where it stopped. A second
    call with the same configuration waits for the first one. ``build_downloader`` makes the
    downloader: a process on this machine, or several elsewhere that see the same workspace.

    Raises ``TransientError`` when the network is down, ``UnknownHostError`` when the name of the
    engine does not resolve, ``SuyanError`` when the disk is full, and when one setting refused
    every hit; ``ValueError`` for a crawl without any source, and for a source that is not there or
    has no picture.
    """
    name = crawl_name(config)
    sources = Sources.of_config(config)
    if not (config.searches or sources or workspace.crawl(name).summary.exists()):
        command = suyan_command("add", "FOLDER", "--domain", config.domain, workspace=workspace)
        raise ValueError(
            localised(
                "{domain}: found no phrases, folders or lists, and nothing that was added; "
                "needed one of them. Add pictures with '{command}'",
                domain=config.domain,
                command=command,
            )
        )

    def work(catalogue: Catalogue) -> None:
        if not _begin_or_resume(catalogue, name, config, workspace.crawl(name)):
            return
        with _outputs_written(catalogue, name, workspace):
            _read_sources(config, sources, workspace, catalogue, progress, build_downloader)
            if config.searches:
                scheduler = CrawlScheduler(
                    config, name, workspace, catalogue, progress, build_downloader
                )
                asyncio.run(scheduler.run())
        catalogue.finish_round(name, time.time())

    return _work_on(config, workspace, progress, work)


def add(
    config: CrawlConfig,
    sources: Sources,
    workspace: Workspace,
    *,
    progress: Progress = silent,
    build_downloader: DownloaderFactory = DownloadProcess,
) -> CrawlSummary:
    """Add the pictures of ``sources`` to the crawl of ``config``, whose own sources stay unasked.

    Pictures that are there already add nothing. Safe to be killed and run again. Raises as
    ``crawl`` does.
    """
    name = crawl_name(config)

    def work(catalogue: Catalogue) -> None:
        now = time.time()
        if catalogue.round(name) is None:
            catalogue.begin_round(name, config.domain, config.num_images, now)
        with _outputs_written(catalogue, name, workspace):
            _read_sources(config, sources, workspace, catalogue, progress, build_downloader)
        if not (config.searches or Sources.of_config(config)):
            catalogue.finish_round(name, now)

    return _work_on(config, workspace, progress, work)


def _work_on(
    config: CrawlConfig,
    workspace: Workspace,
    progress: Progress,
    work: Callable[[Catalogue], None],
) -> CrawlSummary:
    """Do ``work`` in the crawl's folder, which no other process works on meanwhile."""
    name = crawl_name(config)
    folder = workspace.crawl(name)

    def report_waiting() -> None:
        progress(
            localised("crawl {domain}", domain=config.domain),
            0,
            None,
            localised("another process runs this crawl; waiting for it"),
        )

    with _full_disk_as_error(workspace), _rare_garbage_collection():
        claim_folder(folder.path, identity(config))
        remove_stale_drafts(workspace)
        with (
            file_lock(folder.lock, report_waiting),
            Catalogue(catalogue_url(workspace), RetryRules.from_config(config)) as catalogue,
        ):
            num_before = catalogue.num_originals(name)
            work(catalogue)
            num_added = catalogue.num_originals(name) - num_before
        publish_outputs(folder, workspace)
    check_not_all_refused(config, workspace)
    return CrawlSummary(
        **load_json(folder.summary),
        listing=folder.listing,
        preview=folder.preview,
        num_added=num_added,
    )


def _read_sources(
    config: CrawlConfig,
    sources: Sources,
    workspace: Workspace,
    catalogue: Catalogue,
    progress: Progress,
    build_downloader: DownloaderFactory,
) -> None:
    """Import the folders, and download what the lists of this and earlier calls name."""
    name = crawl_name(config)
    SourceImport(config, name, workspace, catalogue, progress).run(sources)
    num_listed = queries.num_listed(catalogue, name, time.time())
    if num_listed:
        scheduler = CrawlScheduler(
            config, name, workspace, catalogue, progress, build_downloader, num_listed=num_listed
        )
        asyncio.run(scheduler.run())


def crawl_name(config: CrawlConfig) -> str:
    """The crawl's name: its domain, and a digest of the fields that decide what it finds."""
    return f"{config.domain}-{digest(identity(config))}"


@contextlib.contextmanager
def _outputs_written(catalogue: Catalogue, name: str, workspace: Workspace) -> Iterator[None]:
    """Write the crawl's files after the block, also after an error in it."""
    with ThreadPoolExecutor(1) as executor:
        # write_outputs needs it: imported now, while the first downloads start
        executor.submit(importlib.import_module, "pyarrow.parquet")
        try:
            yield
        finally:
            write_outputs(catalogue, name, workspace)


def check_not_all_refused(config: CrawlConfig, workspace: Workspace) -> None:
    """Raise ``SuyanError`` when settings refused every hit of the crawl; the error names them."""
    summary = try_load_json(workspace.crawl(crawl_name(config)).summary) or {}
    reasons: dict[str, int] = summary.get("reasons", {})
    if summary.get("num_ok") or not reasons or reasons.keys() - _LIFTABLE:
        return
    remedies = [
        f"{_REMEDIES[field]} (crawl_a.{field} and crawl_b.{field}, now "
        f"{json.dumps(getattr(config, field))})"
        for field in dict.fromkeys(LIFTED_BY[Reason(reason)] for reason in reasons)
    ]
    raise SuyanError(
        localised(
            "{domain}: all {num_hits} hits were refused, as {names}; needed at least one original",
            domain=config.domain,
            num_hits=summary["num_hits"],
            names=" or ".join(reasons),
        ),
        remedy=localised(
            "{names}. Then run it again: it tries refused hits again", names="; ".join(remedies)
        ),
    )


def _begin_or_resume(
    catalogue: Catalogue, name: str, config: CrawlConfig, folder: CrawlFolder
) -> bool:
    """Whether there is anything to do; begins a round where one is due."""
    now = time.time()
    current = catalogue.round(name)
    if current is None:
        catalogue.begin_round(name, config.domain, config.num_images, now)
        return True
    if current.finished_at is None or not folder.summary.exists():
        return True
    if load_json(folder.summary)["partial"]:
        return True
    num_originals = catalogue.num_originals(name)
    if num_originals < current.target and catalogue.pending_tasks(
        name, now, 1, engines=[engine.key for engine in build_engines(config)]
    ):
        return True
    if config.refresh_after_h is None or now < current.finished_at + 3600 * config.refresh_after_h:
        return False
    catalogue.begin_round(name, config.domain, num_originals + config.num_new_images, now)
    return True


def write_outputs(catalogue: Catalogue, name: str, workspace: Workspace) -> None:
    """Write a crawl's listing, summary and contact sheet from the catalogue."""
    folder = workspace.crawl(name)
    reasons: Counter[str] = Counter()
    num_hits = 0

    def count_rows() -> Iterator[Original]:
        nonlocal num_hits
        for row in queries.listing_rows(catalogue, name):
            num_hits += 1
            if row.status != Status.OK:
                reasons[row.reason] += 1
            yield row

    paths = [
        workspace.folder / path for path in queries.newest_paths(catalogue, name, _NUM_PREVIEWED)
    ]
    # another machine may have files of other crawls
    paths = [path for path in paths if path.exists()]
    with ThreadPoolExecutor(1) as executor:
        sheet = executor.submit(write_contact_sheet, paths, folder.preview)
        write_rows(folder.listing, Original, count_rows())
        sheet.result()
    is_cut_short = any(cursor.is_cut_short for cursor in queries.cursors(catalogue, name))
    num_ok, current = catalogue.num_originals(name), catalogue.round(name)
    is_full = current is not None and num_ok >= current.target
    num_waiting = queries.num_waiting(catalogue, name, only_sources=is_full)
    write_json(
        folder.summary,
        {
            "domain": name.rpartition("-")[0],
            "num_hits": num_hits,
            "num_ok": num_ok,
            "num_rejected": reasons.total(),
            "reasons": dict(reasons),
            "phrases": phrase_yields(catalogue, name),
            "partial": is_cut_short or num_waiting > 0,
            "num_waiting": num_waiting,
        },
    )


def publish_outputs(folder: CrawlFolder, workspace: Workspace) -> None:
    """Publish a crawl's files to the workspace's bucket, if it has one."""
    for path in sorted(folder.path.glob("[!.]*")):
        synced_files.push(workspace, path)


def phrase_yields(catalogue: Catalogue, name: str) -> list[dict[str, Any]]:
    """For each phrase of a crawl: its hits and originals, its failures, and why it stopped."""
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
            "stopped_because": str(cursor.stop or StopReason.ENOUGH),
        }
        for cursor in queries.cursors(catalogue, name)
    ]


@contextlib.contextmanager
def _full_disk_as_error(workspace: Workspace) -> Iterator[None]:
    """Turn the errors of files and databases on a full disk into a ``SuyanError`` with a remedy."""
    try:
        yield
    except (OSError, DBAPIError) as error:
        if not _is_full_disk(error):
            raise
        raise SuyanError(
            localised(
                "the disk of {workspace} is full. Everything stored so far is kept: free "
                "some space (or move the workspace) and run the same command again to go on",
                workspace=workspace,
            )
        ) from error


def _is_full_disk(error: OSError | DBAPIError) -> bool:
    if isinstance(error, DBAPIError):
        sqlite_code = getattr(error.orig, "sqlite_errorcode", None)
        return (
            sqlite_code == sqlite3.SQLITE_FULL or getattr(error.orig, "sqlstate", "") == _DISK_FULL
        )
    return error.errno in {errno.ENOSPC, errno.EDQUOT}


@contextlib.contextmanager
def _rare_garbage_collection() -> Iterator[None]:
    """Collect garbage less often: a crawl makes thousands of rows and no cycles, and the search for
    cycles would take a tenth of its time.
    """
    before = gc.get_threshold()
    gc.set_threshold(_GC_THRESHOLD, 5, 5)
    gc.freeze()  # the collector skips the objects that exist already
    try:
        yield
    finally:
        gc.unfreeze()
        gc.set_threshold(*before)
