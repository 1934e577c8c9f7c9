"""The addresses in a person's list: a text, CSV, TSV, JSON Lines or Parquet file, or stdin."""

from __future__ import annotations

import csv
import itertools
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from core.language.messages import localised
from core.tables import csv_encoding, csv_separator

STANDARD_INPUT = "-"
LIST_SUFFIXES = (".txt", ".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")
"""Endings of the names of lists, in lower case."""

_COLUMNS = ("url", "image_url", "img_url", "imageurl", "image", "address", "link", "src", "uri")
_SAMPLE_BYTES = 1_000_000  # of a file, which tell its encoding
_MAX_ADDRESS_CHARS = 4000
_MAX_LISTED = 5  # rows in a message
_ROWS_PER_BATCH = 5000
_MAX_CELL_CHARS = 10_000_000


@dataclass
class AddressList:
    """A list of addresses; ``addresses`` iterates it once, and counts what it cannot use.

    ``name`` is its file's, or ``-`` for standard input. ``column`` is the one of the addresses; ""
    for ``url`` or the like, or the only one.
    """

    path: Path
    column: str = ""
    num_rows: int = 0
    broken: list[int] = field(default_factory=list)  # numbers of the first rows without an address
    num_broken: int = 0

    def addresses(self) -> Iterator[str]:
        """The addresses in the order of the list. An entry that is no address is one too: its
        download gives the reason.

        Raises ``ValueError`` that names the columns for a table without the wanted one, and for a
        file of another kind; ``OSError`` for one that cannot be read.
        """
        for number, cell in self._cells():
            self.num_rows += 1
            address = _clean(cell)
            if address:
                yield address
                continue
            self.num_broken += 1
            if len(self.broken) < _MAX_LISTED:
                self.broken.append(number)

    def note(self) -> str:
        """What a person should know about rows that were left out; "" for nothing."""
        if not self.num_broken:
            return ""
        rows = ", ".join(map(str, self.broken)) + (", …" if self.num_broken > _MAX_LISTED else "")
        return f"{self.num_broken} of {self.num_rows} rows have no address (rows {rows})"

    def _cells(self) -> Iterator[tuple[int, object]]:
        """``(number, cell)`` of each row, numbered from 1 as an editor does."""
        suffix = self.path.suffix.lower()
        if str(self.path) == STANDARD_INPUT:
            yield from self._guessed(sys.stdin)
        elif suffix == ".parquet":
            yield from self._parquet()
        elif suffix in LIST_SUFFIXES:
            with self.path.open("rb") as file:
                encoding = csv_encoding(_whole_lines(file.read(_SAMPLE_BYTES)))
            with self.path.open(encoding=encoding, errors="replace", newline="") as text:
                if suffix in {".jsonl", ".ndjson"}:
                    yield from self._json_lines(text)
                elif suffix in {".csv", ".tsv"}:
                    yield from self._table(text, "\t" if suffix == ".tsv" else None)
                else:
                    yield from _lines(text)
        else:
            raise ValueError(
                localised(
                    "{path}: found a file whose name ends in {suffix}, needed a list of addresses "
                    "({names})",
                    path=self.path,
                    suffix=suffix or localised("no suffix"),
                    names=", ".join(LIST_SUFFIXES),
                )
            )

    def _guessed(self, text: TextIO) -> Iterator[tuple[int, object]]:
        """Standard input has no name: JSON Lines if it begins with a brace, else a table if a
        column is wanted, else lines.
        """
        first = text.readline()
        lines = itertools.chain([first], text)
        if first.lstrip().startswith("{"):
            yield from self._json_lines(lines)
        elif self.column:
            yield from self._table(lines, None)
        else:
            yield from _lines(lines)

    def _json_lines(self, lines: Iterable[str]) -> Iterator[tuple[int, object]]:
        column, is_checked = self.column, False
        for number, line in enumerate(lines, 1):
            if not line.strip().removeprefix("\ufeff"):
                continue
            try:
                value = json.loads(line.strip().removeprefix("\ufeff"))
            except (ValueError, RecursionError):
                value = None
            if isinstance(value, dict):
                if not column:
                    column = self._choose([str(name) for name in value])
                elif self.column and not is_checked and column not in value:
                    raise self._no_column(list(value))
                is_checked = True
                value = value.get(column)
            yield number, value

    def _table(self, lines: Iterable[str], separator: str | None) -> Iterator[tuple[int, object]]:
        csv.field_size_limit(_MAX_CELL_CHARS)  # captions may be long
        lines = iter(lines)
        first = next((line for line in lines if line.strip()), "").removeprefix("\ufeff")
        if first.lower().startswith("sep="):  # Excel's
            separator, first = first[4:5], next(lines, "")
        separator = separator or csv_separator(first.rstrip("\r\n"))
        row_lines = list[str]()  # of the row that is read

        def noted() -> Iterator[str]:
            for line in itertools.chain([first], lines):
                row_lines.append(line.replace("\0", ""))
                yield row_lines[-1]

        rows = csv.reader(noted(), delimiter=separator, skipinitialspace=True)
        header = [cell.strip() for cell in next(rows, [])]
        places = [place for place, cell in enumerate(header) if "://" in cell]
        if len(places) == 1 and not self.column:  # no header: the first row has an address
            place = places[0]
            yield 1, header[place]
        else:
            place = header.index(self._choose(header))
        yield from _cells_of_rows(rows, row_lines, separator, place)

    def _parquet(self) -> Iterator[tuple[int, object]]:
        try:
            import pyarrow as pa  # noqa: PLC0415 - only this list needs it
            import pyarrow.parquet as pq  # noqa: PLC0415
        except ImportError as error:
            raise ValueError(
                localised(
                    "{path}: found a Parquet file and no pyarrow, which is needed to read it: "
                    "install pyarrow, or save the list as CSV",
                    path=self.path,
                )
            ) from error
        try:
            with pq.ParquetFile(self.path) as file:
                column = self._choose(file.schema_arrow.names)
                batches = file.iter_batches(_ROWS_PER_BATCH, columns=[column])
                cells = (cell for batch in batches for cell in batch.column(0).to_pylist())
                yield from enumerate(cells, 1)
        except pa.ArrowException as error:
            raise ValueError(
                localised(
                    "{path}: found no whole Parquet file ({error})", path=self.path, error=error
                )
            ) from error

    def _choose(self, names: Sequence[str]) -> str:
        """The column of the addresses. Raises ``ValueError`` that names all of them."""
        if self.column:
            if self.column in names:
                return self.column
            raise self._no_column(names)
        by_lower = {name.lower(): name for name in reversed(names)}
        usual = [by_lower[name] for name in _COLUMNS if name in by_lower]
        if usual or len(names) == 1:
            return (usual or list(names))[0]
        raise self._no_column(names)

    def _no_column(self, names: Sequence[str]) -> ValueError:
        needed_column = self.column or "url"
        listed = ", ".join(map(str, names[:20])) or "none"
        return ValueError(
            localised(
                "{path}: found the columns {listed}, needed {needed_column}; name that of "
                "the addresses with --url-column (url_column in a recipe)",
                path=self.path,
                listed=listed,
                needed_column=needed_column,
            )
        )


