"""The stage's verb: two listings of originals → an immutable dataset version."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from core.errors import SuyanError, TooFewImagesError
from core.files import write_json
from core.progress import Progress, silent
from core.tables import Picture, groups, write_rows
from core.workspace import Workspace
from preprocessing.analysis.analyse import FILE_MISSING, Analyse, Analysis, AnalysisConfig
from preprocessing.analysis.face_detector import model_file
from preprocessing.analysis.nsfw import require_safety_filter
from preprocessing.cache import AnalysisCache, libraries
from preprocessing.config import PrepareConfig
from preprocessing.dedup.verify import compare
from preprocessing.sandbox import Lost, Spread, Workers
from preprocessing.selection.attributes import Survey
from preprocessing.selection.listing import Found, Listing
from preprocessing.selection.manifest import Decision, decide
from preprocessing.selection.manifest_stats import Tally
from preprocessing.selection.originals import Register
from preprocessing.selection.overrides import overrides_file, read_overrides
from preprocessing.version.card import write_card
from preprocessing.version.card_rows import told
from preprocessing.version.crops import Crops
from preprocessing.version.sheet_drawing import draw_sheet
from preprocessing.version.sheets import kept_sheets
from preprocessing.version.staging import FOLDERS, Publication

STAGE_VERSION = 4  # raise it when the same originals and configuration give another dataset
_BATCH = 100  # analyses kept at a time, and lost at most when the process is killed
_STEP = 20  # originals surveyed at a time: some milliseconds, for which a worker may have to wait
_AT_ONCE = 10_000  # originals of which there are jobs at a time
_NOT_IN_NAME = {"num_workers", "timeout_s", "min_images"}  # they change no picture


@dataclass(frozen=True)
class PrepareSummary:
    """A dataset version: pictures by folder, and per side the rejected originals by reason."""

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
    spread: Spread | None = None,
) -> PrepareSummary:
    """Decode, find faces, crop, drop duplicates and split; the new (or the same old) version.

    The version is named after the configuration, the libraries' versions, and every decision about
    every original: equal ones are made once. What is known of an original, and its crops, are kept
    in ``cache/`` by content, so that new pictures alone cost time. A person's decisions are read
    from ``datasets/overrides-<a>-<b>.csv``. Decoding and cropping are this machine's worker
    processes' or, with ``spread``, other machines', which see the same workspace; the version is
    the same.

    Raises ``TooFewImagesError`` when a domain yields less than ``min_images``, saying what became
    of the others; a card of them is kept under ``datasets/rejected-…/``. Raises
    ``MissingModelError`` when a wanted model is not installed, ``ValueError`` for an override that
    cannot be understood.
    """
    if config.faces:
        model_file()  # missing: said before any work
    if config.max_unsafe is not None:
        require_safety_filter()
    register = Register.of(_Both(Listing("A", listing_a), Listing("B", listing_b)))
    with Workers(config.num_workers, config.timeout_s, spread) as workers:
        return _Preparation(config, register, workspace, workers, progress).run()


@dataclass(frozen=True)
class _Both:
    """Two listings, one after the other, as often as needed."""

    one: Iterable[Found]
    other: Iterable[Found]

    def __iter__(self) -> Iterator[Found]:
        return itertools.chain(self.one, self.other)


class _Preparation:
    def __init__(
        self,
        config: PrepareConfig,
        register: Register,
        workspace: Workspace,
        workers: Workers,
        progress: Progress,
    ) -> None:
        self._config, self._register, self._workspace = config, register, workspace
        self._workers, self._progress = workers, progress
        self._datasets = workspace / "datasets"
        path = overrides_file(workspace, config.domain_a, config.domain_b)
        self._overrides = read_overrides(path, register.names)
        self._cache = AnalysisCache(workspace, AnalysisConfig.of(config))
        self._crops = Crops(config, workspace, self._cache, workers, progress)
        self._amended = dict[str, Analysis]()  # instead of what the cache has, or has not

    def run(self) -> PrepareSummary:
        """The new version, or the same old one."""
        judge = functools.partial(
            compare, cache=self._cache, workers=self._workers, progress=self._progress
        )
        while True:
            with Publication(self._datasets) as publication:
                survey = self._surveyed(publication)
                self._progress("prepare: duplicates", 0, 1, "")
                decision = decide(
                    self._config, self._register, survey, self._find, self._overrides, judge
                )
                self._progress("prepare: duplicates", 1, 1, "")
                summary = self._published(decision, publication)
            if summary:
                return summary

    def _find(self, names: Sequence[str]) -> Mapping[str, Analysis]:
        found = self._cache.find(names)
        found |= {name: self._amended[name] for name in names if name in self._amended}
        if len(found) < len(set(names)):
            raise SuyanError(
                f"{self._workspace / 'cache'} has lost what it knew of originals: was it removed, "
                "or something forgotten, meanwhile? Please run it again"
            )
        return found

    def _published(self, decision: Decision, publication: Publication) -> PrepareSummary | None:
        """The version, unless an original turned out to be bad after all."""
        config, folder, tally = self._config, publication.folder, Tally(self._config)
        manifest = folder / "manifest.parquet"
        write_json(folder / "config.json", config.model_dump(mode="json"))
        write_rows(manifest, Picture, tally.counted(decision.rows()))
        settings = config.model_dump(mode="json", exclude=_NOT_IN_NAME)
        version = tally.version([settings, dict(libraries()), STAGE_VERSION])
        final, counts, rejected = self._datasets / version, tally.counts(FOLDERS), tally.rejected()
        is_there = (final / "manifest.parquet").exists()
        if is_there and not tally.problems():
            return PrepareSummary(final, version, counts, rejected, reused=True)
        shown = told(manifest, decision)
        card = functools.partial(
            write_card, folder, final, config, shown, counts, rejected, self._cache
        )
        if problems := tally.problems():
            card(published=False)
            kept = publication.reject(self._datasets / f"rejected-{version}")
            raise _too_few(problems, kept)
        with ThreadPoolExecutor(1) as beside:  # while workers cut
            written = beside.submit(_each, card, publication.flush)
            failed = self._crops.fill(manifest, sum(counts.values()), publication)
            if failed:
                self._amended |= {name: Analysis(reason) for name, reason in failed.items()}
                return None
            self._workers.dismiss()
            for sheet in kept_sheets(
                folder, self._workspace, config.crop_px, shown, counts, self._cache
            ):
                draw_sheet(sheet)
            written.result()
        reused = not publication.appear(final)
        return PrepareSummary(final, version, counts, rejected, reused)

    def _surveyed(self, publication: Publication) -> Survey:
        """What every original shows: what the cache does not have is found out and kept there.

        While workers look at new originals, old ones are surveyed and their crops copied.
        """
        job = Analyse(AnalysisConfig.of(self._config))
        survey = Survey(self._config, self._register, self._overrides)
        num, num_known, num_new = len(self._register.names), 0, 0
        for batch in groups(self._register.originals, _AT_ONCE):
            files = {
                original.sha256: self._workspace / original.rows[0].path
                for original in batch
                if original.sha256 not in survey
            }
            known = sorted(self._cache.known(files) | (files.keys() & self._amended.keys()))
            num_known += len(known)
            told = f"{num_known} known already" if num_known else ""
            self._progress("prepare", num_known + num_new, num, told)
            waiting = sorted((name, files[name]) for name in files.keys() - set(known))
            old = self._add_known(survey, known)
            crops = ((name, view) for name in known for view in survey.crops(name))
            meanwhile = itertools.chain(old, self._crops.expect(crops, publication))
            fresh = list[tuple[str, Analysis]]()
            for (name, _), outcome in self._workers.each(
                job, waiting, anywhere=True, meanwhile=meanwhile
            ):
                analysis = Analysis(outcome.reason) if isinstance(outcome, Lost) else outcome
                survey.add(name, analysis)
                if _may_pass(outcome):
                    self._amended[name] = analysis
                else:
                    fresh.append((name, analysis))
                if len(fresh) >= _BATCH:
                    self._cache.add(fresh)
                    fresh.clear()
                num_new += 1
                self._progress("prepare", num_known + num_new, num, f"{num_new} looked at")
            self._cache.add(fresh)
            for _ in old:
                pass
        return survey

    def _add_known(self, survey: Survey, names: Sequence[str]) -> Iterator[None]:
        for some in groups(names, _STEP):
            for name, seen in self._find(some).items():
                survey.add(name, seen)
            yield


def _each(*errands: Callable[[], object]) -> None:
    for errand in errands:
        errand()


def _too_few(problems: Sequence[str], kept: Path) -> TooFewImagesError:
    return TooFewImagesError(
        "too few usable pictures:\n  "
        + "\n  ".join(problems)
        + f"\nEverything crawled is kept; what was left out and why: {kept / 'card.html'}. "
        "Add search phrases or raise num_images, or lower prepare.min_images, and run again."
    )


def _may_pass(outcome: Analysis | Lost) -> bool:
    """Whether it may be otherwise another time, and is not to be kept."""
    if isinstance(outcome, Lost):
        return outcome.may_pass
    return outcome.reason == FILE_MISSING
