"""Forgotten pictures in exports: archives, shards, tables and credits without them."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from core.files import atomic_file
from core.workspace_folders import DatasetFolder
from flows.removal.copy_names import is_named_after
from preprocessing.exports.labelled_folders import METADATA_NAME
from preprocessing.version.credits import CREDITS_NAME
from storage.forgotten_record import ForgottenRecord

SUFFIXES = {".zip", ".tar", ".csv"}
"""The endings of exports that are files."""
FOLDER_SUFFIXES = {".csv", ".parquet", ".jsonl"}
"""The endings of files with rows in exports that are folders."""
_MANIFEST = DatasetFolder(Path()).manifest.name


def entries_with_copies(path: Path, record: ForgottenRecord) -> list[str]:
    """The entries of a zip or tar that hold a forgotten picture, by name, content or row; empty for
    a file that is no such archive. A file of credits, metadata or rows is the only entry of itself.
    """
    try:
        if path.suffix == ".parquet":
            return [path.name] if _has_forgotten_rows(path, record) else []
        if path.suffix == ".jsonl":
            lines = path.read_bytes().splitlines() if path.name == METADATA_NAME else []
            return [path.name] if any(_is_described(line, record) for line in lines) else []
        if path.suffix == ".csv":
            holds = path.name.endswith(CREDITS_NAME) and _is_credited(path.read_bytes(), record)
            return [path.name] if holds else []
        if path.suffix == ".zip":
            with zipfile.ZipFile(path) as archive:
                return [
                    entry.filename
                    for entry in archive.infolist()
                    if _holds(
                        entry.filename, entry.file_size, record, lambda e=entry: archive.read(e)
                    )
                ]
        with tarfile.open(path) as shard:
            return [
                member.name
                for member in shard
                if member.isfile()
                and _holds(member.name, member.size, record, lambda m=member: _content(shard, m))
            ]
    except (OSError, zipfile.BadZipFile, tarfile.TarError, pa.ArrowException):
        return []


def remove_entries(path: Path, record: ForgottenRecord) -> None:
    """Write the archive again, atomically, without the forgotten pictures and their rows."""
    names = set(entries_with_copies(path, record))
    with atomic_file(path) as file:
        if path.suffix in FOLDER_SUFFIXES:
            _write_without_rows(path, file, record)
            return
        if path.suffix == ".zip":
            with zipfile.ZipFile(path) as old, zipfile.ZipFile(file, "w") as new:
                for entry in old.infolist():
                    if entry.filename not in names:
                        new.writestr(entry, old.read(entry))
                    elif PurePosixPath(entry.filename).name == _MANIFEST:
                        new.writestr(entry, _without_rows(old.read(entry), record))
                    elif PurePosixPath(entry.filename).name == CREDITS_NAME:
                        new.writestr(entry, _without_credits(old.read(entry), record))
            return
        with tarfile.open(path) as old_shard, tarfile.open(fileobj=file, mode="w") as new_shard:
            for member in old_shard:
                if member.name not in names:
                    new_shard.addfile(member, io.BytesIO(_content(old_shard, member)))


def _holds(name: str, num_bytes: int, record: ForgottenRecord, read: object) -> bool:
    assert callable(read)
    if PurePosixPath(name).name == _MANIFEST:
        return bool(_forgotten_rows(_table(read()), record).true_count)
    if PurePosixPath(name).name == CREDITS_NAME:
        return _is_credited(read(), record)
    if is_named_after(name, record.heads):
        return True
    if num_bytes not in set(record.copies.values()):
        return False
    sha256 = hashlib.sha256(read()).hexdigest()
    return sha256 in record.copies or sha256 in record.pictures


def _content(shard: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = shard.extractfile(member)
    return file.read() if file else b""


def _table(content: bytes) -> pa.Table:
    return pq.read_table(io.BytesIO(content))


def _forgotten_rows(table: pa.Table, record: ForgottenRecord) -> pa.BooleanArray:
    mask = pc.is_in(table["sha256"], value_set=pa.array(sorted(record.pictures), pa.string()))
    return mask.combine_chunks() if isinstance(mask, pa.ChunkedArray) else mask


def _without_rows(manifest: bytes, record: ForgottenRecord) -> bytes:
    table, buffer = _table(manifest), io.BytesIO()
    pq.write_table(table.filter(pc.invert(_forgotten_rows(table, record))), buffer)
    return buffer.getvalue()


def _has_forgotten_rows(path: Path, record: ForgottenRecord) -> bool:
    with pq.ParquetFile(path) as shard:
        if "sha256" not in shard.schema_arrow.names:
            return False
        table = shard.read(columns=["sha256"])
    return bool(_forgotten_rows(table, record).true_count)


def _write_without_rows(path: Path, file: BinaryIO, record: ForgottenRecord) -> None:
    """Copy a file of rows without the forgotten ones."""
    if path.suffix == ".csv":
        file.write(_without_credits(path.read_bytes(), record))
        return
    if path.suffix == ".jsonl":
        lines = path.read_bytes().splitlines(keepends=True)
        file.writelines(line for line in lines if not _is_described(line, record))
        return
    # group by group, because the pictures of a whole shard fill the memory
    with pq.ParquetFile(path) as old, pq.ParquetWriter(file, old.schema_arrow) as new:
        for number in range(old.num_row_groups):
            table = old.read_row_group(number)
            new.write_table(table.filter(pc.invert(_forgotten_rows(table, record))))


def _is_described(line: bytes, record: ForgottenRecord) -> bool:
    """Whether a line of metadata describes a forgotten picture."""
    try:
        return json.loads(line).get("sha256") in record.pictures
    except (ValueError, AttributeError):  # a line of somebody else
        return False


def _is_credited(table: bytes, record: ForgottenRecord) -> bool:
    return any(is_named_after("".join(row[:1]), record.heads) for row in _credits(table))


def _credits(table: bytes) -> Iterator[list[str]]:
    return csv.reader(io.StringIO(table.decode(errors="replace"), newline=""))


def _without_credits(table: bytes, record: ForgottenRecord) -> bytes:
    """The table without the rows whose file is named after a forgotten picture."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows(
        row for row in _credits(table) if not is_named_after("".join(row[:1]), record.heads)
    )
    return text.getvalue().encode()
