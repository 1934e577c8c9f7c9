"""The photographs to translate, and the paths of their results; no picture is opened."""

from __future__ import annotations

import glob
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from core.files import fitting_name, printable_name
from core.image_formats import SUFFIXES, ImageFormat
from core.language.messages import localised
from core.pictures import find_pictures
from serving.photo_io import OUTPUT_FORMATS
from serving.refusals import Reason, Refusal

_FORMATS = {
    suffix: image_format for image_format in OUTPUT_FORMATS for suffix in image_format.suffixes
}
_REFUSED_SUFFIXES = {".heic", ".heif"}  # of photographs: a refusal says how to convert them


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
    folder without pictures, a pattern that matches no file and an empty name.
    """
    inputs: dict[str, Input] = {}
    for argument in arguments:
        for source in _expand(argument, out):
            inputs.setdefault(os.path.realpath(source.photo), source)
    return list(inputs.values())


def _expand(argument: str, out: Path) -> list[Input]:
    if not argument.strip():
        raise ValueError(
            localised(
                "got an empty name, needed that of a photograph, a folder (. is this one) or a "
                "pattern"
            )
        )
    path = Path(argument)
    if os.path.isdir(path):  # noqa: PTH112 - raises nothing, whatever the argument
        suffixes = SUFFIXES | _REFUSED_SUFFIXES
        pictures = [file for file in find_pictures(path, suffixes) if not _lies_in(file, out)]
        if not pictures:
            num_files = sum(1 for file in path.rglob("*") if file.is_file())
            raise ValueError(
                localised(
                    "{argument}: a folder without pictures ({num_files} other files); needed at "
                    "least one of {names}",
                    argument=argument,
                    num_files=num_files,
                    names=", ".join(sorted(SUFFIXES)),
                )
            )
        return [Input(file, file.relative_to(path)) for file in pictures]
    if glob.has_magic(argument) and not os.path.lexists(path):
        matches = sorted(Path(name) for name in glob.glob(argument, recursive=True))  # noqa: PTH207 - absolute patterns too
        files = [
            file
            for file in matches
            if (file.is_file() or file.is_symlink()) and not _lies_in(file, out)
        ]
        if not files:
            raise ValueError(
                localised("{argument}: no file matches this pattern", argument=argument)
            )
        return [Input(file, Path(file.name)) for file in files]
    return [Input(path, Path(path.name))]


def _lies_in(file: Path, folder: Path) -> bool:
    return Path(os.path.realpath(folder)) in Path(os.path.realpath(file)).parents


@dataclass(frozen=True)
class ResultPaths:
    """The paths of a photograph's results."""

    result: Path
    comparison: Path | None

    @property
    def paths(self) -> list[Path]:
        """Both, or the one that there is."""
        return [self.result, *([self.comparison] if self.comparison else [])]


class ResultFolder:
    """The results of one call of ``translate``: each photograph gets paths of its own.

    Raises ``ValueError`` or ``OSError`` if ``out`` cannot be written to.
    """

    def __init__(
        self,
        out: Path,
        inputs: Sequence[Input],
        *,
        compare: bool,
        show_faces: bool,
        overwrite: bool,
    ) -> None:
        _check_writable(out)
        self._out = out
        self._compare, self._show_faces, self._overwrite = compare, show_faces, overwrite
        self._inputs = {os.path.realpath(source.photo) for source in inputs}
        self._used: set[Path] = set()

    def early_refusal(self, path: Path) -> Refusal | None:
        """The refusal that a suffix tells of, so that the photograph need not be decoded."""
        image_format = _FORMATS.get(path.suffix.lower())
        if image_format is None:
            return None
        paths = self._paths(path, image_format, image_format, 1)
        if self._used.intersection(paths.paths):
            return None
        refusal = self.refusal(paths)
        if refusal is not None:
            self._used.update(paths.paths)
        return refusal

    def free_paths(
        self, path: Path, image_format: ImageFormat, pair_format: ImageFormat
    ) -> ResultPaths:
        """The paths of results, with a number if another photograph of this call has them."""
        number = 1
        while self._used.intersection(
            (paths := self._paths(path, image_format, pair_format, number)).paths
        ):
            number += 1
        self._used.update(paths.paths)
        return paths

    def refusal(self, paths: ResultPaths) -> Refusal | None:
        """The reason why the paths may not be written; ``None`` when they may."""
        for path in paths.paths:
            if os.path.realpath(path) in self._inputs:
                return Refusal(Reason.WOULD_REPLACE_INPUT, {"path": printable_name(path)})
        for path in paths.paths:
            if path.is_dir():
                error = f"{printable_name(path)} is a folder"
                return Refusal(Reason.NOT_WRITTEN, {"error": error})
            if os.path.lexists(path) and not self._overwrite:
                return Refusal(Reason.EXISTS, {"path": printable_name(path)})
        return None

    def _paths(
        self, path: Path, image_format: ImageFormat, pair_format: ImageFormat, number: int
    ) -> ResultPaths:
        folder = self._out / path.parent
        suffix, pair_suffix = (
            path.suffix if path.suffix.lower() in each.suffixes else each.suffixes[0]
            for each in (image_format, pair_format)
        )
        count = f"-{number}" if number > 1 else ""
        show_faces = "-faces" if self._show_faces else ""
        result = folder / fitting_name(path.stem, f"{count}{show_faces}{suffix}", folder)
        if not self._compare or show_faces:
            return ResultPaths(result, None)
        name = fitting_name(path.stem, f"{count}-compare{pair_suffix}", folder)
        return ResultPaths(result, folder / name)


def _check_writable(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise ValueError(
            localised("--out: {out} is a file; needed a folder for the results", out=out)
        )
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=out, prefix=".suyan-"):
            pass
    except OSError as error:
        raise OSError(
            error.errno,
            localised(
                "--out: cannot write into {out} ({strerror}); choose another folder",
                out=out,
                strerror=error.strerror,
            ),
        ) from error
