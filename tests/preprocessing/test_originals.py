"""Listings are read as often as needed, and never held whole."""

from dataclasses import replace
from pathlib import Path

from core.tables import Original, write_rows
from preprocessing.selection.originals import Listing, OriginalIndex

ROW = Original("d", "p", "http://x/", "objURL", "", "", "", "", 9, "ok", "", "2026-01-01T00:00:00")


def listing(path: Path, names: str, times: str) -> Path:
    rows = [
        replace(ROW, sha256=name, url=f"http://x/{k}", fetched_at=f"2026-01-0{day}T00:00:00")
        for k, (name, day) in enumerate(zip(names, times, strict=True))
    ]
    write_rows(path, Original, [replace(ROW, status="rejected", reason="http-404"), *rows])
    return path


def test_an_original_comes_once_with_all_its_hits_whenever_one_asks(tmp_path: Path) -> None:
    found = Listing("A", listing(tmp_path / "a.parquet", "abacba", "123456"))
    for _ in range(2):
        places = [(one.sha256, [row.url[-1] for row in one.rows]) for one in found]
        assert places == [("c", ["3"]), ("b", ["1", "4"]), ("a", ["0", "2", "5"])]


def test_originals_are_numbered_by_age_over_both_listings(tmp_path: Path) -> None:
    one = Listing("A", listing(tmp_path / "a.parquet", "abac", "3435"))
    other = Listing("B", listing(tmp_path / "b.parquet", "cda", "225"))
    index = OriginalIndex.build([*one, *other])
    assert index.names == ["c", "d", "a", "b"]
    assert index.number == {"c": 0, "d": 1, "a": 2, "b": 3}
    assert index.num_hits.tolist() == [[1, 1], [0, 1], [2, 1], [1, 0]]
