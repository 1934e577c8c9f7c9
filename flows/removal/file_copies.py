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
from flows.removal.archives import FOLDER_SUFFIXES, SUFFIXES, entries_with_copies
from flows.removal.copy_names import is_named_after
from preprocessing.version.export_record import FOLDER_FORMATS
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
    """The archives, tables and credits that hold a forgotten picture: files directly in
    ``folders``, and below the folders of exports in them.
    """
    for folder in dict.fromkeys(path.absolute() for path in folders):
        files = [path for path in folder.glob("*") if path.suffix in SUFFIXES]
        for exported in exported_folders([folder]):
            files += (path for path in exported.rglob("*") if path.suffix in FOLDER_SUFFIXES)
        for path in sorted(files):
            if path.is_file() and entries_with_copies(path, record):
                yield path


def exported_folders(folders: Iterable[Path]) -> Iterator[Path]:
    """The exports that are folders: those in ``folders``, and of ``folders`` themselves."""
    for folder in map(Path.absolute, folders):
        for kind in FOLDER_FORMATS:
            itself = [folder] if folder.name.endswith(f"-{kind}") else []
            for path in (*itself, *sorted(folder.glob(f"*-{kind}"))):
                if path.is_dir() and (path / "README.md").is_file():
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
