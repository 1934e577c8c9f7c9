"""Which files to translate, and where each result goes: no file is opened here but folders."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from serving.photo_io import PICTURE_SUFFIXES


@dataclass(frozen=True)
class Input:
    """A file, and its place in the folder of results: relative, still with the file's suffix."""

    photo: Path
    place: Path


def find_photos(given: Sequence[str], out: Path) -> list[Input]:
    """Files, folders (with their subfolders) and patterns such as ``'holiday/*.jpg'``, in order.

    A file comes once. Results of earlier runs, in ``out``, are left out of folders and patterns. A
    file that does not exist is kept, to be reported. Raises ``ValueError`` for a folder without
    pictures and a pattern that fits nothing.
    """
    found: dict[Path, Input] = {}
    for entry in given:
        for one in _expanded(entry, out.resolve()):
            found.setdefault(one.photo.resolve(), one)
    return list(found.values())


def _expanded(entry: str, out: Path) -> list[Input]:
    path = Path(entry)
    if path.is_dir():
        inside = [file for file in sorted(path.rglob("*")) if _is_picture(file, out)]
        if not inside:
            others = sum(1 for file in path.rglob("*") if file.is_file())
            raise ValueError(
                f"{entry}: a folder without pictures ({others} other files); needed at least one "
                f"of {', '.join(sorted(PICTURE_SUFFIXES))}"
            )
        return [Input(file, file.relative_to(path)) for file in inside]
    if glob.has_magic(entry) and not path.exists():
        matches = sorted(Path(name) for name in glob.glob(entry, recursive=True))  # noqa: PTH207 - absolute patterns too
        files = [file for file in matches if file.is_file() and not _lies_in(file, out)]
        if not files:
            raise ValueError(f"{entry}: no file fits this pattern")
        return [Input(file, Path(file.name)) for file in files]
    return [Input(path, Path(path.name))]


def _is_picture(file: Path, out: Path) -> bool:
    return (
        file.suffix.lower() in PICTURE_SUFFIXES
        and not file.name.startswith(".")
        and file.is_file()
        and not _lies_in(file, out)
    )


def _lies_in(file: Path, folder: Path) -> bool:
    return folder in file.resolve().parents
