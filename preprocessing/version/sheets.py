"""Contact sheets and previews of a dataset version, as JPEG files."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from PIL import Image

from core.language.messages import language
from core.picture_grid import Tile, draw_grid, in_rows, save_jpeg
from core.tables import groups
from core.workspace import Workspace
from core.workspace_folders import DatasetFolder
from preprocessing.cache import AnalysisCache, crop_file
from preprocessing.images.crop import TILE_PX
from preprocessing.selection.reason_words import reason_name
from preprocessing.version.card_rows import MAX_TILES_PER_SHEET, CardRow, CardRows
from preprocessing.version.card_words import CARD_WORDS

Row = TypeVar("Row")

_GREEN, _BLUE, _ORANGE = (40, 150, 70), (60, 110, 200), (220, 130, 30)
_COLUMNS = 10
_MAX_CLUSTERS_PER_SHEET = 30
_MAX_MEMBERS_PER_CLUSTER = _COLUMNS
_MAX_LABEL_CHARACTERS = 20
_PREVIEWS_PER_BATCH = 500  # in memory
_JPEG_QUALITY = 85


@dataclass(frozen=True)
class Sheet:
    """A contact sheet to draw: rows of tiles (``None``: a gap) below a title."""

    path: Path
    title: str
    rows: Sequence[Sequence[Tile | None]]


def draw_sheet(sheet: Sheet) -> None:
    """Write the sheet as one JPEG, atomically."""
    page = draw_grid(sheet.rows, tile_px=TILE_PX, title=sheet.title)
    save_jpeg(sheet.path, page, quality=_JPEG_QUALITY)


def _words(key: str, **values: object) -> str:
    """Words of a title, in the language of the person or of the run's report."""
    return CARD_WORDS[f"sheet_{key}"].in_language(language()).format(**values)


def write_previews(folder: Path, rows: CardRows, cache: AnalysisCache) -> None:
    """Create ``folder`` with a small JPEG of every original that the card page shows."""
    on_page = [
        *(row for rejected in rows.by_reason.values() for row in rejected),
        *(row for members in rows.clusters for row in members),
        *(row for older, newer, _ in rows.doubtful for row in (older, newer)),
        *rows.unlikely,
    ]
    folder.mkdir()
    for names in groups(dict.fromkeys(row.sha256 for row in on_page), _PREVIEWS_PER_BATCH):
        for sha256, preview in cache.load_previews(names).items():
            (folder / f"{sha256[:16]}.jpg").write_bytes(preview)


def sheets_of_accepted(
    dataset: DatasetFolder,
    workspace: Workspace,
    crop_px: int,
    rows: CardRows,
    counts: Mapping[str, int],
    cache: AnalysisCache,
) -> Iterator[Sheet]:
    """The sheets of accepted pictures, whose crops are in the cache, one for each split."""
    for split, sample in rows.accepted.items():
        accepted = sample[:MAX_TILES_PER_SHEET]
        crops = [
            crop_file(workspace, row.sha256, tuple(row.transform), crop_px) for row in accepted
        ]
        small = cache.load_tiles(crops)
        tiles = [
            _tile(small.get(crop) or crop.read_bytes(), Path(row.file).stem[:12])
            for row, crop in zip(accepted, crops, strict=True)
        ]
        part = _words("part", num=len(tiles)) if len(tiles) < counts[split] else ""
        title = _words("accepted", split=split, num=counts[split], part=part)
        yield Sheet(dataset.contact_sheet(split), title, in_rows(tiles, _COLUMNS))


