"""A dataset version's card: what it holds, what was left out and why, and how it looks."""

from __future__ import annotations

import csv
import io
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from preprocessing.cache import AnalysisCache, crop_file, libraries
from preprocessing.changes import Change, changes
from preprocessing.config import PrepareConfig
from preprocessing.decide import Decided
from preprocessing.duplicates import Match
from preprocessing.overrides import overrides_file
from preprocessing.sheets import Sheet, Tile, draw_sheet, in_rows, side_by_side
from scraping.records import Picture, atomic_file, read_rows, write_json

_GREEN, _BLUE, _ORANGE = (40, 150, 70), (60, 110, 200), (220, 130, 30)
_ON_A_SHEET = 60  # tiles
_CLUSTERS_ON_A_SHEET = 30
_MEMBERS_ON_A_SHEET = 10
_DRAWN_AT_ONCE = 4  # sheets: they wait for the disk


@dataclass(frozen=True)
class _Contents:
    """Everything a card tells, in the order of telling."""

    version: str
    config: PrepareConfig
    rows: list[Picture]
    counts: Mapping[str, int]
    rejected: Mapping[str, Mapping[str, int]]
    before: str  # name of the version before, or ""
    changed: list[Change]
    clusters: list[list[Picture]]  # of two members and more, the kept one first
    doubtful: list[tuple[Picture, Picture, float]]
    overrides: Path


def write_card(
    folder: Path,
    final: Path,
    config: PrepareConfig,
    decided: Decided,
    counts: Mapping[str, int],
    rejected: Mapping[str, Mapping[str, int]],
    cache: AnalysisCache,
) -> None:
    """Write the card of the version that will be ``final`` into ``folder``.

    That is ``card.json``, ``card.md``, ``card.html`` (every rejected picture, duplicate cluster and
    doubtful pair, with the lines that overrule a decision), ``changes.csv`` and contact sheets.
    """
    before, rows_before = _version_before(final, config)
    contents = _Contents(
        final.name, config, decided.rows, counts, rejected, before,
        changes(rows_before, decided.rows) if before else [],
        _clusters(decided.rows), _doubtful(decided),
        overrides_file(final.parents[1], config.domain_a, config.domain_b),
    )  # fmt: skip
    write_json(folder / "card.json", _json(contents))
    with atomic_file(folder / "changes.csv") as file:
        file.write(_csv(contents.changed).encode())
    with ThreadPoolExecutor(_DRAWN_AT_ONCE) as pool:
        pages = pool.submit(_write_pages, folder, contents)
        list(pool.map(draw_sheet, _sheets(folder, final.parents[1], contents, cache)))
        pages.result()


def _write_pages(folder: Path, contents: _Contents) -> None:
    pages = Environment(
        loader=PackageLoader("preprocessing", "."), autoescape=True, undefined=StrictUndefined
    )
    by_reason, kinds = _by_reason(contents.rows), _kinds(contents.changed)
    for name in ("card.md", "card.html"):
        text = pages.get_template(f"{name}.jinja").render(
            card=contents, by_reason=by_reason, kinds=kinds
        )
        with atomic_file(folder / name) as file:
            file.write(text.encode())


def _json(contents: _Contents) -> dict[str, Any]:
    config = contents.config
    return {
        "version": contents.version,
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "domains": {"A": config.domain_a, "B": config.domain_b},
        "counts": dict(contents.counts),
        "rejected": {side: dict(reasons) for side, reasons in contents.rejected.items()},
        "crop_px": config.crop_px,
        "faces": config.faces,
        "duplicate_clusters": len(contents.clusters),
        "doubtful_pairs": len(contents.doubtful),
        "before": contents.before,
        "changes": _kinds(contents.changed),
        "libraries": dict(libraries()),
    }


def _version_before(final: Path, config: PrepareConfig) -> tuple[str, list[Picture]]:
    """Name and rows of the newest other version of these domains; none when it cannot be read."""
    versions = []
    for path in final.parent.glob("*/card.json"):
        try:
            card = json.loads(path.read_text())
            if card["domains"] == {"A": config.domain_a, "B": config.domain_b}:
                versions.append((card["made_at"], path.parent))
        except (ValueError, KeyError):  # of an older release
            continue
    for _, folder in sorted(versions, reverse=True):
        if folder != final:
            try:
                return folder.name, read_rows(folder / "manifest.parquet", Picture)
            except (ValueError, OSError):
                continue
    return "", []


