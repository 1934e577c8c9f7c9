"""The stage's verb: two listings of originals → an immutable dataset version."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from preprocessing.analyse import FILE_MISSING, Analyse, Analysis, AnalysisConfig
from preprocessing.cache import AnalysisCache, crop_file, is_whole, libraries
from preprocessing.card import write_card
from preprocessing.compare import compare
from preprocessing.config import PrepareConfig
from preprocessing.cut import Cut, cut, enough_px
from preprocessing.decide import LEAST_TEST, Found, decide, found
from preprocessing.faces import model_file
from preprocessing.overrides import Action, overrides_file, read_overrides
from preprocessing.publish import FOLDERS, Publication
from preprocessing.safety import require_safety_filter
from preprocessing.workers import Lost, Spread, Workers
from scraping.records import (
    Original,
    Picture,
    Progress,
    TooFewImagesError,
    digest,
    iter_rows,
    silent,
    write_json,
    write_rows,
)

STAGE_VERSION = 3  # raise it when the same originals and configuration give another dataset
_BATCH = 100  # analyses (and tiles) kept at a time, and lost at most when the process is killed
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
    workspace: Path,
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
    of the others; their rows are kept under ``datasets/rejected-…/``. Raises
    ``MissingModelError`` when a wanted model is not installed, ``ValueError`` for an override that
    cannot be understood.
    """
    if config.faces:
        model_file()  # missing: said before any work
    if config.max_unsafe is not None:
        require_safety_filter()
    originals = [
        *found("A", iter_rows(listing_a, Original)),
        *found("B", iter_rows(listing_b, Original)),
    ]
    names = {original.sha256 for original in originals}
    overrides = read_overrides(overrides_file(workspace, config.domain_a, config.domain_b), names)
    cache = AnalysisCache(workspace, AnalysisConfig.of(config))
    with Workers(config.num_workers, config.timeout_s, spread) as workers:
        return _prepared(config, originals, overrides, workspace, cache, workers, progress)


def _prepared(
    config: PrepareConfig,
    originals: Sequence[Found],
    overrides: Mapping[str, Action],
    workspace: Path,
    cache: AnalysisCache,
    workers: Workers,
    progress: Progress,
) -> PrepareSummary:
    analyses = _analyses(config, originals, workspace, cache, workers, progress)
    while True:
        progress("prepare: duplicates", 0, 1, "")
        judge = functools.partial(compare, cache=cache, workers=workers, progress=progress)
        decided = decide(config, originals, analyses, overrides, judge)
        version = _version(config, decided.rows)
        final = workspace / "datasets" / version
        progress("prepare: duplicates", 1, 1, "")
        if (final / "manifest.parquet").exists():
            return _summary(final, decided.rows, reused=True)
        _require_enough(config, decided.rows, workspace, version)
        summary = _summary(final, decided.rows, reused=False)
        with Publication(final) as publication:
            failed = _cut(config, decided.rows, workspace, publication, cache, workers, progress)
            if not failed:
                folder = publication.folder
                write_json(folder / "config.json", config.model_dump(mode="json"))
                write_rows(folder / "manifest.parquet", Picture, decided.rows)
                told = summary.counts, summary.rejected
                write_card(folder, final, config, decided, *told, cache)
                return replace(summary, reused=not publication.appear())
        analyses |= {name: Analysis(reason) for name, reason in failed.items()}


def _analyses(
    config: PrepareConfig,
    originals: Sequence[Found],
    workspace: Path,
    cache: AnalysisCache,
    workers: Workers,
    progress: Progress,
) -> dict[str, Analysis]:
    """What every original shows: from the cache, or found out now and kept there."""
    files = {original.sha256: workspace / original.rows[0].path for original in originals}
    known = cache.known(files)
    waiting = [(name, file) for name, file in sorted(files.items()) if name not in known]
    total, num_known = len(files), len(known)
    progress("prepare", num_known, total, f"{num_known} known already" if num_known else "")
    found = dict[str, Analysis]()
    fresh: list[tuple[str, Analysis]] = []
    with ThreadPoolExecutor(1) as reading:  # what is known, while processes start and work
        before = reading.submit(cache.find, known)
        outcomes = workers.each(Analyse(AnalysisConfig.of(config)), waiting, anywhere=True)
        for done, ((name, _), outcome) in enumerate(outcomes, num_known + 1):
            seen = Analysis(outcome.reason) if isinstance(outcome, Lost) else outcome
            found[name] = seen
            if seen.reason != FILE_MISSING and not (isinstance(outcome, Lost) and outcome.may_pass):
                fresh.append((name, seen))
            if len(fresh) >= _BATCH:
                cache.add(fresh)
                fresh.clear()
            progress("prepare", done, total, f"{done - num_known} looked at")
        cache.add(fresh)
        return found | before.result()


