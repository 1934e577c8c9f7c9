"""Files that show a forgotten picture: found by name, and by content under any name."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from core.files import file_sha256
from core.progress import Progress
from core.tables import Original, iter_rows
from core.workspace import Workspace
from core.workspace_folders import CrawlFolder
from flows.removal.archives import SUFFIXES, entries_with_copies
from flows.removal.copy_names import is_named_after
from storage.forgotten_record import ForgottenRecord

_FILES_PER_PROGRESS = 1000


def find_files(
    folders: Iterable[Path],
    record: ForgottenRecord,
    *,
    skipped: Collection[Path] = (),
    progress: Progress,
) -> Iterator[Path]:
    """The files below ``folders``, hidden ones too, that are copies or are named after a forgotten
    picture; folders in ``skipped`` are left out.

    A file's content is read only if a known copy has as many bytes.
    """
    heads, sizes = record.heads, set(record.copies.values())
    for number, path in enumerate(_files(folders, set(skipped)), start=1):
        if number % _FILES_PER_PROGRESS == 0:
            progress("look for copies", number, None, str(path.parent))
        if is_named_after(path.name, heads):
            yield path
            continue
        with suppress(FileNotFoundError):  # another process removes files too
            if path.lstat().st_size in sizes and not path.is_symlink():
                sha256 = file_sha256(path)
                if sha256 in record.copies or sha256 in record.pictures:
                    yield path


def find_archives(folders: Iterable[Path], record: ForgottenRecord) -> Iterator[Path]:
    """The zip, tar and credits files directly in ``folders`` that hold a forgotten picture."""
    for folder in dict.fromkeys(path.absolute() for path in folders):
        for path in sorted(folder.glob("*")) if folder.is_dir() else ():
            if path.suffix in SUFFIXES and path.is_file() and entries_with_copies(path, record):
                yield path


def find_listings(workspace: Workspace, pictures: Collection[str]) -> Iterator[CrawlFolder]:
    """The crawls whose listing still has one of these originals."""
    for crawl in map(CrawlFolder, sorted(workspace.crawls.glob("*"))):
        if crawl.listing.exists() and any(
            row.sha256 in pictures for row in iter_rows(crawl.listing, Original)
        ):
            yield crawl


def digests_of(paths: Iterable[Path]) -> dict[str, int]:
    """sha256 of these files, and their lengths in bytes; files that are gone are left out."""
    digests = {}
    for path in paths:
        with suppress(FileNotFoundError, IsADirectoryError):
            digests[file_sha256(path)] = path.stat().st_size
    return digests


def _files(folders: Iterable[Path], skipped: Collection[Path]) -> Iterator[Path]:
    for folder in folders:
        for parent, names, files in os.walk(folder):
            names[:] = [name for name in names if Path(parent, name) not in skipped]
            yield from (Path(parent, name) for name in files)
