"""The folder of a dataset version while it is written; it appears whole or not at all."""

from __future__ import annotations

import os
import secrets
import shutil
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Self

from core.files import sync_file, sync_folder
from core.language.messages import localised
from core.locks import file_lock
from core.workspace_folders import SPLITS, DatasetFolder

_PARTIAL_SUFFIX = ".partial"
_PREFETCH_FOLDER = "early"  # of crops that will probably be used
_COPY_THREADS = 4  # the file system commits files of several threads together
_MAX_PENDING_COPIES = 10_000  # more would take memory, fewer would keep workers waiting


class StagedVersion:
    """A dataset version in the making: a hidden ``folder`` in ``datasets``.

    A context manager that removes the folder unless it was committed. The folder of a process that
    was killed is removed when the next one starts.

    Crops are copied while others are still computed; those that will probably be used are
    prefetched even earlier. They are never linked: an edit of a picture in one version must not
    change the cache and other versions.
    """

    def __init__(self, datasets: Path) -> None:
        datasets.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(datasets)
        self.folder = datasets / f".{os.getpid()}-{secrets.token_hex(4)}{_PARTIAL_SUFFIX}"
        self._prefetched = self.folder / _PREFETCH_FOLDER
        self._lock: AbstractContextManager[None] = _own(self.folder)
        self._pool = ThreadPoolExecutor(_COPY_THREADS)
        self._copies = deque[Future[None]]()

    def __enter__(self) -> Self:
        self._lock.__enter__()
        for name in (*SPLITS, _PREFETCH_FOLDER):
            (self.folder / name).mkdir(parents=True)
        return self

    def __exit__(self, *_error: object) -> None:
        self._pool.shutdown(cancel_futures=True)
        shutil.rmtree(self.folder, ignore_errors=True)
        self._lock.__exit__(None, None, None)

    def prefetch(self, crop: Path) -> None:
        """Copy a crop that will probably be used; returns when it is copied."""
        _copy(crop, self._prefetched / crop.name)

    def has_prefetched(self, crop: Path) -> bool:
        """Whether the crop was prefetched and not added yet."""
        return (self._prefetched / crop.name).exists()

    def add(self, crop: Path, file: str) -> None:
        """Add the crop as ``file``, a path below one of ``SPLITS``; threads copy it."""
        with suppress(FileNotFoundError):
            (self._prefetched / crop.name).rename(self.folder / file)
            return
        if len(self._copies) >= _MAX_PENDING_COPIES:
            self._copies.popleft().result()
        self._copies.append(self._pool.submit(_copy, crop, self.folder / file))

    def keep_as_rejected(self, target: Path) -> Path:
        """Rename the folder, without its crops, to ``target``, in place of an older folder."""
        for name in SPLITS:
            (self.folder / name).rmdir()
        shutil.rmtree(self._prefetched)
        shutil.rmtree(target, ignore_errors=True)
        return self.folder.rename(target)

    def flush(self) -> None:
        """Flush every file in ``folder`` to disk, except crops, which are flushed one by one."""
        for entry in self.folder.iterdir():
            is_being_written = entry.name.startswith(".")
            if entry.name in (*SPLITS, _PREFETCH_FOLDER) or is_being_written:
                continue
            files = entry.rglob("*") if entry.is_dir() else [entry]
            list(self._pool.map(sync_file, (path for path in files if path.is_file())))

    def commit(self, final: Path) -> bool:
        """Rename the folder to ``final`` once everything is on disk; ``False`` where another
        process was faster.

        Raises ``OSError`` when something else than a version has that name.
        """
        shutil.rmtree(self._prefetched)
        self.flush()
        while self._copies:
            self._copies.popleft().result()
        for name in SPLITS:
            sync_folder(self.folder / name)
        with suppress(OSError):
            self.folder.rename(final)
            sync_folder(final.parent)
            return True
        if not DatasetFolder(final).manifest.exists():
            raise OSError(
                localised(
                    "{final}: the dataset version could not be moved there; remove or rename "
                    "what is in its place",
                    final=final,
                )
            )
        return False


class _InUseError(Exception):
    """Another process holds the lock of a folder."""


def _remove_abandoned(datasets: Path) -> None:
    """Remove the folders of processes that were killed."""
    for folder in datasets.glob(f".*{_PARTIAL_SUFFIX}"):
        with suppress(_InUseError), _own(folder):
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _own(folder: Path) -> Iterator[None]:
    """Hold the folder's lock file during the block, then remove it; raises ``_InUseError`` if
    another process holds it.
    """
    lock = folder.with_name(f"{folder.name}.lock")
    with file_lock(lock, on_wait=_raise_in_use):
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)


def _raise_in_use() -> None:
    raise _InUseError


def _copy(source: Path, target: Path) -> None:
    shutil.copyfile(source, target)
    sync_file(target)
