"""Splits collages of two pictures, where that is safe, before the decisions about all originals."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from core.progress import Progress
from core.tables import groups
from core.workspace import Workspace
from preprocessing.analysis.analyse import Analysis, AnalysisConfig, PartsTask
from preprocessing.cache import AnalysisCache
from preprocessing.config import PrepareConfig
from preprocessing.sandbox import WorkerPool
from preprocessing.sandbox_worker import Failure
from preprocessing.selection.collage_parts import NUM_PARTS, is_candidate, is_split, part_names
from preprocessing.selection.manifest import LoadAnalyses
from preprocessing.selection.originals import OriginalIndex

_ORIGINALS_PER_BATCH = 500  # with analyses in memory
_ONE_PICTURE = "one-picture"  # the cached analysis of the parts of an original that has none


class CollageSplitter:
    """Finds the originals of a workspace to split; their parts are analysed once and cached."""

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

    def split(
        self, index: OriginalIndex, load_analyses: LoadAnalyses, decided: Collection[str]
    ) -> OriginalIndex:
        """The index with the parts of each collage that is safe to split; their analyses are in the
        cache. Originals that a person ``decided`` about stay whole.
        """
        files = dict[str, Path]()
        for batch in groups(index.originals, _ORIGINALS_PER_BATCH):
            analyses = load_analyses([original.sha256 for original in batch])
            files |= {
                original.sha256: self._workspace.folder / original.rows[0].path
                for original in batch
                if original.sha256 not in decided
                and is_candidate(analyses[original.sha256], self._config)
            }
        parts = self._load_parts(files)
        return index.with_parts(name for name in files if is_split(parts[name], self._config))

    def _load_parts(self, files: Mapping[str, Path]) -> dict[str, list[Analysis]]:
        """The analyses of both parts of each original, or none, by its sha256."""
        names = {name: part_names(name) for name in files}
        cached = self._cache.load_analyses([part for of_one in names.values() for part in of_one])
        missing = [(name, files[name]) for name in sorted(files) if names[name][0] not in cached]
        done = len(files) - len(missing)
        for (name, _), outcome in self._workers.map_unordered(
            PartsTask(AnalysisConfig.of(self._config)), missing, may_run_remotely=True
        ):
            done += 1
            self._progress("prepare: collages", done, len(files), "")
            parts = [] if isinstance(outcome, Failure) else outcome
            parts = parts or [Analysis(_ONE_PICTURE)] * NUM_PARTS
            rows = list(zip(names[name], parts, strict=True))
            cached |= dict(rows)
            if not (isinstance(outcome, Failure) and outcome.is_transient):
                self._cache.add_analyses(rows)
        return {name: [cached[part] for part in names[name]] for name in files}
