"""The picture files of a person's folder, in a fixed order, with what each is known by."""

from __future__ import annotations

import contextlib
import os
import stat
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from core.files import printable_name
from core.image_formats import SUFFIXES, sniff
from core.workspace import Workspace
from scraping.failure_reasons import FailedError, Reason, RejectedError

HEAD_BYTES = 16
"""Bytes of a file's beginning that tell whether it is a picture."""

ARCHIVE_SUFFIXES = (
    ".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz",
)  # fmt: skip
"""Endings of the names of archives that are read, in lower case."""

_MAX_PATH_BYTES = 1000
_LINK_TO_FOLDER = "link to a folder"
_WORKSPACE = "workspace of Suyan"


@dataclass(frozen=True)
class LocalFile:
    """A file of a source. ``read`` returns its bytes, and raises ``RejectedError`` or
    ``FailedError`` with the reason why it gives no picture.
    """

    path: str  # relative to the source, as one line of text
    modified_ns: int  # time of change, nanoseconds since 1970
    num_bytes: int
    read: Callable[[], bytes]

    @property
    def key(self) -> str:
        """What tells this content of the file from an earlier one; see ``FILE_ENGINE``."""
        return f"{self.path}//{self.modified_ns}-{self.num_bytes}"


def may_be_picture(name: str, head: bytes) -> bool:
    """Whether a file's name or first bytes are those of a picture."""
    return PurePosixPath(name).suffix.lower() in SUFFIXES or sniff(head) is not None


def is_archive(name: str) -> bool:
    """Whether a file's name is that of an archive that is read."""
    return name.lower().endswith(ARCHIVE_SUFFIXES)


def is_hidden(path: str) -> bool:
    """Whether a program keeps the file for itself, e.g. ``.DS_Store`` or ``__MACOSX/._a.jpg``."""
    return any(part.startswith(".") or part == "__MACOSX" for part in PurePosixPath(path).parts)


def suffix_of(path: str) -> str:
    """The ending of a file's name, for people; ``"no suffix"`` where it has none."""
    return PurePosixPath(path).suffix.lower() or "no suffix"


def picture_bytes(body: bytes, max_bytes: int) -> bytes:
    """``body``, if it begins as a picture does. Raises ``RejectedError``."""
    if len(body) > max_bytes:
        raise RejectedError(Reason.TOO_LARGE, max_bytes)
    if not body:
        raise RejectedError(Reason.EMPTY)
    if sniff(body) is None:
        raise RejectedError(Reason.NOT_AN_IMAGE)
    return body


class FolderScan:
    """The pictures of a folder and of the folders in it, sorted by name; iterate once.

    ``other_files`` counts the files that are left out, by suffix. ``archives`` are the paths of
    archives among them, which the caller reads. Links to files are followed, links to folders are
    not. A workspace in the folder is left out: its pictures are copies and previews. Iteration
    raises ``OSError`` where the folder itself cannot be read.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self._folder, self._max_bytes = folder, max_bytes
        self.other_files: Counter[str] = Counter()
        self.archives: list[Path] = []

    def __iter__(self) -> Iterator[LocalFile]:
        yield from self._scan(self._folder, "")

    def _scan(self, folder: Path, above: str) -> Iterator[LocalFile]:
        with os.scandir(folder) as entries:
            sorted_entries = sorted(entries, key=lambda entry: entry.name)
        for entry in sorted_entries:
            if is_hidden(entry.name):
                continue
            path = above + _printable(entry.name)
            if entry.is_dir(follow_symlinks=False):
                if _is_workspace(Workspace(Path(entry.path))):
                    self.other_files[_WORKSPACE] += 1
                    continue
                try:
                    yield from self._scan(Path(entry.path), f"{path}/")
                except OSError:
                    yield _unreadable(f"{path}/")
            elif entry.is_dir():
                self.other_files[_LINK_TO_FOLDER] += 1
            else:
                yield from self._file(entry, path)

    def _file(self, entry: os.DirEntry[str], path: str) -> Iterator[LocalFile]:
        """The file, if it may be a picture; else it is counted."""
        try:
            status = entry.stat()
            is_picture = PurePosixPath(entry.name).suffix.lower() in SUFFIXES
            if not stat.S_ISREG(status.st_mode):
                self.other_files["no file"] += 1
                return
            if not is_picture and is_archive(entry.name):
                self.archives.append(Path(entry.path))
                return
            if not is_picture and not may_be_picture("", _head(entry.path)):
                self.other_files[suffix_of(entry.name)] += 1
                return
        except OSError:
            if PurePosixPath(entry.name).suffix.lower() in SUFFIXES:
                yield _unreadable(path)
            else:
                self.other_files["unreadable"] += 1
            return
        yield LocalFile(
            _short(path), status.st_mtime_ns, status.st_size, lambda: self._read(entry.path, status)
        )

    def _read(self, path: str, before: os.stat_result) -> bytes:
        """The bytes of a picture file that does not change meanwhile, so is no half of a copy."""
        if before.st_size > self._max_bytes:
            raise RejectedError(Reason.TOO_LARGE, self._max_bytes)
        try:
            with contextlib.closing(_Opened(path)) as opened:
                body = opened.read(self._max_bytes + 1)
                after = os.fstat(opened.descriptor)
        except OSError as error:
            raise FailedError(Reason.UNREADABLE) from error
        has_changed = after.st_mtime_ns != before.st_mtime_ns or len(body) != before.st_size
        if has_changed:
            raise FailedError(Reason.UNREADABLE)
        return picture_bytes(body, self._max_bytes)


def _is_workspace(folder: Workspace) -> bool:
    return folder.catalogue.exists() or (folder.originals.is_dir() and folder.crawls.is_dir())


class _Opened:
    """A file that is open for reading; opening a pipe does not wait for its writer."""

    def __init__(self, path: str) -> None:
        self.descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)

    def read(self, num_bytes: int) -> bytes:
        """At most ``num_bytes`` from here on."""
        body = os.read(self.descriptor, min(num_bytes, os.fstat(self.descriptor).st_size + 1))
        while len(body) < num_bytes and (more := os.read(self.descriptor, num_bytes - len(body))):
            body += more
        return body

    def close(self) -> None:
        """Close the file."""
        os.close(self.descriptor)


def _head(path: str) -> bytes:
    with contextlib.closing(_Opened(path)) as opened:
        return os.read(opened.descriptor, HEAD_BYTES)


def _unreadable(path: str) -> LocalFile:
    def read() -> bytes:
        raise FailedError(Reason.UNREADABLE)

    return LocalFile(_short(path), 0, 0, read)


def _printable(name: str) -> str:
    return printable_name(Path(name))


def _short(path: str) -> str:
    """``path``, of which a very long one loses its beginning: an index holds no longer key."""
    encoded = path.encode()
    if len(encoded) <= _MAX_PATH_BYTES:
        return path
    return "…" + encoded[-_MAX_PATH_BYTES:].decode(errors="ignore")
