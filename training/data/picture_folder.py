"""The readable pictures of one folder, resized."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from core.image_formats import FORMATS, SUFFIXES
from core.language.messages import localised
from core.pictures import (
    UNREADABLE,
    Picture,
    Rejected,
    find_pictures,
    load_picture,
    read_picture,
    read_reduced,
    resize,
)

_logger = logging.getLogger(__name__)
_FILES_PER_GROUP = 256  # read by threads between two checks of the free memory
_MAX_NAMES = 5  # of files in a message

Result = TypeVar("Result")
SizeRule = Callable[[int, int], tuple[int, int]]
"""Width and height of a picture → those that it is resized to. Raises ``ValueError``."""


class PictureFolder:
    """The readable pictures of ``folder`` and its subfolders by number, in the order of their
    names, each ``[H, W, 3]`` uint8 RGB with the size that ``size_rule`` gives.

    Every file is decoded once at the start, so that number and order depend only on readable files;
    the others are left out and named in the log (``is_logging``). The first pictures stay in
    memory, up to ``memory_bytes``; the others are read each time. Raises ``ValueError`` for a
    folder without a readable picture, and for a picture that ``size_rule`` refuses.
    """

    def __init__(
        self, folder: Path, size_rule: SizeRule, memory_bytes: float, *, is_logging: bool = True
    ) -> None:
        self._size_rule = size_rule
        self._paths: list[Path] = []
        self._in_memory: list[Picture] = []
        rejected: list[str] = []
        paths = find_pictures(folder)
        with ThreadPoolExecutor() as executor:
            for start in range(0, len(paths), _FILES_PER_GROUP):
                group = paths[start : start + _FILES_PER_GROUP]
                read = self._read if memory_bytes > 0 else self._check
                for path, result in zip(group, executor.map(read, group), strict=True):
                    if isinstance(result, Rejected):
                        rejected += [f"{name} ({result.reason})" for name in _names(folder, [path])]
                        continue
                    self._paths.append(path)
                    if result is not None:
                        self._in_memory.append(result)
                        memory_bytes -= result.nbytes
        if not self._paths:
            raise ValueError(_nothing_readable(folder, paths))
        if is_logging:
            _log_left_out(folder, len(paths), rejected)

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, number: int) -> Picture:
        if number < len(self._in_memory):
            return self._in_memory[number]
        path = self._paths[number]
        return self._resized(path, load_picture(path))

    def take_last(self, num: int) -> list[Path]:
        """Remove the last ``num`` pictures from the set; returns their files."""
        first = len(self._paths) - num
        paths = self._paths[first:]
        del self._paths[first:]
        del self._in_memory[first:]
        return paths

    def _read(self, path: Path) -> Picture | Rejected:
        picture = _unless_it_may_pass(path, read_picture(path))
        return picture if isinstance(picture, Rejected) else self._resized(path, picture)

    def _check(self, path: Path) -> Rejected | None:
        """Decode a file, a JPEG at an eighth of its size, and discard the pixels."""
        decoded = _unless_it_may_pass(path, read_reduced(path, enough_px=1))
        if isinstance(decoded, Rejected):
            return decoded
        self._new_size(path, decoded.width, decoded.height)
        return None

    def _resized(self, path: Path, picture: Picture) -> Picture:
        height, width = picture.shape[:2]
        return resize(picture, *self._new_size(path, width, height))

    def _new_size(self, path: Path, width: int, height: int) -> tuple[int, int]:
        try:
            return self._size_rule(width, height)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error


def load_pictures(folder: Path, px: int, limit: int | None = None) -> NDArray[np.uint8]:
    """The first ``limit`` readable pictures of ``folder`` and its subfolders in name order.

    ``[N, px, px, 3]`` uint8 RGB, resized (bicubic). Files that cannot be read are skipped. Raises
    ``ValueError`` where there is no readable picture.
    """
    paths = find_pictures(folder)
    results = (_unless_it_may_pass(path, read_picture(path)) for path in paths)
    readable = (result for result in results if not isinstance(result, Rejected))
    pictures = [resize(picture, px, px) for picture in itertools.islice(readable, limit)]
    if not pictures:
        raise ValueError(_nothing_readable(folder, paths))
    return np.stack(pictures)


def load_squares(paths: Sequence[Path], px: int) -> NDArray[np.uint8]:
    """``[N, px, px, 3]`` uint8 RGB of files that were readable at the start, resized (bicubic).

    Raises ``ValueError`` that names a file which is not readable any more.
    """
    with ThreadPoolExecutor() as executor:
        return np.stack(list(executor.map(lambda path: resize(load_picture(path), px, px), paths)))


def _unless_it_may_pass(path: Path, result: Result) -> Result:
    """``result``. Raises ``ValueError`` where memory was short or the system did not let the file
    be read: it may be good, and without it the same run would train on other pictures.
    """
    if isinstance(result, Rejected) and result.reason == "out-of-memory":
        raise ValueError(
            localised(
                "{path}: found too little memory to decode it; close other programs", path=path
            )
        )
    if isinstance(result, Rejected) and result.reason == UNREADABLE:
        raise ValueError(
            localised(
                "{path}: the system does not let it be read at present; make it readable, or "
                "take it out of the folder, and run this again",
                path=path,
            )
        )
    return result


def _log_left_out(folder: Path, num_files: int, rejected: Sequence[str]) -> None:
    for count, reason, names in (
        (f"{len(rejected)} of {num_files} files", "cannot be read", rejected),
        ("files", "have suffixes of no picture format", _other_files(folder)),
    ):
        if names:
            message = "%s: %s %s and are left out: %s"
            _logger.warning(message, folder.name, count, reason, _listed(names))


def _nothing_readable(folder: Path, paths: Sequence[Path]) -> str:
    """The message of a folder without a readable picture; ``paths``: its picture files."""
    if not folder.is_dir():
        content = "the folder does not exist"
    elif paths:
        names = _listed(_names(folder, paths))
        content = f"its {len(paths)} picture files cannot be read: {names}"
    else:
        content = f"its files are {_listed(_other_files(folder)) or 'none'}"
    suffixes = ", ".join(image_format.suffixes[0] for image_format in FORMATS)
    return f"{folder}: found no picture ({content}); needed at least one file of {suffixes}"


def _other_files(folder: Path) -> list[str]:
    """Visible files without the suffix of a picture format, by their paths in ``folder``."""
    paths = [path for path in folder.rglob("*") if path.suffix.lower() not in SUFFIXES]
    names = _names(folder, sorted(path for path in paths if path.is_file()))
    return [name for name in names if "/." not in f"/{name}"]


def _names(folder: Path, paths: Iterable[Path]) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in paths]


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:_MAX_NAMES]) + (", …" if len(names) > _MAX_NAMES else "")
