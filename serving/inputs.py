"""The photographs to translate, and the path of each result; no file is opened."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from core.image_formats import SUFFIXES
from core.pictures import find_pictures


@dataclass(frozen=True)
class Input:
    """A photograph, and the path of its result below the output folder, with the photo's suffix."""

    photo: Path
    relative_path: Path


def find_photos(arguments: Sequence[str], out: Path) -> list[Input]:
    """The photographs that ``arguments`` name, in order, each once.

    An argument is a file, a folder (with its subfolders) or a pattern such as ``'holiday/*.jpg'``.
    Files in ``out`` are left out of folders and patterns: they are results of earlier runs. A file
    that does not exist is returned too, so that translation reports it. Raises ``ValueError`` for a
    folder without pictures and for a pattern that matches no file.
    """
    inputs: dict[str, Input] = {}
    for argument in arguments:
        for source in _expand(argument, out):
            inputs.setdefault(os.path.realpath(source.photo), source)
    return list(inputs.values())


def _expand(argument: str, out: Path) -> list[Input]:
    path = Path(argument)
    if os.path.isdir(path):  # noqa: PTH112 - raises nothing, whatever the argument
        pictures = [file for file in find_pictures(path) if not _lies_in(file, out)]
        if not pictures:
            num_files = sum(1 for file in path.rglob("*") if file.is_file())
            raise ValueError(
                f"{argument}: a folder without pictures ({num_files} other files); needed at least "
                f"one of {', '.join(sorted(SUFFIXES))}"
            )
        return [Input(file, file.relative_to(path)) for file in pictures]
    if glob.has_magic(argument) and not os.path.lexists(path):
        matches = sorted(Path(name) for name in glob.glob(argument, recursive=True))  # noqa: PTH207 - absolute patterns too
        files = [file for file in matches if file.is_file() and not _lies_in(file, out)]
        if not files:
            raise ValueError(f"{argument}: no file matches this pattern")
        return [Input(file, Path(file.name)) for file in files]
    return [Input(path, Path(path.name))]


def _lies_in(file: Path, folder: Path) -> bool:
    return Path(os.path.realpath(folder)) in Path(os.path.realpath(file)).parents
