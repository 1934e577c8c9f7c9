"""The rows that pass between stages, and the Parquet files that hold them; CSV files of people."""

from __future__ import annotations

import codecs
import csv
import io
import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

if TYPE_CHECKING:
    import pyarrow as pa

from core.files import atomic_file
from core.language.messages import localised

Row = TypeVar("Row")

DRAWN_HOST = "drawings.example"
"""Host of the pages that show what the offline engine drew; no host can have this name."""

_ROW_GROUP = 5000


@dataclass(frozen=True, slots=True)
class Original:
    """One row of a listing: a search hit, with its original or the reason why it has none.

    ``status`` is ``"ok"`` (``sha256`` and ``path`` are set) or ``"rejected"`` (``reason`` is set).
    """

    domain: str  # name of the domain the phrase belongs to, e.g. "makeup"
    phrase: str  # search phrase that found it
    url: str  # address the bytes came from (of the last try, when rejected)
    served_by: str  # which field of the hit served, e.g. objURL, thumbURL; url of Openverse
    page_url: str  # address of the page that shows the picture
    title: str  # title of that page, as plain text
    sha256: str  # digest of the bytes, 64 hex digits; "" when rejected
    path: str  # file of the original, relative to the workspace; "" when rejected
    num_bytes: int  # length of the file; 0 when rejected
    status: str  # "ok" or "rejected"
    reason: str  # "" or a short machine-friendly reason, e.g. "http-404", "not-an-image"
    fetched_at: str  # ISO 8601, UTC
    license: str = ""  # e.g. "CC BY-SA 2.0"; "": the engine states none, here and below
    license_url: str = ""  # address of the licence's text
    creator: str = ""  # the author
    attribution: str = ""  # the sentence by which the licence wants the picture to be credited


@dataclass(frozen=True, slots=True)
class Picture:
    """One row of a dataset's ``manifest.parquet``: an original, or one of its faces where each is
    cropped, or one part of a collage; with its crop or the reason for its rejection.

    Coordinates are pixels of the original after its EXIF orientation is applied (of a part: from
    the left top corner of ``part_box``), x to the right, y downwards, pixel centres at
    half-integers.
    """

    sha256: str  # of the original; of a part 64 hex digits too, which follow from ``part_of``
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
    keypoints: list[float]  # x0 y0 …: right eye, left eye, nose tip, mouth, right and left ear; []
    transform: list[float]  # 2×3 row-major affine, original pixels → crop pixels; [] when rejected
    sharpness: float  # variance of the Laplacian at 128 px, grey levels²; 0 without a crop
    phrase: str  # the first search phrase that found it
    url: str  # the first address it was downloaded from
    original: str  # file of the original, relative to the workspace
    page_url: str = ""  # the page of the hit with the licence, else the first that shows it
    phrases: list[str] = field(default_factory=list)  # all search phrases that found it
    sources: list[str] = field(default_factory=list)  # all addresses that gave these bytes
    face: int = -1  # number of the face in the original, the largest is 0; -1: the whole picture
    box: list[float] = field(default_factory=list)  # of the face: left, top, right, bottom; or []
    crop_box: list[float] = field(default_factory=list)  # the crop's corners, x0 y0 …
    mirrored_phash: str = ""  # 16 hex digits, of the mirrored whole picture
    face_score: float = 0.0  # the face detector's confidence, 0 to 1
    profile: float = 0.0  # offset of the nose from the middle of the eyes, in eye distances
    outside: float = 0.0  # share of the crop that lies outside the photograph
    covered: float = 0.0  # probability that mouth and jaw are covered, 0 to 1
    unsafe: float = -1.0  # score of the safety filter, 0 to 1; -1: the filter was off
    override: str = ""  # a person's decision: "keep", "drop", "move" or ""
    license: str = ""  # as the first hit with a licence states it, here and below; "": none does
    license_url: str = ""
    creator: str = ""
    attribution: str = ""
    side_score: float = -1.0  # probability of its own side, 0 to 1; -1: not computed
    part_of: str = ""  # sha256 of the collage that was split, whose file ``original`` is; or ""
    part_box: list[float] = field(default_factory=list)  # left, top, right, bottom; [] if no part

    @property
    def is_drawn(self) -> bool:
        """Whether the offline engine drew the picture; its page says so."""
        return urlsplit(self.page_url).hostname == DRAWN_HOST


