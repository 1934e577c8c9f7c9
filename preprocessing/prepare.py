"""The stage's verb: two listings of originals → an immutable dataset version."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from preprocessing.card import write_card
from preprocessing.config import PrepareConfig
from preprocessing.duplicates import clusters
from preprocessing.examine import Examined, examine_all
from preprocessing.faces import model_file
from preprocessing.split import held_out
from scraping.records import (
    Original,
    Picture,
    Progress,
    TooFewImagesError,
    digest,
    read_rows,
    silent,
    sync_folder,
    write_json,
    write_rows,
)

STAGE_VERSION = 1  # raise it when the same originals and configuration give another dataset
_LEAST_TEST = 2  # pictures of a side: distances between sets need more than one


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
) -> PrepareSummary:
    """Decode, find faces, crop, drop duplicates and split; the new (or the same old) version.

    The version is named after the configuration and the originals: equal ones are made once.

    Raises ``TooFewImagesError`` when a domain yields less than ``min_images``, saying what became
    of the others; their rows are kept under ``datasets/rejected-…/``. Raises
    ``MissingModelError`` when faces are wanted and the detector is not installed.
    """
    originals = {"A": _usable(listing_a), "B": _usable(listing_b)}
    version = _version(config, originals)
    final = workspace / "datasets" / version
    if (final / "manifest.parquet").exists():
        return _summary(final, version, read_rows(final / "manifest.parquet", Picture), reused=True)
    if config.faces:
        model_file()  # missing: said before any work
    partial = final.with_name(f".{version}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    (partial / "crops").mkdir(parents=True)
    try:
        examined = _examine(config, originals, workspace, partial / "crops", progress)
        progress("prepare: duplicates", 0, 1, "")
        rows = _split(config, _decide(config, originals, examined))
        progress("prepare: duplicates", 1, 1, "")
        _require_enough(config, rows, workspace, version)
        _publish(config, rows, partial, final)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return _summary(final, version, rows, reused=False)


def _usable(listing: Path) -> list[Original]:
    """The rows with a picture, the first one of each file."""
    rows = [row for row in read_rows(listing, Original) if row.status == "ok"]
    return list({row.sha256: row for row in reversed(rows)}.values())[::-1]


def _version(config: PrepareConfig, originals: Mapping[str, Sequence[Original]]) -> str:
    settings = config.model_dump(mode="json", exclude={"num_workers", "timeout_s"})
    files = {side: sorted(row.sha256 for row in rows) for side, rows in originals.items()}
    name = digest({"config": settings, "files": files, "stage": STAGE_VERSION})
    return f"{config.domain_a}-{config.domain_b}-{name}".replace("_", "-")


def _examine(
    config: PrepareConfig,
    originals: Mapping[str, Sequence[Original]],
    workspace: Path,
    crops: Path,
    progress: Progress,
) -> dict[str, Examined]:
    files = {row.sha256: workspace / row.path for rows in originals.values() for row in rows}
    examined: dict[str, Examined] = {}
    good = 0
    progress("prepare", 0, len(files), "")
    for outcome in examine_all(sorted(files.items()), config, crops):
        examined[outcome.sha256] = outcome
        good += not outcome.reason
        progress("prepare", len(examined), len(files), f"{good} usable")
    return examined


def _decide(
    config: PrepareConfig,
    originals: Mapping[str, Sequence[Original]],
    examined: Mapping[str, Examined],
) -> list[Picture]:
    """One row for each original of each side, in the order of the listings."""
    names = sorted(examined)
    numbers = clusters(
        [[examined[name].whole for name in names], [examined[name].aligned for name in names]],
        config.duplicate_bits,
        [config.duplicate_difference, config.face_duplicate_difference],
    )
    cluster_of = dict(zip(names, (int(number) for number in numbers), strict=True))
    sides: dict[int, set[str]] = {}
    for side, rows in originals.items():
        for row in rows:
            sides.setdefault(cluster_of[row.sha256], set()).add(side)
    best: dict[int, str] = {}
    for name in sorted(names, key=lambda name: _quality(examined[name]), reverse=True):
        best.setdefault(cluster_of[name], name)
    return [
        _row(
            config, row, side, examined[row.sha256], best[number], spans_both=len(sides[number]) > 1
        )
        for side, rows in originals.items()
        for row in rows
        for number in [cluster_of[row.sha256]]
    ]


def _quality(picture: Examined) -> tuple[bool, float, str]:
    """Usable before unusable, then pixels weighed by sharpness; the name breaks ties."""
    pixels = picture.width * picture.height
    return (not picture.reason, pixels * picture.sharpness**0.5, picture.sha256)


def _row(
    config: PrepareConfig,
    original: Original,
    side: str,
    seen: Examined,
    best: str,
    *,
    spans_both: bool,
) -> Picture:
    domain = config.domain_a if side == "A" else config.domain_b
    row = Picture(
        sha256=original.sha256,
        domain=domain,
        side=side,
        split="",
        file="",
        status="rejected",
        reason=seen.reason,
        cluster=best if seen.whole else "",
        phash=f"{seen.whole.phash:016x}" if seen.whole else "",
        face_phash=f"{seen.aligned.phash:016x}" if seen.aligned else "",
        width=seen.width,
        height=seen.height,
        keypoints=seen.keypoints,
        transform=seen.transform,
        sharpness=round(seen.sharpness, 3),
        phrase=original.phrase,
        url=original.url,
        original=original.path,
    )
    if seen.reason:
        return row
    if spans_both:
        return replace(row, reason="in-both-domains")
    if best != seen.sha256:
        return replace(row, reason=f"duplicate-of:{best}")
    return replace(row, status="ok", reason="")


def _split(config: PrepareConfig, rows: Sequence[Picture]) -> list[Picture]:
    """The rows with a split and a file for those that are used."""
    test = set[str]()
    for side in ("A", "B"):
        names = {row.cluster for row in rows if row.side == side and row.status == "ok"}
        test |= held_out(names, config.test_fraction, _LEAST_TEST)
    return [
        replace(row, split=split, file=f"{split}{row.side}/{row.sha256[:16]}.png")
        if row.status == "ok"
        else row
        for row in rows
        for split in ["test" if row.cluster in test else "train"]
    ]


def _require_enough(
    config: PrepareConfig, rows: Sequence[Picture], workspace: Path, version: str
) -> None:
    problems = []
    for side, domain in (("A", config.domain_a), ("B", config.domain_b)):
        mine = [row for row in rows if row.side == side]
        usable = [row for row in mine if row.status == "ok"]
        splits = Counter(row.split for row in usable)
        if len(usable) < config.min_images or splits["train"] < 2 or splits["test"] < _LEAST_TEST:
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


def _publish(config: PrepareConfig, rows: Sequence[Picture], partial: Path, final: Path) -> None:
    for folder in ("trainA", "trainB", "testA", "testB"):
        (partial / folder).mkdir()
    for row in rows:
        if row.status == "ok":
            (partial / "crops" / f"{row.sha256}.png").rename(partial / row.file)
    shutil.rmtree(partial / "crops")
    write_json(partial / "config.json", config.model_dump(mode="json"))
    write_rows(partial / "manifest.parquet", Picture, rows)
    summary = _summary(final, final.name, rows, reused=False)
    write_card(partial, final.name, config, summary.counts, summary.rejected)
    partial.rename(final)
    sync_folder(final.parent)


def _summary(
    dataset: Path, version: str, rows: Sequence[Picture], *, reused: bool
) -> PrepareSummary:
    counts = Counter(f"{row.split}{row.side}" for row in rows if row.status == "ok")
    rejected: dict[str, Counter[str]] = {"A": Counter(), "B": Counter()}
    for row in rows:
        if row.status != "ok":
            rejected[row.side][reason_kind(row.reason)] += 1
    return PrepareSummary(
        dataset=dataset,
        version=version,
        counts={name: counts[name] for name in ("trainA", "trainB", "testA", "testB")},
        rejected={side: dict(reasons) for side, reasons in rejected.items()},
        reused=reused,
    )
