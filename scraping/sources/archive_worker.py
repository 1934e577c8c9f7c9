"""The process that reads an archive: only it parses what the archive's author wrote.

It writes frames to stdout: the length of a header in four bytes, the header as JSON, and the bytes
of a picture. It never writes a file, so names in the archive name nothing on this machine.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import stat
import sys
import tarfile
import zipfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from core.files import printable_name
from core.image_formats import SUFFIXES
from scraping.failure_reasons import Reason, RejectedError
from scraping.sources.local_files import (
    HEAD_BYTES,
    is_archive,
    is_hidden,
    may_be_picture,
    picture_bytes,
    suffix_of,
)

_MEMORY_BYTES = 1 << 30  # besides one picture
_MAX_RATIO = 200  # of what is unpacked to the archive's own bytes; pictures hardly shrink
_MIN_BUDGET_BYTES = 1 << 30  # which every archive may be unpacked to
_UTF8_NAME = 0x800  # flags of a zip's member
_IS_ENCRYPTED = 0x1
_MAX_PATH_BYTES = 1000


class _BombError(Exception):
    """The archive unpacks to more than an archive of pictures does."""


@dataclass(frozen=True)
class _Member:
    """A file in the archive; ``reason`` is that why it is not opened, or ""."""

    path: str
    modified_ns: int
    num_bytes: int  # as the archive says
    reason: str = ""

    @property
    def has_picture_name(self) -> bool:
        """Whether its name is a picture's, so that it gets a row."""
        return PurePosixPath(self.path).suffix.lower() in SUFFIXES


_WHOLE = _Member("", 0, 0)
"""In a frame: the archive itself."""


class _Archive:
    """Reads one archive and writes its frames."""

    def __init__(self, path: Path, max_bytes: int, out: BinaryIO) -> None:
        self._path, self._max_bytes, self._out = path, max_bytes, out
        self._budget = max(_MAX_RATIO * path.stat().st_size, _MIN_BUDGET_BYTES)
        self._other_files: Counter[str] = Counter()

    def run(self) -> None:
        """Write a frame for each picture, one for the archive if it breaks, and the last one."""
        try:
            if _begins_as_zip(self._path):
                self._read_zip()
            else:
                self._read_tar()
        except _BombError:
            self._refuse(_WHOLE, Reason.ARCHIVE_BOMB)
        except BrokenPipeError:  # the parent is gone
            raise
        except Exception:  # whatever its author wrote: what was read before stays
            self._refuse(_WHOLE, Reason.BROKEN_ARCHIVE)
        self._write({"others": dict(self._other_files)})

    def _read_zip(self) -> None:
        with zipfile.ZipFile(self._path) as archive:
            for info in archive.infolist():
                if info.is_dir():
                    continue
                reason = Reason.LINK if stat.S_ISLNK(info.external_attr >> 16) else ""
                if info.flag_bits & _IS_ENCRYPTED:
                    reason = Reason.ENCRYPTED
                path = _clean(_zip_name(info))
                member = _Member(path, _zip_time_ns(info), info.file_size, reason)
                self._member(member, partial(archive.open, info))

    def _read_tar(self) -> None:
        with tarfile.open(self._path, "r:*") as archive:
            for info in archive:
                archive.members = []  # type: ignore[attr-defined] # else it holds all of them
                self._spend(info.size)  # to skip it costs as much as to read it
                if info.isdir():
                    continue
                reason = "" if info.isreg() and not info.issparse() else Reason.LINK
                member = _Member(_clean(info.name), int(info.mtime * 1e9), info.size, reason)
                self._member(member, partial(archive.extractfile, info), is_spent=True)

    def _member(
        self, member: _Member, open_member: Callable[[], Any], *, is_spent: bool = False
    ) -> None:
        """Write the frame of one member; one that cannot be a picture is counted.

        ``is_spent``: the budget has its bytes already, and an error in it ends the archive.
        """
        if is_hidden(member.path):
            return
        if not member.has_picture_name and is_archive(member.path):
            self._refuse(member, Reason.NESTED_ARCHIVE)
            return
        try:
            body = self._body(member, open_member)
        except RejectedError as error:
            self._refuse(member, error.reason)
            return
        except (BrokenPipeError, _BombError):
            raise
        except Exception:  # a wrong checksum, an unknown compression: it costs this member
            self._refuse(member, Reason.BROKEN_ARCHIVE)
            if is_spent:
                raise
            return
        if body is None:
            self._other_files[suffix_of(member.path)] += 1
            return
        if not is_spent:
            self._spend(len(body))
        self._write(_header(member, ""), body)

    def _body(self, member: _Member, open_member: Callable[[], Any]) -> bytes | None:
        """The bytes of a picture; ``None`` for another file. Raises ``RejectedError``."""
        if member.reason:
            if member.has_picture_name:
                raise RejectedError(member.reason)
            return None
        with open_member() as file:
            head = file.read(HEAD_BYTES)
            if not may_be_picture(member.path, head):
                return None
            if member.num_bytes > self._max_bytes:
                raise RejectedError(Reason.TOO_LARGE)
            return picture_bytes(head + file.read(self._max_bytes + 1 - len(head)), self._max_bytes)

    def _spend(self, num_bytes: int) -> None:
        self._budget -= num_bytes
        if self._budget < 0:
            raise _BombError

    def _refuse(self, member: _Member, reason: str) -> None:
        self._write(_header(member, reason))

    def _write(self, header: dict[str, Any], body: bytes = b"") -> None:
        text = json.dumps({**header, "body": len(body)}).encode()
        self._out.write(len(text).to_bytes(4) + text + body)
        self._out.flush()


