"""A dataset version's folder, which appears whole or not at all."""

from __future__ import annotations

import os
import secrets
import shutil
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Self

from filelock import FileLock, Timeout

from core.files import sync_folder

FOLDERS = ("trainA", "trainB", "testA", "testB")
_PARTIAL = ".partial"
_EARLY = "early"  # folder of crops that will probably be wanted
_AT_ONCE = 4  # files that are flushed: a file system commits them together
_WAITING = 10_000  # copies: more would take memory, and fewer keep others from being cut meanwhile


class Publication:
    """The folder of a version in the making, under another name (``folder``, in ``datasets``); a
    context manager that leaves nothing of it behind unless it appeared. What is left when a process
    is killed goes when the next one begins.

    Crops are copied while others are cut, those that will probably be wanted before that. They are
    never linked: a picture that somebody edits where it lies must not change in the cache and in
    other versions.
    """

    def __init__(self, datasets: Path) -> None:
        datasets.mkdir(parents=True, exist_ok=True)
        _clear(datasets)
        self.folder = datasets / f".{os.getpid()}-{secrets.token_hex(4)}{_PARTIAL}"
        self._early = self.folder / _EARLY
        self._lock = _lock(self.folder)
        self._pool = ThreadPoolExecutor(_AT_ONCE)
        self._copies = deque[Future[None]]()

    def __enter__(self) -> Self:
        self._lock.acquire()
        for name in (*FOLDERS, _EARLY):
            (self.folder / name).mkdir(parents=True)
        return self

    def __exit__(self, *_error: object) -> None:
        self._pool.shutdown(cancel_futures=True)
        shutil.rmtree(self.folder, ignore_errors=True)
        _unlock(self._lock)

    def expect(self, crop: Path) -> None:
        """Copy a crop that will probably be wanted; returns when that is done."""
        _copy(crop, self._early / crop.name)

    def has(self, crop: Path) -> bool:
        """Whether the crop was expected."""
        return (self._early / crop.name).exists()

    def take(self, crop: Path, file: str) -> None:
        """Have the crop in the version as ``file``, in one of ``FOLDERS``."""
        with suppress(FileNotFoundError):
            (self._early / crop.name).rename(self.folder / file)
            return
        if len(self._copies) >= _WAITING:
            self._copies.popleft().result()
        self._copies.append(self._pool.submit(_copy, crop, self.folder / file))

    def reject(self, kept: Path) -> Path:
        """Keep what was written into ``folder`` in another place, and nothing of pictures."""
        for name in FOLDERS:
            (self.folder / name).rmdir()
        shutil.rmtree(self._early)
        shutil.rmtree(kept, ignore_errors=True)
        return self.folder.rename(kept)

    def flush(self) -> None:
        """Have what was written into ``folder`` so far on the disk; ``take`` has its own ways."""
        for other in self.folder.iterdir():
            if other.name in (*FOLDERS, _EARLY) or other.name.startswith("."):  # being written
                continue
            files = other.rglob("*") if other.is_dir() else [other]
            list(self._pool.map(_sync, (path for path in files if path.is_file())))

    def appear(self, final: Path) -> bool:
        """Be there as ``final``, with everything on the disk; ``False`` if another process was
        faster.

        Raises ``OSError`` when something that is no version is in its place.
        """
        shutil.rmtree(self._early)
        self.flush()
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


def _clear(datasets: Path) -> None:
    """Remove what processes that were killed have left."""
    for folder in datasets.glob(f".*{_PARTIAL}"):
        lock = _lock(folder)
        with suppress(Timeout):
            lock.acquire(timeout=0)  # else it is in the making
            shutil.rmtree(folder, ignore_errors=True)
            _unlock(lock)


def _lock(folder: Path) -> FileLock:
    return FileLock(f"{folder}.lock")


def _unlock(lock: FileLock) -> None:
    Path(lock.lock_file).unlink(missing_ok=True)
    lock.release()


def _copy(source: Path, target: Path) -> None:
    shutil.copyfile(source, target)
    _sync(target)


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
