"""Two manifests are compared by their content."""

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from core.tables import Picture, write_rows
from preprocessing.version.diff import Change, find_changes

A, B, C, D = (name * 64 for name in "abcd")


def picture(sha256: str, **values: Any) -> Picture:
    empty: Mapping[str, Any] = {
        "str": "",
        "int": 0,
        "float": 0.0,
        "list[float]": [],
        "list[str]": [],
    }
    blank = {column.name: empty[str(column.type)] for column in fields(Picture)}
    return Picture(**{**blank, "sha256": sha256, "status": "ok", **values})


def test_additions_removals_moves_and_other_crops_are_listed(tmp_path: Path) -> None:
    before, now = tmp_path / "before.parquet", tmp_path / "now.parquet"
    same = picture(D, file="trainA/d", transform=[1.0])
    write_rows(
        before,
        Picture,
        [
            same,
            picture(A, file="trainA/a", transform=[1.0]),
            picture(B, file="trainA/b"),
            picture(B, file="trainA/b-1", face=1),
            picture(C, status="rejected", reason="blurred"),
        ],
    )
    write_rows(
        now,
        Picture,
        [
            picture(C, file="testB/c"),
            picture(B, status="rejected", reason="dropped-by-hand"),
            picture(A, file="trainA/a", transform=[2.0]),
            same,
        ],
    )
    assert find_changes(before, now) == [
        Change(A, "recut", "trainA/a", "trainA/a", ""),
        Change(B, "removed", "trainA/b", "", "dropped-by-hand"),
        Change(B, "removed", "trainA/b-1", "", "dropped-by-hand"),
        Change(C, "added", "", "testB/c", ""),
    ]
    write_rows(before, Picture, [picture(D, file="testA/d", transform=[1.0])])
    write_rows(now, Picture, [same])
    assert find_changes(before, now) == [Change(D, "moved", "testA/d", "trainA/d", "")]


def test_a_manifest_that_cannot_be_read_is_an_error_that_callers_know(tmp_path: Path) -> None:
    path = tmp_path / "manifest.parquet"
    path.write_bytes(b"PAR1")
    with pytest.raises((ValueError, OSError)):
        find_changes(path, path)
