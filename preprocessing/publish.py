"""A dataset version's folder, which appears whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Self

from scraping.records import sync_folder

FOLDERS = ("trainA", "trainB", "testA", "testB")
_AT_ONCE = 4  # files that are flushed: a file system commits them together
_WAITING = 10_000  # copies: more would take memory, and fewer keep others from being cut meanwhile


class Publication:
    """The folder of a version in the making, under another name (``folder``, in ``datasets``); a
    context manager that leaves nothing of it behind unless it appeared.

    Crops are copied while others are cut. They are never linked: a picture that somebody edits
    where it lies must not change in the cache and in other versions.
    """

    def __init__(self, datasets: Path) -> None:
        datasets.mkdir(parents=True, exist_ok=True)
        self.folder = Path(tempfile.mkdtemp(".partial", f".{os.getpid()}-", datasets))
        self.folder.chmod(0o755)
        self._pool = ThreadPoolExecutor(_AT_ONCE)
        self._copies = deque[Future[None]]()

    def __enter__(self) -> Self:
        for name in FOLDERS:
            (self.folder / name).mkdir()
        return self

    def __exit__(self, *_error: object) -> None:
        self._pool.shutdown(cancel_futures=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def take(self, crop: Path, file: str) -> None:
        """Have the crop in the version as ``file``, in one of ``FOLDERS``."""
        if len(self._copies) >= _WAITING:
            self._copies.popleft().result()
        self._copies.append(self._pool.submit(_copy, crop, self.folder / file))

    def reject(self, kept: Path) -> Path:
        """Keep what was written into ``folder`` in another place, and nothing of pictures."""
        for name in FOLDERS:
            (self.folder / name).rmdir()
        shutil.rmtree(kept, ignore_errors=True)
        return self.folder.rename(kept)

    def appear(self, final: Path) -> bool:
        """Flush what else was written into ``folder``, and be there as ``final``; ``False`` if
        another process was faster.

        Raises ``OSError`` when something that is no version is in its place.
        """
        others = (path for path in self.folder.iterdir() if path.name not in FOLDERS)
        for other in others:
            files = other.rglob("*") if other.is_dir() else [other]
            list(self._pool.map(_sync, (path for path in files if path.is_file())))
        while self._copies:
            self._copies.popleft().result()
        for name in FOLDERS:
            sync_folder(self.folder / name)
        with suppress(OSError):
            self.folder.rename(final)
            sync_folder(final.parent)
            return True
        if not (final / "manifest.parquet").exists():
            raise OSError(f"{final}: cannot be made; is something else in its place?")
        return False


def _copy(source: Path, target: Path) -> None:
    shutil.copyfile(source, target)
    _sync(target)


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
