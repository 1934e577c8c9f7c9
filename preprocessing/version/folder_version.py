"""A dataset version of a folder of pictures that need no preparation, as the reference takes them.

The folder has ``trainA`` and ``trainB``, and perhaps ``testA`` and ``testB``. Its pictures are
copied as they are. Where a side has no test folder, a share of its pictures is held out by their
content, so that the same pictures are held out when others are added. A file that cannot be used is
a row of the manifest with its reason.
"""

from __future__ import annotations

import re
import statistics
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from core.files import digest, file_sha256, write_json
from core.language.messages import localised
from core.pictures import Rejected, find_pictures, map_in_threads, read_picture
from core.progress import Progress, silent
from core.tables import Picture, write_rows
from core.workspace import Workspace
from core.workspace_folders import SPLITS, DatasetFolder
from preprocessing.analysis.analyse import FILE_MISSING
from preprocessing.config import PrepareConfig
from preprocessing.selection.rejection_reasons import Reason, duplicate_of, reason_kind
from preprocessing.selection.split import choose_held_out
from preprocessing.version.staging import StagedVersion

_LEAST_HELD_OUT = 2  # pictures of a side without a test folder
_MOST_CROP_PX = 2048
_LEAST_CROP_PX = 32
_NAMED_FOR_DOMAINS = re.compile(r"([a-z0-9]+)2([a-z0-9]+)", re.IGNORECASE)


@dataclass(frozen=True)
class FolderVersion:
    """The version, its pictures by split (one of ``SPLITS``), and the rejected ones by reason."""

    dataset: Path
    counts: dict[str, int]
    rejected: dict[str, int]
    reused: bool


def domains_of(folder: Path) -> tuple[str, str]:
    """The domains that a folder's name tells, as horse2zebra does; else ``("a", "b")``."""
    match = _NAMED_FOR_DOMAINS.match(folder.resolve().name)
    names = (match[1].lower(), match[2].lower()) if match else ("a", "b")
    return names if names[0] != names[1] else ("a", "b")


def version_of_folder(
    folder: Path,
    workspace: Workspace,
    *,
    test_fraction: float,
    domains: tuple[str, str] | None = None,
    progress: Progress = silent,
) -> FolderVersion:
    """The version of a folder's pictures as they are now; an equal one is not made again.

    It is named after the folder and the content of its pictures. ``test_fraction`` is the share
    that is held out where there is no test folder; ``domains`` default to ``domains_of``.

    Raises ``ValueError`` for a folder in which a side has no picture to train on or to hold out.
    """
    rows = _rows(folder, domains or domains_of(folder), progress)
    rows = _with_held_out(_without_copies(rows), folder, test_fraction)
    counts = Counter(Path(row.file).parts[0] for row in rows if row.status == "ok")
    missing = [name for name in SPLITS if not counts[name]]
    rejected = Counter(reason_kind(row.reason) for row in rows if row.status != "ok")
    if missing:
        reasons = ", ".join(f"{reason}: {num}" for reason, num in sorted(rejected.items()))
        raise ValueError(
            localised(
                "{folder}: found no usable picture for {names} ({reasons}); needed at least "
                "one of each side to train on and one to hold out",
                folder=folder,
                names=localised(" and ").join(missing),
                reasons=localised("rejected {reasons}", reasons=reasons)
                if reasons
                else localised("the folders are empty"),
            )
        )
    config = _config(rows, domains or domains_of(folder), test_fraction)
    name = _name(folder, rows, config)
    final = workspace.dataset(name)
    if final.manifest.exists():
        return FolderVersion(final.path, dict(counts), dict(rejected), reused=True)
    with StagedVersion(workspace.datasets) as version:
        staged = DatasetFolder(version.folder)
        write_json(staged.config, config.model_dump(mode="json"))
        write_rows(staged.manifest, Picture, [replace(row, original="") for row in rows])
        for number, row in enumerate(rows):
            if row.status == "ok":
                version.add(Path(row.original), row.file)
            progress("copy pictures", number + 1, len(rows), "")
        reused = not version.commit(final.path)
    return FolderVersion(final.path, dict(counts), dict(rejected), reused)


