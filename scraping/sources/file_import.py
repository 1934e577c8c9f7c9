"""The import of a folder's or an archive's pictures: their copies become originals with rows.

A picture is copied and never linked: an original must not change when a person edits the file. The
bytes that were hashed are those that are written, whatever happens to the file meanwhile.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from core.files import printable_name
from core.image_formats import sniff
from core.workspace import Workspace
from core.workspace_folders import original_key
from scraping.catalogue import file_hits
from scraping.catalogue.entities import (
    FILE_ENGINE,
    Cursor,
    DownloadResult,
    Status,
    Stop,
    StopReason,
)
from scraping.catalogue.file_hits import FileChange
from scraping.catalogue.repository import Catalogue
from scraping.download.task_runner import Tombstones
from scraping.failure_reasons import FailedError, Reason, RejectedError
from scraping.originals import Drafts, commit_drafts
from scraping.search.engine import Hit
from scraping.sources.archive_members import ArchiveScan
from scraping.sources.local_files import FolderScan, LocalFile
from storage import originals
from storage.remote import bucket_of

_FILES_PER_BATCH = 1000
_MAX_BATCH_BYTES = 200_000_000  # of drafts that wait to be committed together


@dataclass(frozen=True)
class FileSource:
    """A folder or an archive of pictures, and what it is called."""

    path: Path  # absolute
    label: str  # in place of a search phrase, e.g. "folder: faces"
    served_by: str  # "folder" or "archive"

    @property
    def engine(self) -> str:
        """What the catalogue knows it by, in place of a search engine."""
        return f"{FILE_ENGINE}{printable_name(self.path)}"

    @property
    def name(self) -> str:
        """The folder's or archive's name, without those of the folders above it."""
        return printable_name(Path(self.path.name))


@dataclass
class FileYield:
    """The counts of one reading of a source."""

    num_files: int = 0
    num_new: int = 0  # that the crawl had not seen before
    num_changed: int = 0  # of these, under the path of an earlier one
    num_gone: int = 0  # pictures of earlier readings whose files are no longer there
    other_files: Counter[str] = field(
        default_factory=Counter
    )  # files that are no pictures, by suffix

    def note(self) -> str:
        """What a person should know besides the counts of the table; "" for nothing."""
        notes = []
        if self.num_files and not self.num_new:
            notes.append(f"nothing new: all {self.num_files} files were there before")
        if self.num_changed:
            notes.append(f"{self.num_changed} changed: both the former and the new picture stay")
        if self.num_gone:
            notes.append(f"{self.num_gone} no longer there: their pictures stay until forgotten")
        if self.other_files:
            kinds = ", ".join(f"{num} {suffix}" for suffix, num in self.other_files.most_common(5))
            notes.append(f"{self.other_files.total()} other files left out ({kinds})")
        return "; ".join(notes)


class FileImport:
    """Reads a source file by file, and saves it batch by batch; safe to be killed and run again."""

    def __init__(
        self, catalogue: Catalogue, crawl: str, workspace: Workspace, max_bytes: int
    ) -> None:
        self._catalogue, self._crawl, self._workspace = catalogue, crawl, workspace
        self._max_bytes = max_bytes
        self._bucket = bucket_of(workspace)
        self._drafts = Drafts(workspace)
        self._tombstones = Tombstones(catalogue.tombstones())

    def run(self, source: FileSource, report: Callable[[int], None]) -> FileYield:
        """Add the pictures of ``source``; ``report`` is called with the number of files so far.

        Raises ``OSError`` where the source itself cannot be read, or the disk is full.
        """
        started_at = time.time()
        settled, paths = set[int](), set[int]()  # hashes of keys and paths, which take less memory
        for key, is_settled in file_hits.known_keys(self._catalogue, source.engine):
            paths.add(hash(_path_of(key)))
            if is_settled:
                settled.add(hash(key))
        batch = _Batch(source, self._catalogue.cursor(self._crawl, source.label))
        present = set[int]()
        try:
            for file in self._files(source, batch.counts):
                present.add(hash(file.path))
                result: DownloadResult | None = None
                if hash(file.key) not in settled:
                    result = self._read(source, file)
                    if hash(file.path) in paths:
                        result = self._unless_unchanged(source, file, result, batch.counts)
                settled.add(hash(file.key))
                batch.add(file, result)
                if batch.is_full():
                    self._save(batch)
                    report(batch.counts.num_files)
            self._save(batch)
            file_hits.settle_gone(self._catalogue, self._crawl, source.engine, started_at)
            absent_keys = file_hits.keys_not_seen_since(
                self._catalogue, self._crawl, source.engine, started_at
            )
            batch.counts.num_gone = sum(
                1 for path in {_path_of(key) for key in absent_keys} if hash(path) not in present
            )
            cursor = replace(
                batch.cursor(), stop=Stop(StopReason.ALL_READ, batch.counts.note()[:300])
            )
            self._catalogue.save_cursor(self._crawl, cursor)
        finally:
            self._drafts.discard()
        report(batch.counts.num_files)
        return batch.counts

    def _files(self, source: FileSource, counts: FileYield) -> Iterable[LocalFile]:
        if source.served_by == "archive":
            scan = ArchiveScan(source.path, self._max_bytes)
            yield from scan
            counts.other_files += scan.other_files
            return
        folder = FolderScan(source.path, self._max_bytes)
        yield from folder
        counts.other_files += folder.other_files
        for path in folder.archives:
            scan = ArchiveScan(path, self._max_bytes, printable_name(path.relative_to(source.path)))
            yield from scan
            counts.other_files += scan.other_files

    def _read(self, source: FileSource, file: LocalFile) -> DownloadResult:
        """The outcome of one file; its draft is on disk."""
        address = _address(source, file)
        outcome = DownloadResult(
            0, source.label, Status.OK, "", address, source.served_by, time.time()
        )
        try:
            body = file.read()
        except RejectedError as error:
            return replace(outcome, status=Status.REJECTED, reason=error.reason)
        except FailedError as error:
            return replace(outcome, status=Status.FAILED, reason=error.reason)
        digest = sha256(body).hexdigest()
        if self._tombstones.cover_picture(digest):
            return replace(outcome, status=Status.REJECTED, reason=Reason.FORGOTTEN)
        image_format = sniff(body)
        assert image_format is not None, "the source has checked it"
        key = original_key(digest, image_format.extension)
        draft = self._drafts.write(key, body)
        return replace(outcome, sha256=digest, path=key, num_bytes=len(body), draft=draft)

    def _unless_unchanged(
        self, source: FileSource, file: LocalFile, result: DownloadResult, counts: FileYield
    ) -> DownloadResult | None:
        """``result`` of a file that has changed; ``None`` for one that was only touched."""
        change = file_hits.take_over(
            self._catalogue, source.engine, file.path, result.sha256, file.key
        )
        if change is FileChange.NONE:
            return None
        counts.num_changed += change is FileChange.CHANGED and result.status == Status.OK
        return result

    def _save(self, batch: _Batch) -> None:
        """Store the batch: first its hits, then its files, then the rows that point to them."""
        if not batch.hits:
            return
        engine, hits = batch.source.engine, [*batch.hits.values()]
        page_yield = self._catalogue.page_yield(self._crawl, engine, batch.cursor(), hits)
        batch.counts.num_new += page_yield.num_new
        self._catalogue.save_page(self._crawl, engine, batch.cursor(), hits, time.time())
        drafts = {result.path: result.draft for result in batch.results.values() if result.draft}
        commit_drafts(self._workspace, drafts)
        stored = {result.path for result in batch.results.values() if result.path}
        if self._bucket is not None:
            originals.publish(self._bucket, self._workspace, stored)
        numbers = file_hits.hit_numbers(self._catalogue, engine, batch.results.keys())
        results = [replace(result, hit=numbers[key]) for key, result in batch.results.items()]
        self._catalogue.save_results(self._crawl, results)
        self._drafts.mark_committed(stored)
        batch.clear()


class _Batch:
    """The files that are saved together."""

    def __init__(self, source: FileSource, cursor: Cursor) -> None:
        self.source, self._cursor = source, cursor
        self.counts = FileYield()
        self.hits: dict[str, Hit] = {}  # by key, here and below
        self.results: dict[str, DownloadResult] = {}  # of the files that were read
        self._num_bytes = 0  # of their drafts

    def add(self, file: LocalFile, result: DownloadResult | None) -> None:
        """Add a file; ``result`` is ``None`` for a known one."""
        self.counts.num_files += 1
        if file.key in self.hits:  # an archive may hold a name twice
            return
        address = _address(self.source, file)
        self.hits[file.key] = Hit(
            file.key, ((self.source.served_by, address),), "", _modified(file), 0, 0
        )
        if result is not None:
            self._num_bytes += result.num_bytes
            self.results[file.key] = result

    def is_full(self) -> bool:
        """Whether it is time to save."""
        return len(self.hits) >= _FILES_PER_BATCH or self._num_bytes >= _MAX_BATCH_BYTES

    def cursor(self) -> Cursor:
        """The source's cursor: its hits are the files of this reading."""
        counts = self.counts
        return replace(
            self._cursor, hits=counts.num_files, new=self._cursor.new + counts.num_new, stop=None
        )

    def clear(self) -> None:
        """Drop the files that were saved."""
        self.hits, self.results, self._num_bytes = {}, {}, 0


def _address(source: FileSource, file: LocalFile) -> str:
    """Where a picture comes from: the source's name, which is no path of this machine, and the
    file's path in it.
    """
    return "/".join(filter(None, [source.name, file.path]))


def _modified(file: LocalFile) -> str:
    """The file's time of change, ISO 8601, UTC; "" where it is unknown."""
    if not file.modified_ns:
        return ""
    try:
        moment = datetime.fromtimestamp(file.modified_ns // 10**9, UTC)
    except (ValueError, OverflowError, OSError):
        return ""
    return f"changed {moment.isoformat()}"


def _path_of(key: str) -> str:
    return key.rpartition("//")[0]
