"""A dataset version's folder, which appears whole or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Self

from preprocessing.cache import AnalysisCache
from preprocessing.card import write_card
from preprocessing.config import PrepareConfig
from preprocessing.decide import Decided
from scraping.records import Picture, sync_folder, write_json, write_rows

FOLDERS = ("trainA", "trainB", "testA", "testB")
_AT_ONCE = 16  # files that are flushed: a file system commits them together


class Publication:
    """The folder of a version in the making, under another name; a context manager that leaves
    nothing of it behind unless it appeared.

    Crops are copied while others are cut. They are never linked: a picture that somebody edits
    where it lies must not change in the cache and in other versions.
    """

    def __init__(self, final: Path) -> None:
        self._final = final
        self._partial = final.with_name(f".{final.name}.{os.getpid()}.partial")
        self._pool = ThreadPoolExecutor(_AT_ONCE)
        self._copies: dict[Path, Future[None]] = {}

    def __enter__(self) -> Self:
        shutil.rmtree(self._partial, ignore_errors=True)
        for folder in FOLDERS:
            (self._partial / folder).mkdir(parents=True)
        return self

    def __exit__(self, *_error: object) -> None:
        self._pool.shutdown(cancel_futures=True)
        shutil.rmtree(self._partial, ignore_errors=True)

    def take(self, crop: Path, file: str) -> None:
        """Have the crop in the version as ``file``."""
        target = self._partial / file
        self._copies[target] = self._pool.submit(_copy, crop, target)

    def appear(
        self,
        config: PrepareConfig,
        decided: Decided,
        counts: Mapping[str, int],
        rejected: Mapping[str, Mapping[str, int]],
        cache: AnalysisCache,
    ) -> bool:
        """Add manifest and card, and be there; ``False`` if another process was faster."""
        final, partial = self._final, self._partial
        write_json(partial / "config.json", config.model_dump(mode="json"))
        write_rows(partial / "manifest.parquet", Picture, decided.rows)
        write_card(partial, final, config, decided, counts, rejected, cache)
        others = [p for p in partial.rglob("*") if p.is_file() and p not in self._copies]
        list(self._pool.map(_sync, others))
        for copy in self._copies.values():
            copy.result()
        for folder in FOLDERS:
            sync_folder(partial / folder)
        with suppress(OSError):
            partial.rename(final)
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
