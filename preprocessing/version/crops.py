"""The crops of a dataset version: written by workers unless an older version has them already."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from core.progress import Progress
from core.tables import groups, iter_rows
from core.workspace import Workspace
from preprocessing.cache import AnalysisCache, crop_file, is_complete_png
from preprocessing.config import PrepareConfig
from preprocessing.images.crop import CropTask, enough_px, write_crop
from preprocessing.sandbox import WorkerPool
from preprocessing.sandbox_worker import Failure
from preprocessing.selection.rules import Crop
from preprocessing.version.staging import StagedVersion

_CROPS_PER_BATCH = 10_000  # with tasks in memory
_TILES_PER_COMMIT = 100
_COLLAGE_PER_PART = 3  # longer sides of a collage and of its part, at most


class CropWriter:
    """Writes crops of a workspace's originals; each one is computed once and cached."""

    def __init__(
        self,
        config: PrepareConfig,
        workspace: Workspace,
        cache: AnalysisCache,
        workers: WorkerPool,
        progress: Progress,
    ) -> None:
        self._config, self._workspace, self._cache = config, workspace, cache
        self._workers, self._progress = workers, progress

    def prefetch(self, crops: Iterable[tuple[str, Crop]], version: StagedVersion) -> Iterator[None]:
        """Copy cached crops, given with the sha256 of their originals, one at each step."""
        for sha256, crop in crops:
            path = self._path(sha256, crop.transform)
            if not crop.reason and is_complete_png(path):
                version.prefetch(path)
            yield

    def write_all(self, manifest: Path, num: int, version: StagedVersion) -> dict[str, str]:
        """Add the manifest's ``num`` crops to the version; returns the reasons of originals that
        failed, by their sha256.
        """
        failures = dict[str, str]()
        done = 0
        used = (row for row in iter_rows(manifest, _CropRow) if row.status == "ok")
        for rows in groups(used, _CROPS_PER_BATCH):
            tasks, cached = dict[CropTask, _CropRow](), list[tuple[Path, str]]()
            for row in rows:
                path = self._path(row.sha256, tuple(row.transform))
                if version.has_prefetched(path) or is_complete_png(path):
                    cached.append((path, row.file))
                else:
                    tasks[self._task(row, path)] = row
            done += len(cached)
            self._progress("prepare: crops", done, num, "")
            for reason, sha256 in self._write(tasks, cached, version):
                if reason:
                    failures[sha256] = reason
                done += 1
                self._progress("prepare: crops", done, num, "")
        return failures

    def _write(
        self,
        tasks: dict[CropTask, _CropRow],
        cached: list[tuple[Path, str]],
        version: StagedVersion,
    ) -> Iterator[tuple[str, str]]:
        """Write the crops of ``tasks`` and add these and the ``cached`` ones to the version.

        Yields the reason ("" for a written crop) and the original's sha256 of each task.
        """
        adding = _add_all(cached, version)
        tiles = dict[Path, bytes]()
        for task, outcome in self._workers.map_unordered(
            write_crop, list(tasks), may_run_remotely=True, idle_work=adding
        ):
            row = tasks[task]
            if not outcome.reason and not isinstance(outcome, Failure):
                version.add(task.target, row.file)
                tiles[task.target] = outcome.tile
            if len(tiles) >= _TILES_PER_COMMIT:
                self._cache.add_tiles(tiles)
                tiles.clear()
            yield outcome.reason, row.sha256
        self._cache.add_tiles(tiles)
        for _ in adding:
            pass

    def _path(self, sha256: str, transform: tuple[float, ...]) -> Path:
        return crop_file(self._workspace, sha256, transform, self._config.crop_px)

    def _task(self, row: _CropRow, target: Path) -> CropTask:
        transform = np.array(row.transform).reshape(2, 3)
        times = _COLLAGE_PER_PART if row.part_box else 1
        return CropTask(
            original=self._workspace.folder / row.original,
            transform=tuple(row.transform),
            crop_px=self._config.crop_px,
            enough_px=enough_px(transform, times * row.height, times * row.width),
            max_pixels=self._config.max_megapixels * 1e6,
            target=target,
            box=tuple(round(edge) for edge in row.part_box),
        )


def _add_all(crops: Iterable[tuple[Path, str]], version: StagedVersion) -> Iterator[None]:
    for path, file in crops:
        version.add(path, file)
        yield


@dataclass(frozen=True, slots=True)
class _CropRow:
    """Columns of ``Picture``."""

    sha256: str
    status: str
    file: str
    original: str
    transform: list[float]
    height: int
    width: int
    part_box: list[float] = field(default_factory=list)
