"""A person's decisions are read in every form that people write, and mistakes are named.

The kind: a table that a person or a spreadsheet wrote (byte order mark, separators, encodings,
blanks, capitals) is read by one of our readers and refused by another one. The boundary: all of
them read lines and cells by ``csv_lines`` and ``csv_cells`` of ``core.tables``;
``tests/evaluation/test_regions.py`` gives any bytes to both.
"""

from pathlib import Path

import pytest

from core.workspace import Workspace
from preprocessing.dedup.clusters import Differences
from preprocessing.selection.overrides import (
    add_overrides,
    overrides_file,
    read_differences,
    read_overrides,
)

NAMES = ["0123456789" + "a" * 54, "0123456789" + "b" * 54, "f" * 64]


def written(folder: Path, text: str) -> Path:
    path = folder / "overrides.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_lines_are_decisions_and_the_last_one_counts(tmp_path: Path) -> None:
    lines = ["\ufeffsha256,action,note", "# mine", "", f"{NAMES[0]},keep,nice", "FFFFFFFF, Drop "]
    text = "\n".join([*lines, f"{NAMES[0]},move", ""])
    assert read_overrides(written(tmp_path, text), NAMES) == {NAMES[0]: "move", NAMES[2]: "drop"}


def test_no_file_and_unknown_pictures_decide_nothing(tmp_path: Path) -> None:
    assert read_overrides(tmp_path / "none.csv", NAMES) == {}
    assert read_overrides(written(tmp_path, "e" * 64 + ",drop\n"), NAMES) == {}


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("nonsense,keep", r"line 2: got 'nonsense', needed at least 8 hex digits"),
        (NAMES[0][:7] + ",keep", "line 2: got '0123456'"),
        (NAMES[2] + ",delete", "line 2: got action 'delete', needed keep, drop, move or different"),
        (NAMES[2], "line 2: got action ''"),
        (NAMES[0][:9] + ",drop", "begins the sha256 of 2 pictures"),
    ],
)
def test_a_mistake_is_named_with_its_line(tmp_path: Path, line: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        read_overrides(written(tmp_path, f"sha256,action,note\n{line}\n"), NAMES)


def test_added_decisions_are_read_again(tmp_path: Path) -> None:
    path = overrides_file(Workspace(tmp_path), "makeup", "bare")
    add_overrides(path, NAMES[:1], "keep", 'a "good", one')
    add_overrides(path, [NAMES[2][:8]], "drop", "")
    assert read_overrides(path, NAMES) == {NAMES[0]: "keep", NAMES[2]: "drop"}
    before = path.read_text()
    with pytest.raises(ValueError, match="hex digits"):
        add_overrides(path, ["=cmd()"], "drop", "")
    assert path.read_text() == before


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "gb18030", "cp1252"])
@pytest.mark.parametrize("between", [",", ";", "\t"])
def test_what_a_spreadsheet_saves_is_read_and_kept(
    tmp_path: Path, encoding: str, between: str
) -> None:
    path = tmp_path / "overrides.csv"
    note = "café…" if encoding == "cp1252" else "不是照片"
    rows = ["sha256,action,note", f"{NAMES[0]},drop,{note}", f"{NAMES[2]},keep,", ",,"]
    path.write_bytes("\r\n".join(rows).replace(",", between).encode(encoding))
    before = path.read_bytes()
    assert read_overrides(path, NAMES) == {NAMES[0]: "drop", NAMES[2]: "keep"}
    add_overrides(path, [NAMES[0]], "move", "好,\n好")
    assert path.read_bytes().startswith(before)
    assert read_overrides(path, NAMES) == {NAMES[0]: "move", NAMES[2]: "keep"}


def test_pictures_that_a_person_calls_different_are_pairs(tmp_path: Path) -> None:
    one, two, three = NAMES
    lines = [f"{one},different,{two} {three},seen", f"{three},DIFFERENT,{two[:11]}", f"{one},keep,"]
    path = written(tmp_path, "\n".join(["sha256,action,note", *lines]))
    found = read_differences(path, NAMES)
    assert found.counterparts == {0: {1, 2}, 1: {0, 2}, 2: {0, 1}}
    assert found.alone == set()
    assert read_overrides(path, NAMES) == {one: "keep"}  # such a line is no action on a picture
    assert read_differences(tmp_path / "none.csv", NAMES) == Differences()


def test_a_picture_that_differs_from_nothing_named_is_a_copy_of_none(tmp_path: Path) -> None:
    path = written(tmp_path, f"{NAMES[2]},different,another woman\n")
    assert read_differences(path, NAMES) == Differences({}, frozenset({2}))
    gone = written(tmp_path, f"{NAMES[2]},different,{'e' * 64}\n")
    assert read_differences(gone, NAMES) == Differences()


def test_added_differences_are_read_again(tmp_path: Path) -> None:
    path = tmp_path / "overrides.csv"
    add_overrides(path, NAMES, "different", "three people")
    assert read_differences(path, NAMES).counterparts == {0: {1, 2}, 1: {0, 2}, 2: {0, 1}}
    assert "three people" in path.read_text()
    add_overrides(path, [NAMES[0]], "different", "")
    assert read_differences(path, NAMES).alone == {0}


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "gb18030"])
@pytest.mark.parametrize("between", [",", ";", "\t"])
def test_differences_that_a_spreadsheet_saves_are_read(
    tmp_path: Path, encoding: str, between: str
) -> None:
    path = tmp_path / "overrides.csv"
    rows = ["sha256,action,note", f"{NAMES[0]},different,{NAMES[2]},不同的人"]
    path.write_bytes("\r\n".join(rows).replace(",", between).encode(encoding))
    assert read_differences(path, NAMES).counterparts == {0: {2}, 2: {0}}
