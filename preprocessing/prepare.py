"""The stage's verb: two listings of originals → an immutable dataset version."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from core.config_identity import identity
from core.errors import SuyanError, TooFewImagesError
from core.files import write_json
from core.language.messages import localised
from core.pictures import UNREADABLE
from core.progress import Progress, silent
from core.tables import Picture, groups, write_rows
from core.workspace import Workspace
from core.workspace_folders import DatasetFolder
from preprocessing.analysis.analyse import FILE_MISSING, Analysis, AnalysisConfig, AnalysisTask
from preprocessing.analysis.face_network import FaceModel, model_file
from preprocessing.analysis.nsfw import require_safety_filter
from preprocessing.cache import AnalysisCache, libraries
from preprocessing.collages import CollageSplitter
from preprocessing.config import PrepareConfig
from preprocessing.dedup.verify import compare_pairs
from preprocessing.sandbox import MapBatches, WorkerPool
from preprocessing.sandbox_worker import Failure
from preprocessing.selection.attributes import Attributes
from preprocessing.selection.manifest import Manifest, ManifestStats, build_manifest
from preprocessing.selection.originals import ListedOriginal, Listing, OriginalIndex
from preprocessing.selection.overrides import overrides_file, read_differences, read_overrides
from preprocessing.version.card import write_card
from preprocessing.version.card_rows import load_card_rows
from preprocessing.version.crops import CropWriter
from preprocessing.version.sheets import draw_sheet, sheets_of_accepted
from preprocessing.version.staging import StagedVersion

STAGE_VERSION = 8  # raise it when the same originals and configuration give another dataset
_ANALYSES_PER_COMMIT = 100  # a killed process loses no more
_ORIGINALS_PER_STEP = 20  # of idle work; a worker waits a few milliseconds at most
_ORIGINALS_PER_BATCH = 10_000  # with tasks in memory


@dataclass(frozen=True)
class PrepareSummary:
    """A dataset version, its pictures by split, and the rejected originals by side and reason."""

    dataset: Path
    version: str
    counts: dict[str, int]
    rejected: dict[str, dict[str, int]]
    reused: bool


def prepare(
    config: PrepareConfig,
    listing_a: Path,
    listing_b: Path,
    workspace: Workspace,
    *,
    progress: Progress = silent,
    map_batches: MapBatches | None = None,
) -> PrepareSummary:
    """Decode, find faces, crop, drop duplicates and split; returns the new version, or an equal
    older one.

    The version is named after the configuration, the versions of the libraries, and every decision
    about every original; an equal version is not made again. Analyses and crops are cached by
    content, so that a later run computes only those of new pictures. A person's decisions are read
    from ``datasets/overrides-<a>-<b>.csv``. Worker processes of this machine decode and crop; with
    ``map_batches``, processes of other machines that share the workspace do so, and the version is
    the same.

    Raises ``TooFewImagesError`` when a domain yields fewer than ``min_images``, with the number of
    rejected originals by reason; their card is written to ``datasets/rejected-…/``. Raises
    ``MissingModelError`` when a required model is not installed, and ``ValueError`` for an override
    that cannot be understood.
    """
    if config.faces:
        for model in FaceModel:
            model_file(model)  # raises before any work
    if config.max_unsafe is not None:
        require_safety_filter()
    index = OriginalIndex.build(_BothListings(Listing("A", listing_a), Listing("B", listing_b)))
    with WorkerPool(config.num_workers, config.timeout_s, map_batches) as workers:
        return _Preparation(config, index, workspace, workers, progress).run()


@dataclass(frozen=True)
class _BothListings:
    """The originals of side A, then those of side B, as often as needed."""

    a: Iterable[ListedOriginal]
    b: Iterable[ListedOriginal]

    def __iter__(self) -> Iterator[ListedOriginal]:
        return itertools.chain(self.a, self.b)


class _Preparation:
    def __init__(
        self,
        config: PrepareConfig,
        index: OriginalIndex,
        workspace: Workspace,
        workers: WorkerPool,
        progress: Progress,
    ) -> None:
        self._config, self._index, self._workspace = config, index, workspace
        self._workers, self._progress = workers, progress
        self._read_decisions()
        self._cache = AnalysisCache(workspace, AnalysisConfig.of(config))
        self._crops = CropWriter(config, workspace, self._cache, workers, progress)
        self._uncached = dict[str, Analysis]()  # of this run; they precede the cache

    def run(self) -> PrepareSummary:
        """The new version, or an equal older one."""
        compare = functools.partial(
            compare_pairs, cache=self._cache, workers=self._workers, progress=self._progress
        )
        if self._config.split_seam < 1:
            self._split_collages()
        while True:
            with StagedVersion(self._workspace.datasets) as version:
                attributes = self._analyse_all(version)
                self._progress("prepare: duplicates", 0, 1, "")
                manifest = build_manifest(
                    self._config, self._index, attributes, self._load_analyses, self._overrides,
                    compare, self._differences,
                )  # fmt: skip
                self._progress("prepare: duplicates", 1, 1, "")
                summary = self._write_version(manifest, version)
            if summary:
                return summary

    def _read_decisions(self) -> None:
        config, names = self._config, self._index.names
        path = overrides_file(self._workspace, config.domain_a, config.domain_b)
        self._overrides = read_overrides(path, names)
        self._differences = read_differences(path, names)

    def _split_collages(self) -> None:
        """Let the parts of collages follow them in the index."""
        with StagedVersion(self._workspace.datasets) as version:
            self._analyse_all(version)
        splitter = CollageSplitter(
            self._config, self._workspace, self._cache, self._workers, self._progress
        )
        self._index = splitter.split(self._index, self._load_analyses, self._overrides)
        self._read_decisions()

    def _load_analyses(self, names: Sequence[str]) -> Mapping[str, Analysis]:
        analyses = self._cache.load_analyses(names)
        analyses |= {name: self._uncached[name] for name in names if name in self._uncached}
        if len(analyses) < len(set(names)):
            raise SuyanError(
                localised(
                    "{cache} has lost analyses of originals; it was removed, or pictures were "
                    "forgotten, while this ran. Run it again",
                    cache=self._workspace.cache,
                )
            )
        return analyses

    def _write_version(self, manifest: Manifest, version: StagedVersion) -> PrepareSummary | None:
        """The version, or ``None`` where an original failed after its analysis had succeeded."""
        config, stats = self._config, ManifestStats(self._config)
        staged = DatasetFolder(version.folder)
        # decisions, and so the name, depend on the scores
        is_scored = bool(config.min_side_score or self._index.collage)
        if is_scored:
            manifest = self._with_side_scores(manifest)
        write_json(staged.config, config.model_dump(mode="json"))
        write_rows(staged.manifest, Picture, stats.count(manifest.rows()))
        name = stats.version([identity(config), dict(libraries()), STAGE_VERSION])
        final = self._workspace.dataset(name)
        counts, rejected, problems = stats.counts(), stats.rejected(), stats.problems()
        if final.manifest.exists() and not problems:
            return PrepareSummary(final.path, name, counts, rejected, reused=True)
        if not is_scored and not problems:
            manifest = self._with_side_scores(manifest)
            write_rows(staged.manifest, Picture, manifest.rows())
        rows = load_card_rows(staged.manifest, manifest)
        write_card_files = functools.partial(
            write_card, staged.path, final.path, config, rows, counts, rejected, self._cache
        )
        if problems:
            write_card_files(has_enough=False)
            target = self._workspace.dataset(f"rejected-{name}").path
            raise _too_few(problems, DatasetFolder(version.keep_as_rejected(target)))
        with ThreadPoolExecutor(1) as executor:  # while workers crop
            card = executor.submit(_call_all, write_card_files, version.flush)
            failures = self._crops.write_all(staged.manifest, sum(counts.values()), version)
            if failures:
                self._uncached |= {name: Analysis(reason) for name, reason in failures.items()}
                return None
            self._workers.release()
            for sheet in sheets_of_accepted(
                staged, self._workspace, config.crop_px, rows, counts, self._cache
            ):
                draw_sheet(sheet)
            card.result()
        reused = not version.commit(final.path)
        return PrepareSummary(final.path, name, counts, rejected, reused)

    def _with_side_scores(self, manifest: Manifest) -> Manifest:
        self._progress("prepare: sides", 0, 1, "")
        scored = manifest.with_side_scores(self._load_features)
        self._progress("prepare: sides", 1, 1, "")
        return scored

    def _load_features(self, names: Sequence[str]) -> Mapping[str, bytes]:
        features = self._cache.load_features(names)
        return features | {k: self._uncached[k].features for k in names if k in self._uncached}

    def _analyse_all(self, version: StagedVersion) -> Attributes:
        """The attributes of all originals; those that are not in the cache are analysed and cached.

        While workers analyse, this process adds cached originals and prefetches their crops.
        """
        attributes = Attributes(self._config, self._index, self._overrides)
        num, num_cached, num_new = len(self._index.names), 0, 0
        for batch in groups(self._index.originals, _ORIGINALS_PER_BATCH):
            files = {
                original.sha256: self._workspace.folder / original.rows[0].path
                for original in batch
                if original.sha256 not in attributes
            }
            parts = files.keys() & self._index.collage.keys()  # which were analysed before
            cached = sorted(
                self._cache.names_with_analysis(files)
                | (files.keys() & self._uncached.keys())
                | parts
            )
            num_cached += len(cached)
            message = f"{num_cached} cached" if num_cached else ""
            self._progress("prepare", num_cached + num_new, num, message)
            missing = sorted((name, files[name]) for name in files.keys() - set(cached))
            for _ in self._analyse(missing, cached, attributes, version):
                num_new += 1
                self._progress("prepare", num_cached + num_new, num, f"{num_new} analysed")
        return attributes

    def _analyse(
        self,
        files: Sequence[tuple[str, Path]],
        cached: Sequence[str],
        attributes: Attributes,
        version: StagedVersion,
    ) -> Iterator[None]:
        """Analyse ``files`` (by sha256), cache the results, and add these and the ``cached``
        originals to ``attributes``; one of the files at each step.
        """
        adding = self._add_cached(attributes, cached)
        crops = ((name, crop) for name in cached for crop in attributes.crops(name))
        idle_work = itertools.chain(adding, self._crops.prefetch(crops, version))
        uncommitted = list[tuple[str, Analysis]]()
        for (name, _), outcome in self._workers.map_unordered(
            AnalysisTask(AnalysisConfig.of(self._config)), files,
            may_run_remotely=True, idle_work=idle_work,
        ):  # fmt: skip
            analysis = Analysis(outcome.reason) if isinstance(outcome, Failure) else outcome
            attributes.add(name, analysis)
            if _is_transient(outcome):
                self._uncached[name] = analysis
            else:
                uncommitted.append((name, analysis))
            if len(uncommitted) >= _ANALYSES_PER_COMMIT:
                self._cache.add_analyses(uncommitted)
                uncommitted.clear()
            yield
        self._cache.add_analyses(uncommitted)
        for _ in adding:
            pass

    def _add_cached(self, attributes: Attributes, names: Sequence[str]) -> Iterator[None]:
        for batch in groups(names, _ORIGINALS_PER_STEP):
            for name, analysis in self._load_analyses(batch).items():
                attributes.add(name, analysis)
            yield


def _call_all(*functions: Callable[[], object]) -> None:
    for function in functions:
        function()


def _too_few(problems: Sequence[str], rejected: DatasetFolder) -> TooFewImagesError:
    return TooFewImagesError(
        localised("too few usable pictures:\n  ")
        + "\n  ".join(problems)
        + localised(
            "\nThe originals are kept; {card_page} shows every rejected one and why. Add "
            "search phrases or raise num_images, or lower prepare.min_images, and run "
            "again.",
            card_page=rejected.card_page,
        )
    )


def _is_transient(outcome: Analysis | Failure) -> bool:
    """Whether another run may have another outcome; such an outcome must not be cached."""
    if isinstance(outcome, Failure):
        return outcome.is_transient
    return outcome.reason in {FILE_MISSING, UNREADABLE}
