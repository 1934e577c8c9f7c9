"""Rows of an earlier version are read; rows that lack something else are refused."""

from dataclasses import asdict
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from core.tables import Original, Picture, read_rows, write_rows

HIT = Original("d", "p", "http://x/", "url", "", "", "ab", "o", 9, "ok", "", "2026-01-01")
CREDIT = ("license", "license_url", "creator", "attribution")


def _written_without(path: Path, row: Original | Picture, *columns: str) -> Path:
    """The file that a version without these columns would have written."""
    write_rows(path, type(row), [row, row])
    pq.write_table(pq.read_table(path).drop_columns(list(columns)), path)
    return path


def test_a_column_that_an_earlier_version_did_not_know_has_its_default(tmp_path: Path) -> None:
    assert read_rows(_written_without(tmp_path / "1", HIT, *CREDIT), Original) == [HIT, HIT]
    picture = Picture("ab", "d", "A", "train", "f", "ok", "", "", "", "", 1, 1, [], [], 0, "p", "u",
                      "o", license="CC BY 2.0", phrases=["p"])  # fmt: skip
    rows = read_rows(_written_without(tmp_path / "2", picture, *CREDIT, "phrases"), Picture)
    assert [(row.license, row.phrases, row.original) for row in rows] == [("", [], "o")] * 2
    assert rows[0].phrases is not rows[1].phrases


def test_a_column_without_a_default_is_needed(tmp_path: Path) -> None:
    path = _written_without(tmp_path / "1", HIT, "license", "title", "reason")
    with pytest.raises(ValueError, match=r"columns \['title', 'reason'\] are missing"):
        read_rows(path, Original)


def test_columns_are_found_by_name_in_any_order(tmp_path: Path) -> None:
    values = asdict(HIT) | {"creator": "Ana"}
    table = pa.Table.from_pylist([dict(reversed(values.items()))])
    pq.write_table(table, tmp_path / "1")
    assert read_rows(tmp_path / "1", Original) == [Original(**values)]
