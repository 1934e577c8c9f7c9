"""A version's crops: made by workers where no version had them yet, and put into its folder."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.progress import Progress
from core.tables import groups, iter_rows
from core.workspace import Workspace
from preprocessing.cache import AnalysisCache, crop_file, is_whole
from preprocessing.config import PrepareConfig
from preprocessing.images.crop import Cut, cut, enough_px
from preprocessing.sandbox import Lost, Workers
from preprocessing.selection.rules import View
from preprocessing.version.staging import Publication

_AT_ONCE = 10_000  # crops of which there are jobs at a time
_BATCH = 100  # tiles kept at a time


class Crops:
    """Crops of a workspace's originals, each one cut once for good."""

    def __init__(
        self,
        config: PrepareConfig,
        workspace: Workspace,
        cache: AnalysisCache,
        workers: Workers,
        progress: Progress,
    ) -> None:
        self._config, self._workspace, self._cache = config, workspace, cache
        self._workers, self._progress = workers, progress

    def expect(self, views: Iterable[tuple[str, View]], publication: Publication) -> Iterator[None]:
        """Copy the crops that there are of these views of originals, for some version had them: one
        at each step.
        """
        for sha256, view in views:
            if not view.reason and is_whole(crop := self._file(sha256, view.transform)):
                publication.expect(crop)
            yield

    def fill(self, manifest: Path, num: int, publication: Publication) -> dict[str, str]:
        """Have the manifest's ``num`` crops in the version; the originals that failed, with
        reasons.
        """
        failed = dict[str, str]()
        done = 0
        used = (row for row in iter_rows(manifest, _Used) if row.status == "ok")
        for rows in groups(used, _AT_ONCE):
            jobs, there = dict[Cut, _Used](), list[tuple[Path, str]]()
            for row in rows:
                crop = self._file(row.sha256, tuple(row.transform))
                if publication.has(crop) or is_whole(crop):
                    there.append((crop, row.file))
                else:
                    jobs[self._job(row, crop)] = row
            done += len(there)
            self._progress("prepare: crops", done, num, "")
            taking = _taken(there, publication)
            tiles = dict[Path, bytes]()
            for job, outcome in self._workers.each(
                cut, list(jobs), anywhere=True, meanwhile=taking
            ):
                if outcome.reason:
                    failed[jobs[job].sha256] = outcome.reason
                elif not isinstance(outcome, Lost):
                    publication.take(job.target, jobs[job].file)
                    tiles[job.target] = outcome.tile
                if len(tiles) >= _BATCH:
                    self._cache.add_tiles(tiles)
                    tiles.clear()
                done += 1
                self._progress("prepare: crops", done, num, "")
            self._cache.add_tiles(tiles)
            for _ in taking:
                pass
        return failed

    def _file(self, sha256: str, transform: tuple[float, ...]) -> Path:
        return crop_file(self._workspace, sha256, transform, self._config.crop_px)

    def _job(self, row: _Used, target: Path) -> Cut:
        transform = np.array(row.transform).reshape(2, 3)
        return Cut(
            original=self._workspace / row.original,
            transform=tuple(row.transform),
            crop_px=self._config.crop_px,
            enough_px=enough_px(transform, row.height, row.width),
            max_pixels=self._config.max_megapixels * 1e6,
            target=target,
        )


def _taken(crops: Iterable[tuple[Path, str]], publication: Publication) -> Iterator[None]:
    for crop, file in crops:
        publication.take(crop, file)
        yield


@dataclass(frozen=True, slots=True)
class _Used:
    """Columns of ``Picture``."""

    sha256: str
    status: str
    file: str
    original: str
    transform: list[float]
    height: int
    width: int
