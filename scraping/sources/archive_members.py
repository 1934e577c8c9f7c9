"""The picture files of an archive, read by a process of its own (``archive_worker.py``)."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from scraping.failure_reasons import FailedError, Reason, RejectedError, may_pass
from scraping.sources.local_files import LocalFile

_PROGRAM = "from scraping.sources.archive_worker import main; main()"
_MAX_HEADER_BYTES = 1 << 20


class ArchiveScan:
    """The pictures of a zip or tar archive, in its own order; iterate once.

    ``other_files`` counts the members that are left out, by suffix. An archive that cannot be read,
    or only in part, has a row of its own with the reason, whose path is ``prefix`` alone.
    """

    def __init__(self, archive: Path, max_bytes: int, prefix: str = "") -> None:
        self._archive, self._max_bytes, self._prefix = archive, max_bytes, prefix
        self.other_files: Counter[str] = Counter()

    def __iter__(self) -> Iterator[LocalFile]:
        arguments = (str(self._archive), str(self._max_bytes))
        with subprocess.Popen(  # noqa: S603 - -P: it imports nothing from the working folder
            [sys.executable, "-P", "-c", _PROGRAM, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        ) as process:
            assert process.stdout is not None
            try:
                yield from self._files(process.stdout)
            finally:
                process.kill()

    def _files(self, frames: IO[bytes]) -> Iterator[LocalFile]:
        while True:
            header, body = _frame(frames)
            if header is None:  # the process died, e.g. of its memory limit
                status = self._archive.stat()
                refusal = _raise(RejectedError(Reason.BROKEN_ARCHIVE))
                yield LocalFile(self._prefix, status.st_mtime_ns, status.st_size, refusal)
                return
            if "others" in header:
                self.other_files.update(header["others"])
                return
            path = "/".join(filter(None, [self._prefix, header["path"]]))
            reason = header["reason"]
            read = _raise(_error(reason)) if reason else _give(body)
            yield LocalFile(path, header["modified_ns"], header["num_bytes"], read)


def _frame(frames: IO[bytes]) -> tuple[dict[str, Any] | None, bytes]:
    """The next header and body; ``None`` where the process ended before its last frame."""
    length = frames.read(4)
    if len(length) < 4 or int.from_bytes(length) > _MAX_HEADER_BYTES:
        return None, b""
    text = frames.read(int.from_bytes(length))
    try:
        header: dict[str, Any] = json.loads(text)
    except ValueError:
        return None, b""
    body = frames.read(header["body"])
    return (header, body) if len(body) == header["body"] else (None, b"")


def _error(reason: str) -> RejectedError | FailedError:
    return FailedError(reason) if may_pass(reason) else RejectedError(reason)


def _raise(error: RejectedError | FailedError) -> Callable[[], bytes]:
    def read() -> bytes:
        raise error

    return read


def _give(body: bytes) -> Callable[[], bytes]:
    return lambda: body
