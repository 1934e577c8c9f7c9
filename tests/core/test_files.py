"""Names of files: as long as a file system takes, and one line of text."""

import os
from pathlib import Path

import pytest

from core.files import atomic_file, fitting_name, printable_name


@pytest.mark.parametrize("name", ["彩" * 85, "x" * 255, "a\n.jpg", "\udcff" * 200])
def test_a_file_may_have_any_name_that_its_folder_takes(name: str, tmp_path: Path) -> None:
    with atomic_file(tmp_path / name) as file:
        file.write(b"whole")
    assert (tmp_path / name).read_bytes() == b"whole"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("has_links", [True, False])
def test_a_new_file_replaces_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, has_links: bool
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    if not has_links:
        monkeypatch.setattr(Path, "hardlink_to", refuse)
    path = tmp_path / "cats.yaml"
    with atomic_file(path, is_new=True) as file:
        file.write(b"first")
    with pytest.raises(FileExistsError), atomic_file(path, is_new=True) as file:
        file.write(b"second")
    assert path.read_bytes() == b"first"
    assert list(tmp_path.iterdir()) == [path]


def test_a_name_is_cut_at_a_whole_character(tmp_path: Path) -> None:
    assert fitting_name("photo", "-compare.png", tmp_path) == "photo-compare.png"
    name = fitting_name("彩" * 100, "-compare.png", tmp_path)
    assert len(os.fsencode(name)) <= 255 < len(os.fsencode(name)) + 3
    assert set(name.removesuffix("-compare.png")) == {"彩"}


def test_a_name_is_printed_in_one_line() -> None:
    assert printable_name(Path("a/素颜 é.jpg")) == "a/素颜 é.jpg"
    assert printable_name(Path("a\nb\x1b[31m.jpg")) == r"a\nb\x1b[31m.jpg"
    assert printable_name(Path("\u202egpj.\udcff")) == r"\u202egpj.\udcff"
