"""The shared leaf: the few frozen types and file formats every stage speaks.

It imports no other module of the project, and every stage may import it.

Errors (one tree; a bad *image* is never an exception but a row with ``status`` and ``reason``)::

    SuyanError
    ├── TransientError        time-out, 429, 5xx: the only thing that is retried
    ├── BlockedError          the search engine asked us to stop: stop politely, keep what was found
    ├── ResponseFormatError   the answer is not what the format says: never retried
    ├── TooFewImagesError     a domain yields too few usable images: nothing is lost, the run ends
    ├── FolderMismatchError   a folder holds the work of a different configuration
    ├── CheckpointError       a checkpoint is missing, torn, or of another shape
    ├── MissingModelError     a model file or package that the stage needs is not installed
    └── BucketError           object storage refuses, or lacks what is needed

``ValueError`` stands for what a user gave, ``assert`` for our own invariants.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
import sqlite3
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

if TYPE_CHECKING:
    import pyarrow as pa

Row = TypeVar("Row")
_ROW_GROUP = 5000


class SuyanError(Exception):
    """Root of every error that Suyan raises on purpose."""


class TransientError(SuyanError):
    """A time-out, a 429 or a 5xx: worth trying again. ``retry_after_s`` is the host's own wish."""

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class BlockedError(SuyanError):
    """The search engine wants us to stop (anti-bot body, captcha redirect)."""


class ResponseFormatError(SuyanError):
    """A search answer does not follow the wire format; the message quotes the spot."""


class TooFewImagesError(SuyanError):
    """A domain has fewer usable images than the run needs; the message says what became of them."""


class FolderMismatchError(SuyanError):
    """A folder was written with another configuration; the message lists the differences."""


class CheckpointError(SuyanError):
    """A checkpoint is missing, torn or does not fit; the message says which tensor and shapes."""


class MissingModelError(SuyanError):
    """A model that a stage needs is not there; the message says how to get it."""


class BucketError(SuyanError):
    """Object storage refuses or lacks what is needed; the message says what to do."""


Progress = Callable[[str, int, int | None, str], None]
"""``progress(stage, done, total, message)``: called a few times a second at most.

``total`` is ``None`` while unknown. Called from the thread that called the glue function.
"""


def silent(stage: str, done: int, total: int | None, message: str) -> None:
    """A ``Progress`` that shows nothing."""


@dataclass(frozen=True, slots=True)
class Original:
    """One row of a listing: what became of one search hit.

    ``status`` is ``"ok"`` (``sha256`` and ``path`` are set) or ``"rejected"`` (``reason`` is set).
    """

    domain: str  # name of the domain the phrase belongs to, e.g. "makeup"
    phrase: str  # search phrase that found it
    url: str  # address the bytes came from (of the last try, when rejected)
    served_by: str  # which field of the hit served: objURL replaceUrl middleURL hoverURL thumbURL
    page_url: str  # address of the page that shows the picture
    title: str  # title of that page, as plain text
    sha256: str  # digest of the bytes, 64 hex digits; "" when rejected
    path: str  # file of the original, relative to the workspace; "" when rejected
    num_bytes: int  # length of the file; 0 when rejected
    status: str  # "ok" or "rejected"
    reason: str  # "" or a short machine-friendly reason, e.g. "http-404", "not-an-image"
    fetched_at: str  # ISO 8601, UTC