def _csv(changed: Sequence[Change]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(field.name for field in fields(Change))
    writer.writerows(astuple(change) for change in changed)
    return text.getvalue()


def _kinds(changed: Sequence[Change]) -> dict[str, int]:
    kinds = ("added", "removed", "moved", "recut")
    return {kind: sum(change.kind == kind for change in changed) for kind in kinds}


def _by_reason(rows: Sequence[Picture]) -> dict[str, list[Picture]]:
    """Rejected rows by the reason's kind, the most frequent first; duplicates have clusters."""
    found = defaultdict[str, list[Picture]](list)
    for row in rows:
        if row.status != "ok" and not row.reason.startswith("duplicate-of:"):
            found[row.reason].append(row)
    return dict(sorted(found.items(), key=lambda pair: (-len(pair[1]), pair[0])))


def _clusters(rows: Sequence[Picture]) -> list[list[Picture]]:
    """Clusters of more than one picture, the largest first."""
    found = defaultdict[str, dict[str, Picture]](dict)
    for row in sorted(rows, key=lambda row: (row.status != "ok", row.sha256)):
        if row.cluster:
            found[row.cluster].setdefault(row.sha256, row)
    several = [list(members.values()) for members in found.values() if len(members) > 1]
    return sorted(several, key=lambda members: (-len(members), members[0].sha256))


def _doubtful(decided: Decided) -> list[tuple[Picture, Picture, float]]:
    by_name = {row.sha256: row for row in decided.rows}
    matches: list[Match] = sorted(decided.clusters.doubtful, key=lambda match: -match.alike)
    return [
        (by_name[decided.names[m.older]], by_name[decided.names[m.newer]], round(m.alike, 3))
        for m in matches
    ]


def _sheets(
    folder: Path, workspace: Path, contents: _Contents, cache: AnalysisCache
) -> list[Sheet]:
    """The contact sheets; writes the previews that the page shows beside them."""
    sheets = _kept_sheets(folder, workspace, contents, cache)
    left_out = [row for row in contents.rows if row.status != "ok"]
    members = [row for cluster in contents.clusters for row in cluster]
    pairs = [row for one, two, _ in contents.doubtful for row in (one, two)]
    previews = cache.previews({row.sha256 for row in (*left_out, *members, *pairs)})
    (folder / "previews").mkdir()
    for sha256, preview in previews.items():
        (folder / "previews" / f"{sha256[:16]}.jpg").write_bytes(preview)
    for reason, rows in _by_reason(contents.rows).items():
        tiles = [_tile(row, previews) for row in rows if row.sha256 in previews]
        if tiles:
            title = f"rejected, {reason}: {len(rows)} pictures"
            path = folder / f"rejected-{reason}.jpg"
            sheets.append(Sheet(path, title, in_rows(tiles, _ON_A_SHEET)))
    groups = [
        [_tile(row, previews) for row in cluster[:_MEMBERS_ON_A_SHEET] if row.sha256 in previews]
        for cluster in contents.clusters[:_CLUSTERS_ON_A_SHEET]
    ]
    if groups:
        told = min(len(groups), _CLUSTERS_ON_A_SHEET)
        title = (
            f"{len(contents.clusters)} clusters of near duplicates, {told} of them; "
            "green: the one that is kept"
        )
        sheets.append(Sheet(folder / "duplicates.jpg", title, side_by_side(groups)))
    doubts = [
        [_tile(one, previews), _tile(two, previews, f"alike {alike}")]
        for one, two, alike in contents.doubtful
        if {one.sha256, two.sha256} <= previews.keys()
    ]
    if doubts:
        title = f"{len(contents.doubtful)} doubtful pairs, taken for different pictures"
        flat = [tile for pair in doubts[: _ON_A_SHEET // 2] for tile in pair]
        sheets.append(Sheet(folder / "doubtful.jpg", title, in_rows(flat, _ON_A_SHEET)))
    return sheets


def _kept_sheets(
    folder: Path, workspace: Path, contents: _Contents, cache: AnalysisCache
) -> list[Sheet]:
    sheets = list[Sheet]()
    for name, num in contents.counts.items():
        rows = _some([row for row in contents.rows if row.file.startswith(f"{name}/")])
        crops = [
            crop_file(workspace, row.sha256, tuple(row.transform), contents.config.crop_px)
            for row in rows
        ]
        small = cache.tiles(crops)
        tiles = [
            Tile(small.get(crop) or crop.read_bytes(), Path(row.file).stem[:12])
            for row, crop in zip(rows, crops, strict=True)
        ]
        if tiles:
            shown = f", {len(tiles)} of them" if len(tiles) < num else ""
            title = f"{name}: {num} pictures{shown}"
            path = folder / f"contact-{name}.jpg"
            sheets.append(Sheet(path, title, in_rows(tiles, _ON_A_SHEET)))
    return sheets


def _some(rows: Sequence[Picture]) -> list[Picture]:
    """A sheet's worth, by chance (files are named by content), much the same in each version."""
    return sorted(rows, key=lambda row: row.file)[:_ON_A_SHEET]


def _tile(row: Picture, previews: Mapping[str, bytes], label: str = "") -> Tile:
    frame = _GREEN if row.status == "ok" else _ORANGE if row.side == "A" else _BLUE
    return Tile(previews[row.sha256], label or f"{row.side} {row.sha256[:10]}", frame)