def _begins_as_zip(path: Path) -> bool:
    """Whether it is a zip; a tar that ends with one is none."""
    with path.open("rb") as file:
        return file.read(4) in {b"PK\x03\x04", b"PK\x05\x06"}


def _header(member: _Member, reason: str) -> dict[str, Any]:
    return {
        "path": member.path,
        "modified_ns": member.modified_ns,
        "num_bytes": member.num_bytes,
        "reason": reason,
    }


def _zip_name(info: zipfile.ZipInfo) -> str:
    """The member's name; older programs for Windows wrote Chinese ones in GB 18030, unsaid."""
    if info.flag_bits & _UTF8_NAME:
        return info.filename
    with contextlib.suppress(UnicodeEncodeError):
        encoded = info.filename.encode("cp437")
        for encoding in ("utf-8", "gb18030"):
            with contextlib.suppress(UnicodeDecodeError):
                return encoded.decode(encoding)
    return info.filename


def _zip_time_ns(info: zipfile.ZipInfo) -> int:
    """A zip has no time zone; UTC is taken, so that every machine gets the same time."""
    try:
        return int(datetime(*info.date_time, tzinfo=UTC).timestamp() * 1e9)
    except ValueError:
        return 0


def _clean(name: str) -> str:
    """A member's name as a path below the archive and one line of text, without ``..``."""
    parts = name.replace("\\", "/").replace("\0", "").split("/")
    path = "/".join(printable_name(Path(part)) for part in parts if part not in {"", ".", ".."})
    encoded = path.encode(errors="replace")
    return encoded[-_MAX_PATH_BYTES:].decode(errors="ignore") or "no name"


def main() -> None:
    """Read the archive ``argv[1]``, whose pictures have at most ``argv[2]`` bytes."""
    max_bytes = int(sys.argv[2])
    limit = _MEMORY_BYTES + 4 * max_bytes
    with contextlib.suppress(OSError, ValueError):  # not every system has this limit
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints cannot mix with the frames
    with contextlib.suppress(BrokenPipeError):
        _Archive(Path(sys.argv[1]), max_bytes, out).run()