def _schema(row_type: type[Any]) -> pa.Schema:
    import pyarrow as pa  # imported late, here and below: most commands need no tables

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
    """An Arrow array, built from buffers: ``pa.array`` would import pandas, which is slow."""
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
    """The rows in lists of at most ``num``, so that a long listing is never whole in memory."""
    left = iter(rows)
    while group := list(itertools.islice(left, num)):
        yield group


def read_rows(path: Path, row_type: type[Row]) -> list[Row]:
    """Read a file of ``write_rows``.

    A column that an earlier version did not write has its default. Raises ``ValueError`` when other
    columns are missing.
    """
    return list(iter_rows(path, row_type))


def iter_rows(path: Path, row_type: type[Row]) -> Iterator[Row]:
    """Like ``read_rows``, row by row: a long file is never whole in memory."""
    import pyarrow.parquet as pq

    columns = fields(row_type)  # type: ignore[arg-type]
    with pq.ParquetFile(path) as file:
        present = set(file.schema_arrow.names)
        missing = [
            column.name for column in columns if column.name not in present and _is_needed(column)
        ]
        if missing:
            raise ValueError(
                localised(
                    "{path}: columns {missing} are missing; was it written by another version?",
                    path=path,
                    missing=missing,
                )
            )
        names = [column.name for column in columns if column.name in present]
        make_row = row_type if len(names) == len(columns) else _by_name(row_type, names)
        for batch in file.iter_batches(_ROW_GROUP, columns=names):
            yield from map(make_row, *(_shared(batch.column(name).to_pylist()) for name in names))


def _is_needed(column: Field[Any]) -> bool:
    return column.default is MISSING and column.default_factory is MISSING


def _by_name(row_type: type[Row], names: Sequence[str]) -> Callable[..., Row]:
    return lambda *values: row_type(**dict(zip(names, values, strict=True)))


def csv_encoding(content: bytes) -> str:
    """The likely encoding of a CSV file that a person's program saved."""
    for mark, encoding in ((codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be")):
        if content.startswith(mark):
            return encoding
    for encoding in ("utf-8-sig", "gb18030"):  # a Chinese Excel saves the latter
        try:
            content.decode(encoding)
        except UnicodeDecodeError:
            continue
        return encoding
    return "latin-1"


def csv_lines(content: bytes) -> Iterator[tuple[int, str]]:
    """Number, from 1, and text of each line of a CSV file that a person's program saved.

    Empty lines and Excel's ``sep=`` are left out. UTF-8, UTF-16, GB 18030 and a byte order mark are
    read; bytes that fit none of them become question marks.
    """
    text = content.decode(csv_encoding(content), errors="replace").removeprefix("\ufeff")
    for number, line in enumerate(io.StringIO(text, newline=None), 1):
        if line.strip(" \t\r\n,;") and not line.lower().startswith("sep="):
            yield number, line.rstrip("\r\n")


def csv_separator(line: str) -> str:
    """The separator of a line's cells: the first of comma, semicolon and tab outside of quotes."""
    separator = re.search("[,;\t]", re.sub('"[^"]*"', "", line))
    return separator[0] if separator else ","


def csv_cells(line: str, separator: str) -> list[str]:
    """A line's cells, without blanks around them; ``[]`` for a line that is no CSV."""
    try:
        rows = csv.reader([line], delimiter=separator, skipinitialspace=True)
        return [cell.strip() for cell in next(rows, [])]
    except csv.Error:  # a cell of more than 128 KiB
        return []


def _shared(values: list[Any]) -> list[Any]:
    """The same values, in which equal neighbouring texts are one object: that saves memory."""
    last: Any = None
    for place, value in enumerate(values):
        if isinstance(value, str) and value == last:
            values[place] = last
        else:
            last = value
    return values