def _version(config: PrepareConfig, rows: Sequence[Picture]) -> str:
    """Named by decisions, not pixels: another processor's last digits change neither."""
    settings = config.model_dump(mode="json", exclude=_NOT_IN_NAME)
    decisions = sorted(
        (r.sha256, r.side, r.face, r.file, r.reason, r.cluster, r.override) for r in rows
    )
    name = digest([settings, decisions, dict(libraries()), STAGE_VERSION])
    return f"{config.domain_a}-{config.domain_b}-{name}".replace("_", "-")


def _cut(
    config: PrepareConfig,
    rows: Sequence[Picture],
    workspace: Path,
    publication: Publication,
    cache: AnalysisCache,
    workers: Workers,
    progress: Progress,
) -> dict[str, str]:
    """Publish the crops, made where they are not yet; the originals that failed, with reasons."""
    jobs = dict[Cut, Picture]()
    for row in rows:
        if row.status != "ok":
            continue
        target = crop_file(workspace, row.sha256, tuple(row.transform), config.crop_px)
        if is_whole(target):
            publication.take(target, row.file)
            continue
        transform = np.array(row.transform).reshape(2, 3)
        job = Cut(
            original=workspace / row.original,
            transform=tuple(row.transform),
            crop_px=config.crop_px,
            enough_px=enough_px(transform, row.height, row.width),
            max_pixels=config.max_megapixels * 1e6,
            target=target,
        )
        jobs[job] = row
    failed, tiles = dict[str, str](), dict[Path, bytes]()
    outcomes = workers.each(cut, list(jobs), anywhere=True)
    for done, (job, outcome) in enumerate(outcomes, 1):
        if outcome.reason:
            failed[jobs[job].sha256] = outcome.reason
        elif not isinstance(outcome, Lost):
            publication.take(job.target, jobs[job].file)
            tiles[job.target] = outcome.tile
        if len(tiles) >= _BATCH or done == len(jobs):
            cache.add_tiles(tiles)
            tiles.clear()
        progress("prepare: crops", done, len(jobs), "")
    return failed


def _require_enough(
    config: PrepareConfig, rows: Sequence[Picture], workspace: Path, version: str
) -> None:
    problems = []
    for side, domain in (("A", config.domain_a), ("B", config.domain_b)):
        mine = [row for row in rows if row.side == side]
        usable = [row for row in mine if row.status == "ok"]
        splits = Counter(row.split for row in usable)
        if len(usable) < config.min_images or splits["train"] < 2 or splits["test"] < LEAST_TEST:
            reasons = Counter(reason_kind(row.reason) for row in mine if row.status != "ok")
            listed = ", ".join(f"{reason}: {num}" for reason, num in reasons.most_common())
            problems.append(
                f"domain {domain!r}: {len(mine)} originals found, {len(usable)} usable "
                f"({splits['train']} to train on, {splits['test']} to test on), "
                f"needed {config.min_images}; rejected: {listed or 'none'}"
            )
    if problems:
        kept = workspace / "datasets" / f"rejected-{version}"
        write_json(kept / "config.json", config.model_dump(mode="json"))
        write_rows(kept / "manifest.parquet", Picture, rows)
        raise TooFewImagesError(
            "too few usable pictures:\n  "
            + "\n  ".join(problems)
            + f"\nEverything crawled is kept; every decision is in {kept / 'manifest.parquet'}. "
            "Add search phrases or raise num_images, or lower prepare.min_images, and run again."
        )


def reason_kind(reason: str) -> str:
    """A reason without its particulars, for counting."""
    return reason.split(":", maxsplit=1)[0]


def _summary(dataset: Path, rows: Sequence[Picture], *, reused: bool) -> PrepareSummary:
    counts = Counter(f"{row.split}{row.side}" for row in rows if row.status == "ok")
    rejected: dict[str, Counter[str]] = {"A": Counter(), "B": Counter()}
    for row in rows:
        if row.status != "ok":
            rejected[row.side][reason_kind(row.reason)] += 1
    return PrepareSummary(
        dataset=dataset,
        version=dataset.name,
        counts={name: counts[name] for name in FOLDERS},
        rejected={side: dict(reasons) for side, reasons in rejected.items()},
        reused=reused,
    )