def _rows(folder: Path, domains: tuple[str, str], progress: Progress) -> list[Picture]:
    """A row for each file, with its path in the folder as ``url`` and its own as ``original``."""
    files = [
        (name, path) for name in SPLITS for path in find_pictures(DatasetFolder(folder).split(name))
    ]
    rows = []
    for row in map_in_threads(lambda each: _row(folder, domains, *each), files):
        rows.append(row)
        progress("read pictures", len(rows), len(files), "")
    return rows


def _row(folder: Path, domains: tuple[str, str], name: str, path: Path) -> Picture:
    side = name[-1]
    try:
        sha256, picture = file_sha256(path), read_picture(path)
    except OSError:
        sha256, picture = "", Rejected(FILE_MISSING)
    is_bad = isinstance(picture, Rejected)
    height, width = (0, 0) if isinstance(picture, Rejected) else picture.shape[:2]
    return Picture(
        sha256=sha256,
        domain=domains["AB".index(side)],
        side=side,
        split="" if is_bad else name[:-1],
        file="" if is_bad else f"{name}/{sha256[:16]}{path.suffix.lower()}",
        status="rejected" if is_bad else "ok",
        reason=picture.reason if isinstance(picture, Rejected) else "",
        cluster=sha256,
        phash="",
        face_phash="",
        width=width,
        height=height,
        keypoints=[],
        transform=[],
        sharpness=0.0,
        phrase="",
        url=path.relative_to(folder).as_posix(),
        original=str(path),
    )


def _without_copies(rows: Iterable[Picture]) -> list[Picture]:
    """The same rows, in which each content is used once, and none that both sides have."""
    rows = list(rows)
    sides: dict[str, set[str]] = {}
    for row in rows:
        if row.status == "ok":
            sides.setdefault(row.sha256, set()).add(row.side)
    used = set[str]()
    result = []
    for row in rows:
        reason = ""
        if row.status == "ok" and len(sides[row.sha256]) > 1:
            reason = Reason.IN_BOTH_DOMAINS.value
        elif row.status == "ok" and row.sha256 in used:
            reason = duplicate_of(row.sha256)
        used.add(row.sha256)
        result.append(_rejected(row, reason) if reason else row)
    return result


def _rejected(row: Picture, reason: str) -> Picture:
    return replace(row, status="rejected", reason=reason, split="", file="")


def _with_held_out(rows: list[Picture], folder: Path, test_fraction: float) -> list[Picture]:
    """The same rows, some of them held out on the sides that have no test folder."""
    result = list(rows)
    for side in "AB":
        if any(find_pictures(DatasetFolder(folder).split(f"test{side}"))):
            continue
        names = {row.sha256 for row in rows if row.status == "ok" and row.side == side}
        held_out = choose_held_out(names, test_fraction, _LEAST_HELD_OUT)
        for number, row in enumerate(result):
            if row.status == "ok" and row.side == side and row.sha256 in held_out:
                file = f"test{side}/{Path(row.file).name}"
                result[number] = replace(row, split="test", file=file)
    return result


def _config(
    rows: Iterable[Picture], domains: tuple[str, str], test_fraction: float
) -> PrepareConfig:
    sides = [min(row.width, row.height) for row in rows if row.status == "ok"]
    px = min(_MOST_CROP_PX, max(_LEAST_CROP_PX, round(statistics.median(sides))))
    return PrepareConfig(
        domain_a=domains[0],
        domain_b=domains[1],
        faces=False,
        crop_px=px,
        test_fraction=test_fraction,
    )


def _name(folder: Path, rows: Iterable[Picture], config: PrepareConfig) -> str:
    """The folder's name in plain letters, and a digest of domains and pictures."""
    plain = re.sub(r"[^A-Za-z0-9]+", "-", folder.resolve().name).strip("-")[:60] or "folder"
    decisions = sorted((row.sha256, row.side, row.split, row.reason) for row in rows)
    return f"{plain}-{digest([config.domain_a, config.domain_b, decisions], 12)}"