@dataclass(frozen=True, slots=True)
class Picture:
    """One row of a dataset's ``manifest.parquet``: what became of one original (or of one of its
    faces, where each is cropped).

    Coordinates are pixels of the original after its EXIF orientation is applied, x to the right,
    y downwards, pixel centres at half-integers.
    """

    sha256: str  # of the original
    domain: str  # e.g. "makeup"
    side: str  # "A" or "B"
    split: str  # "train", "test" or "" when rejected
    file: str  # e.g. "trainA/0123456789abcdef.png", relative to the dataset; "" when rejected
    status: str  # "ok" or "rejected"
    reason: str  # "" or e.g. "no-face", "several-faces", "duplicate-of:<sha256>", "in-both-domains"
    cluster: str  # near-duplicate cluster, named by its oldest member's sha256; "" when undecoded
    phash: str  # 16 hex digits, whole picture without plain borders; "" when undecoded
    face_phash: str  # 16 hex digits, aligned crop; "" without a face
    width: int  # pixels; 0 when undecoded
    height: int  # pixels; 0 when undecoded
    keypoints: list[
        float
    ]  # x0 y0 … of right eye, left eye, nose tip, mouth, right ear, left ear; []
    transform: list[float]  # 2×3 row-major affine, original pixels → crop pixels; [] when rejected
    sharpness: float  # variance of the Laplacian at 128 px, grey levels²; 0 without a crop
    phrase: str  # the first one that found it
    url: str  # the first address that gave it
    original: str  # file of the original, relative to the workspace
    page_url: str = ""  # the first page that shows it
    phrases: list[str] = field(default_factory=list)  # all that found it
    sources: list[str] = field(default_factory=list)  # all addresses that gave these bytes
    face: int = -1  # number of the face in the original, the largest is 0; -1: the whole picture
    box: list[float] = field(default_factory=list)  # of the face: left, top, right, bottom; or []
    crop_box: list[float] = field(default_factory=list)  # the crop's corners, x0 y0 …
    mirrored_phash: str = ""  # 16 hex digits, of the mirrored whole picture
    face_score: float = 0.0  # the detector's, 0 to 1
    profile: float = 0.0  # nose off the eyes' middle, in eye distances
    outside: float = 0.0  # share of the crop beyond the photograph
    covered: float = 0.0  # above about 1.4: mouth or jaw are not skin-coloured
    unsafe: float = -1.0  # safety filter's score, 0 to 1; -1: it was off
    override: str = ""  # a person's decision: "keep", "drop", "move" or ""


def _schema(row_type: type[Any]) -> pa.Schema:
    import pyarrow as pa  # here and below: a tenth of a second that most commands do without

    types: Mapping[str, pa.DataType] = {
        "str": pa.string(),
        "int": pa.int64(),
        "float": pa.float64(),
        "list[float]": pa.list_(pa.float64()),
        "list[str]": pa.list_(pa.string()),
    }
    return pa.schema([(column.name, types[str(column.type)]) for column in fields(row_type)])


def write_rows(path: Path, row_type: type[Any], rows: Iterable[Any]) -> None:
    """Write dataclass rows (``Original`` or ``Picture``) as one Parquet file, atomically."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = _schema(row_type)
    with atomic_file(path) as file, pq.ParquetWriter(file, schema) as writer:
        for group in groups(rows, _ROW_GROUP):
            columns = [
                _column([getattr(row, field.name) for row in group], field.type) for field in schema
            ]
            writer.write_table(pa.Table.from_arrays(columns, schema=schema))


def _column(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    """Values as Arrow has them, made of buffers: ``pa.array`` would import pandas for a look."""
    import numpy as np
    import pyarrow as pa

    if pa.types.is_floating(kind) or pa.types.is_integer(kind):
        numbers = np.asarray(values, kind.to_pandas_dtype())
        return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(numbers)])
    if pa.types.is_string(kind):
        values = [value.encode() for value in values]
    ends = np.cumsum([0, *map(len, values)], dtype=np.int32)
    buffers = [None, pa.py_buffer(ends)]
    if pa.types.is_string(kind):
        return pa.Array.from_buffers(kind, len(values), [*buffers, pa.py_buffer(b"".join(values))])
    inner = _column([item for value in values for item in value], kind.value_type)
    return pa.Array.from_buffers(kind, len(values), buffers, children=[inner])


def groups(rows: Iterable[Row], num: int) -> Iterator[list[Row]]:
    """Lists of at most ``num`` rows, so that a long listing is never whole in memory."""
    left = iter(rows)
    while group := list(itertools.islice(left, num)):
        yield group


def read_rows(path: Path, row_type: type[Row]) -> list[Row]:
    """Read what ``write_rows`` wrote. Raises ``ValueError`` when columns are missing."""
    return list(iter_rows(path, row_type))


def iter_rows(path: Path, row_type: type[Row]) -> Iterator[Row]:
    """The same row by row: a long file is never whole in memory."""
    import pyarrow.parquet as pq

    names = [f.name for f in fields(row_type)]  # type: ignore[arg-type]
    with pq.ParquetFile(path) as file:
        missing = [name for name in names if name not in file.schema_arrow.names]
        if missing:
            raise ValueError(
                f"{path}: columns {missing} are missing; was it written by another version?"
            )
        for batch in file.iter_batches(_ROW_GROUP, columns=names):
            columns = [_shared(batch.column(name).to_pylist()) for name in names]
            yield from map(row_type, *columns)


def _shared(values: list[Any]) -> list[Any]:
    """The same values; a run of equal texts is one object, which many rows may hold."""
    last: Any = None
    for place, value in enumerate(values):
        if isinstance(value, str) and value == last:
            values[place] = last
        else:
            last = value
    return values


@contextlib.contextmanager
def atomic_file(path: Path) -> Iterator[BinaryIO]:
    """Open a temporary file beside ``path``; on a clean exit fsync it and rename it to ``path``.

    A reader sees the old file or the whole new one. On an exception the temporary file goes.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(path)
        sync_folder(path.parent)
    except BaseException as error:
        Path(name).unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno and not error.filename:
            error.filename = str(path)  # a full disk does not say of what
        raise