def _lines(lines: Iterable[str]) -> Iterator[tuple[int, object]]:
    for number, line in enumerate(lines, 1):
        text = line.strip().removeprefix("\ufeff")
        if text and not text.startswith("#"):
            yield number, text


def _cells_of_rows(
    rows: Any, row_lines: list[str], separator: str, place: int
) -> Iterator[tuple[int, object]]:
    """``(number, cell)`` of each row that ``rows``, a reader of CSV, reads from ``row_lines``.

    A quote that is opened and never closed makes one row of many lines: they are read one by one.
    """
    while True:
        row_lines.clear()
        try:
            row = next(rows)
        except StopIteration:
            return
        except csv.Error:  # e.g. a cell that is too long
            row = []
        if row and len(row_lines) == 1:
            is_whole = place < len(row)
            cell = row[place] if is_whole else _unquoted_cell(row_lines[0], separator, place)
            yield rows.line_num, cell
            continue
        cells = [_unquoted_cell(line, separator, place) for line in row_lines]
        hides_rows = any(cell.startswith(("http://", "https://")) for cell in cells[1:])
        if row and not hides_rows:  # a caption of several lines
            yield rows.line_num, row[place] if place < len(row) else ""
            continue
        first_number = rows.line_num - len(cells) + 1
        for number, (cell, line) in enumerate(zip(cells, row_lines, strict=True), first_number):
            if line.strip():
                yield number, cell


def _unquoted_cell(line: str, separator: str, place: int) -> str:
    """The cell of a line that is read by itself, as if quotes meant nothing."""
    cells = line.replace('"', "").split(separator)
    return cells[place].strip() if place < len(cells) else ""


def _clean(cell: object) -> str:
    """The cell as an address; "" for none, and for one that is longer than any host takes."""
    if not isinstance(cell, str):
        return ""
    text = cell.strip().encode("utf-8", "replace").decode().replace("\0", "")
    return text if len(text) < _MAX_ADDRESS_CHARS else ""


def _whole_lines(sample: bytes) -> bytes:
    """``sample`` without a last line that may end within a character."""
    if len(sample) < _SAMPLE_BYTES:
        return sample
    return sample[: sample.rfind(b"\n") + 1] or sample