def sheets_of_rejected(folder: Path, rows: CardRows, cache: AnalysisCache) -> Iterator[Sheet]:
    """The sheets of rejected pictures, clusters, doubtful pairs and the least likely of their side,
    to draw into ``folder``.
    """
    for reason, rejected in rows.by_reason.items():
        if decoded := [row for row in rejected if row.width]:
            name = reason_name(reason).zh if language() == "zh" else reason
            title = _words("rejected", reason=name, num=len(rejected))
            tiles = _preview_tiles(_sample_evenly(decoded, MAX_TILES_PER_SHEET), cache)
            yield Sheet(folder / f"rejected-{reason}.jpg", title, in_rows(tiles, _COLUMNS))
    if rows.clusters:
        yield _cluster_sheet(folder / "duplicates.jpg", rows.clusters, cache)
    if rows.doubtful:
        title = _words("doubtful", num=len(rows.doubtful))
        tiles = _doubtful_tiles(rows, cache)
        yield Sheet(folder / "doubtful.jpg", title, in_rows(tiles, _COLUMNS))
    if rows.unlikely:
        title = _words("unlikely", num=len(rows.unlikely))
        tiles = [
            replace(tile, label=f"{row.domain} {row.side_score:.2f}"[:_MAX_LABEL_CHARACTERS])
            for row, tile in zip(rows.unlikely, _preview_tiles(rows.unlikely, cache), strict=True)
        ]
        yield Sheet(folder / "unlikely.jpg", title, in_rows(tiles, _COLUMNS))


def _cluster_sheet(
    path: Path, clusters: Sequence[Sequence[CardRow]], cache: AnalysisCache
) -> Sheet:
    largest = [members[:_MAX_MEMBERS_PER_CLUSTER] for members in clusters[:_MAX_CLUSTERS_PER_SHEET]]
    tiles = iter(_preview_tiles([row for members in largest for row in members], cache))
    part = _words("clusters_part", num=len(clusters)) if len(largest) < len(clusters) else ""
    title = _words("clusters", num=len(largest), part=part)
    return Sheet(path, title, _side_by_side([[next(tiles) for _ in rows] for rows in largest]))


def _side_by_side(clusters: Sequence[Sequence[Tile]]) -> list[list[Tile | None]]:
    """Rows of clusters of at most a row's length: as many as fit, with a gap between them."""
    rows: list[list[Tile | None]] = []
    for tiles in clusters:
        if rows and len(rows[-1]) + 1 + len(tiles) <= _COLUMNS:
            rows[-1] += [None, *tiles]
        else:
            rows.append([*tiles])
    return rows


def _doubtful_tiles(rows: CardRows, cache: AnalysisCache) -> list[Tile]:
    pairs = rows.doubtful[: MAX_TILES_PER_SHEET // 2]
    tiles = _preview_tiles([row for older, newer, _ in pairs for row in (older, newer)], cache)
    similarity = CARD_WORDS["similarity"].in_language(language())
    labels = [text for _, _, value in pairs for text in ("", similarity.format(value=value))]
    return [
        replace(tile, label=label or tile.label) for tile, label in zip(tiles, labels, strict=True)
    ]


def _preview_tiles(rows: Sequence[CardRow], cache: AnalysisCache) -> list[Tile]:
    previews = cache.load_previews({row.sha256 for row in rows})
    return [
        _tile(previews[row.sha256], f"{row.side} {row.sha256[:10]}", _frame_colour(row))
        for row in rows
    ]


def _frame_colour(row: CardRow) -> tuple[int, int, int]:
    if row.status == "ok":
        return _GREEN
    return _ORANGE if row.side == "A" else _BLUE


def _tile(content: bytes, label: str, frame: tuple[int, int, int] | None = None) -> Tile:
    """A tile of a JPEG or PNG that Suyan wrote; no other file is opened here."""
    with Image.open(io.BytesIO(content), formats=("JPEG", "PNG")) as picture:
        return Tile(picture.convert("RGB"), label[:_MAX_LABEL_CHARACTERS], frame)


def _sample_evenly(rows: Sequence[Row], limit: int) -> list[Row]:
    """At most ``limit`` of the rows, evenly chosen."""
    step = max(1, len(rows) / limit)
    return [rows[int(k * step)] for k in range(min(limit, len(rows)))]