def sync_folder(folder: Path) -> None:
    """Flush a folder's entries to disk, so that a rename in it survives a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as readable UTF-8 JSON with sorted keys, atomically."""
    with atomic_file(path) as file:
        file.write(canonical_json(value, indent=2).encode())


def canonical_json(value: Any, indent: int | None = None) -> str:
    """``value`` as JSON text that is the same for equal values (sorted keys, no NaN)."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, indent=indent, allow_nan=False)


def digest(value: Any, length: int = 12) -> str:
    """The first ``length`` hex digits of the sha256 of ``value``'s canonical JSON."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:length]


def file_sha256(path: Path) -> str:
    """sha256 of a file's bytes, 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def claim_folder(folder: Path, config: Mapping[str, Any]) -> None:
    """Create ``folder`` with ``config`` as ``config.json``, or check that it holds the same one.

    Raises ``FolderMismatchError`` that lists each differing field, both values and the remedies.
    """
    path = folder / "config.json"
    wanted = json.loads(canonical_json(config))
    if not path.exists():
        write_json(path, wanted)
        return
    found = json.loads(path.read_text())
    differences = list(_differences(found, wanted, ""))
    if differences:
        raise FolderMismatchError(
            f"{folder} holds the work of another configuration:\n"
            + "\n".join(f"  {line}" for line in differences)
            + "\nGive the old values back, or choose another folder (or remove this one)."
        )


def _differences(found: Any, wanted: Any, where: str) -> Iterator[str]:
    if isinstance(found, dict) and isinstance(wanted, dict):
        for key in sorted(found.keys() | wanted.keys()):
            yield from _differences(
                found.get(key), wanted.get(key), f"{where}.{key}" if where else key
            )
    elif found != wanted:
        yield f"{where}: the folder has {found!r}, this run asks for {wanted!r}"


def _is_busy(error: BaseException) -> bool:
    """Not a disk that is full or cannot be written: waiting would not help."""
    if not isinstance(error, sqlite3.OperationalError):
        return False
    return error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY


def share_sqlite(connection: sqlite3.Connection) -> None:
    """Have readers and a writer of an SQLite file not wait for each other, and writers a minute.

    Several processes that make a new file at once can lock each other out for a moment, in which no
    time-out of SQLite's is waited for: then it is tried again.
    """
    import tenacity

    connection.execute("PRAGMA busy_timeout = 60000")
    tenacity.retry(
        retry=tenacity.retry_if_exception(_is_busy),
        wait=tenacity.wait_random(0, 0.1),
        stop=tenacity.stop_after_delay(60),
        reraise=True,
    )(connection.execute)("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")  # a power cut may cost the last rows
