"""Contact sheets: many pictures at a glance, as one JPEG with a line that says what they are."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from PIL import Image, ImageDraw, ImageFont

from core.files import atomic_file

Row = TypeVar("Row")

TILE_PX = 112
ON_A_SHEET = 60  # tiles
_GAP_PX = 4
_TITLE_PX = 26
_LABEL_PX = 14
_COLUMNS = 10
_PAPER, _INK, _FAINT = (250, 250, 248), (30, 30, 30), (120, 120, 120)


@dataclass(frozen=True)
class Tile:
    """A picture (JPEG or PNG bytes of our own making) with a few words below it."""

    picture: bytes
    label: str = ""
    frame: tuple[int, int, int] | None = None  # colour of its frame


@dataclass(frozen=True)
class Sheet:
    """A sheet to draw into ``path``: rows of tiles (``None``: a gap) below a title."""

    path: Path
    title: str
    rows: Sequence[Sequence[Tile | None]]


def draw_sheet(sheet: Sheet) -> None:
    """Write the sheet as one JPEG."""
    rows = sheet.rows
    columns = max(_COLUMNS, *(len(row) for row in rows))
    height = TILE_PX + _LABEL_PX + _GAP_PX
    page = Image.new(
        "RGB",
        (columns * (TILE_PX + _GAP_PX) + _GAP_PX, _TITLE_PX + len(rows) * height + _GAP_PX),
        _PAPER,
    )
    draw = ImageDraw.Draw(page)
    draw.text((2 * _GAP_PX, 6), sheet.title, _INK, ImageFont.load_default(14))
    small = ImageFont.load_default(10)
    for y, row in enumerate(rows):
        for x, tile in enumerate(row):
            if tile is None:
                continue
            left, top = _GAP_PX + x * (TILE_PX + _GAP_PX), _TITLE_PX + y * height
            picture = _fitted(tile.picture)
            inset = ((TILE_PX - picture.width) // 2, (TILE_PX - picture.height) // 2)
            page.paste(picture, (left + inset[0], top + inset[1]))
            if tile.frame:
                corner = (left + TILE_PX - 1, top + TILE_PX - 1)
                draw.rectangle((left, top, *corner), outline=tile.frame, width=3)
            draw.text((left + 1, top + TILE_PX), tile.label[:20], _FAINT, small)
    with atomic_file(sheet.path) as file:
        page.save(file, "JPEG", quality=85)


def side_by_side(groups: Sequence[Sequence[Tile]]) -> list[list[Tile | None]]:
    """Groups of at most a row's length, as many in each row as fit with a gap between them."""
    rows: list[list[Tile | None]] = []
    for group in groups:
        if rows and len(rows[-1]) + 1 + len(group) <= _COLUMNS:
            rows[-1] += [None, *group]
        else:
            rows.append([*group])
    return rows


def in_rows(tiles: Sequence[Tile]) -> list[list[Tile | None]]:
    """The tiles in rows."""
    return [list(tiles[at : at + _COLUMNS]) for at in range(0, len(tiles), _COLUMNS)]


def evenly(rows: Sequence[Row], most: int) -> list[Row]:
    """At most ``most`` of the rows, evenly chosen."""
    step = max(1, len(rows) / most)
    return [rows[int(k * step)] for k in range(min(most, len(rows)))]


def _fitted(picture: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(picture)).convert("RGB")
    scale = TILE_PX / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0)
