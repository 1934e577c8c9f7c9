"""Contact sheets and previews of a dataset version."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from core.tables import groups
from core.workspace import Workspace
from preprocessing.cache import AnalysisCache, crop_file
from preprocessing.version.card_rows import Shown, Told
from preprocessing.version.sheet_drawing import (
    ON_A_SHEET,
    Sheet,
    Tile,
    evenly,
    in_rows,
    side_by_side,
)

_GREEN, _BLUE, _ORANGE = (40, 150, 70), (60, 110, 200), (220, 130, 30)
_CLUSTERS_ON_A_SHEET = 30
_MEMBERS_ON_A_SHEET = 10
_AT_ONCE = 500  # previews in memory


def write_previews(folder: Path, told: Told, cache: AnalysisCache) -> None:
    """Write small JPEGs of everything that the card shows."""
    shown = [
        *(row for rows in told.by_reason.values() for row in rows),
        *(row for rows in told.clusters for row in rows),
        *(row for one, two, _ in told.doubtful for row in (one, two)),
    ]
    folder.mkdir()
    for names in groups(dict.fromkeys(row.sha256 for row in shown), _AT_ONCE):
        for sha256, preview in cache.previews(names).items():
            (folder / f"{sha256[:16]}.jpg").write_bytes(preview)


def kept_sheets(
    folder: Path,
    workspace: Workspace,
    crop_px: int,
    told: Told,
    counts: Mapping[str, int],
    cache: AnalysisCache,
) -> Iterator[Sheet]:
    """The sheets of what is kept, to draw into ``folder``; the crops are there."""
    for name, rows in told.kept.items():
        crops = [crop_file(workspace, row.sha256, tuple(row.transform), crop_px) for row in rows]
        small = cache.tiles(crops)
        tiles = [
            Tile(small.get(crop) or crop.read_bytes(), Path(row.file).stem[:12])
            for row, crop in zip(rows, crops, strict=True)
        ]
        part = f", {len(tiles)} of them" if len(tiles) < counts[name] else ""
        title = f"{name}: {counts[name]} pictures{part}"
        yield Sheet(folder / f"contact-{name}.jpg", title, in_rows(tiles))


def sheets(folder: Path, told: Told, cache: AnalysisCache) -> Iterator[Sheet]:
    """The sheets of what was left out, to draw into ``folder``."""
    for reason, rows in told.by_reason.items():
        if decoded := [row for row in rows if row.width]:
            title = f"rejected, {reason}: {len(rows)} pictures"
            tiles = _tiles(evenly(decoded, ON_A_SHEET), cache)
            yield Sheet(folder / f"rejected-{reason}.jpg", title, in_rows(tiles))
    if told.clusters:
        yield _clusters(folder / "duplicates.jpg", told.clusters, cache)
    if told.doubtful:
        title = f"doubtful pairs: {len(told.doubtful)}, taken for different pictures"
        yield Sheet(folder / "doubtful.jpg", title, in_rows(_doubts(told, cache)))


def _clusters(path: Path, clusters: Sequence[Sequence[Shown]], cache: AnalysisCache) -> Sheet:
    some = [rows[:_MEMBERS_ON_A_SHEET] for rows in clusters[:_CLUSTERS_ON_A_SHEET]]
    tiles = iter(_tiles([row for rows in some for row in rows], cache))
    part = f" of {len(clusters)}" if len(some) < len(clusters) else ""
    title = f"clusters of near duplicates: {len(some)}{part}; green: the one that is kept"
    return Sheet(path, title, side_by_side([[next(tiles) for _ in rows] for rows in some]))


def _doubts(told: Told, cache: AnalysisCache) -> list[Tile]:
    pairs = told.doubtful[: ON_A_SHEET // 2]
    tiles = _tiles([row for one, two, _ in pairs for row in (one, two)], cache)
    labels = [text for _, _, alike in pairs for text in ("", f"alike {alike}")]
    return [
        Tile(tile.picture, label or tile.label, tile.frame)
        for tile, label in zip(tiles, labels, strict=True)
    ]


def _tiles(rows: Sequence[Shown], cache: AnalysisCache) -> list[Tile]:
    previews = cache.previews({row.sha256 for row in rows})
    return [_tile(row, previews) for row in rows]


def _tile(row: Shown, previews: Mapping[str, bytes]) -> Tile:
    frame = _GREEN if row.status == "ok" else _ORANGE if row.side == "A" else _BLUE
    return Tile(previews[row.sha256], f"{row.side} {row.sha256[:10]}", frame)
