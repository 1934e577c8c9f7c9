"""The files of a batch: photographs out of uploads, and a zip of results with a row for each."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from core.files import printable_name
from scraping.failure_reasons import FailedError, RejectedError
from scraping.failure_reasons import Reason as ArchiveReason
from scraping.sources.archive_members import ArchiveScan
from scraping.sources.local_files import is_archive
from serving.refusals import Reason, Refusal
from serving.web.session import Limits

_MAX_NAME_CHARACTERS = 200
_CHUNK_BYTES = 1 << 20
_REASONS: Mapping[str, Reason] = {
    ArchiveReason.ENCRYPTED: Reason.ENCRYPTED,
    ArchiveReason.NESTED_ARCHIVE: Reason.NESTED_ARCHIVE,
    ArchiveReason.ARCHIVE_BOMB: Reason.ARCHIVE_BOMB,
    ArchiveReason.LINK: Reason.LINK,
    ArchiveReason.EMPTY: Reason.EMPTY,
    ArchiveReason.NOT_AN_IMAGE: Reason.UNREADABLE,
}  # all others: BROKEN_ARCHIVE
_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet would compute


@dataclass(frozen=True)
class Upload:
    """A file as it was sent."""

    name: str  # the sender's, as one line of text
    path: Path


@dataclass(frozen=True)
class BatchPhoto:
    """A photograph of a batch, or the reason why a file, or what follows it, is none."""

    name: str  # a relative path without ``..``
    path: Path | None
    refusal: Refusal | None = None
    upload_number: int = 0  # of a photograph that was sent by itself, starting at 1


def upload_name(name: str | None) -> str:
    """The name of an upload as a relative path below a batch, whatever its sender wrote."""
    parts = (name or "").replace("\\", "/").replace("\0", "").split("/")
    parts = [part for part in parts if part not in {"", ".", ".."} and not part.endswith(":")]
    path = "/".join(parts)[-_MAX_NAME_CHARACTERS:].lstrip("/")
    return printable_name(Path(path)) if path else "photo"


def unpack(uploads: Sequence[Upload], folder: Path, limits: Limits) -> Iterator[BatchPhoto]:
    """The photographs of uploads, those of archives written into ``folder`` under numbers.

    Archives are read by a process with limits (``scraping/sources``), which writes nothing. What
    would be larger than the limits is left out, with its reason.
    """
    num_photos, num_bytes = 0, 0
    for number, upload in enumerate(uploads, start=1):
        if not is_archive(upload.name):
            num_photos += 1
            yield BatchPhoto(upload.name, upload.path, upload_number=number)
            continue
        is_empty = True
        for file in ArchiveScan(upload.path, limits.max_bytes, upload.name):
            is_empty = False
            if num_photos >= limits.max_photos:
                refusal = Refusal(Reason.TOO_MANY_PHOTOS, {"limit": limits.max_photos})
                yield BatchPhoto(file.path, None, refusal)
                return
            num_photos += 1
            try:
                content = file.read()
            except (RejectedError, FailedError) as error:
                yield BatchPhoto(file.path, None, _refusal(error.reason, file.num_bytes, limits))
                continue
            num_bytes += len(content)
            if num_bytes > limits.max_batch_bytes:
                yield BatchPhoto(file.path, None, limits.batch_full)
                return
            path = folder / f"photo-{num_photos}"
            path.write_bytes(content)
            yield BatchPhoto(file.path, path)
        if is_empty:
            yield BatchPhoto(upload.name, None, Refusal(Reason.NO_PHOTOS))
        upload.path.unlink(missing_ok=True)


def _refusal(reason: str, num_bytes: int, limits: Limits) -> Refusal:
    if reason == ArchiveReason.TOO_LARGE:
        return limits.refusal(num_bytes)
    return Refusal(_REASONS.get(reason, Reason.BROKEN_ARCHIVE))


def result_name(name: str, suffix: str, used: set[str]) -> str:
    """The path of a result in the zip: the photograph's, with the format's suffix and, if another
    one has it, a number. It is added to ``used``.
    """
    path = PurePosixPath(name)
    number = 1
    while True:
        count = f"-{number}" if number > 1 else ""
        candidate = path.with_name(f"{path.stem}{count}{suffix}").as_posix()
        if candidate.lower() not in used:  # some file systems know no capitals
            used.add(candidate.lower())
            return candidate
        number += 1


def zip_stream(
    results: Sequence[tuple[str, Path]], rows: Sequence[Mapping[str, Any]]
) -> Iterator[bytes]:
    """The bytes of a zip with the results and the rows, as ``rows.csv`` and ``rows.json``."""
    sink = _Sink()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_STORED) as archive:  # pictures hardly shrink
        for name, path in results:
            with path.open("rb") as file, archive.open(zipfile.ZipInfo(name), "w") as member:
                while chunk := file.read(_CHUNK_BYTES):
                    member.write(chunk)
                    yield sink.take()
        archive.writestr(zipfile.ZipInfo("rows.csv"), _csv(rows))
        archive.writestr(
            zipfile.ZipInfo("rows.json"), json.dumps(list(rows), ensure_ascii=False, indent=1)
        )
    yield sink.take()


class _Sink(io.RawIOBase):
    """What a zip is written to; ``take`` gives the bytes since the last call."""

    def __init__(self) -> None:
        self._chunks: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._chunks.append(bytes(data))
        return len(data)

    def take(self) -> bytes:
        content = b"".join(self._chunks)
        self._chunks.clear()
        return content


def _csv(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """The rows for a spreadsheet, which needs the mark of UTF-8 to read Chinese names."""
    file = io.StringIO()
    names = ("number", "name", "state", "result", "num_faces", "message", "notes")
    writer = csv.writer(file)
    writer.writerow(names)
    for row in rows:
        writer.writerow([_cell(row.get(name)) for name in names])
    return file.getvalue().encode("utf-8-sig")


def _cell(value: object) -> object:
    """A value that a spreadsheet takes for text."""
    if isinstance(value, list):
        value = ", ".join(map(str, value))
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
