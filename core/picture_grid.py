"""A grid of many pictures as one JPEG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from core.files import atomic_file
from core.labels.ai_label import AiLabel
from core.language.letters import letters_font

GAP_PX = 4
_TITLE_PX = 26
_LABEL_PX = 14
_TITLE_FONT_PX, _LABEL_FONT_PX = 14, 10
_PAPER, _INK, _FAINT = (255, 255, 255), (30, 30, 30), (120, 120, 120)


_Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


@dataclass(frozen=True)
class Tile:
    """A picture of a grid, with a few words below it."""

    picture: Image.Image  # RGB
    label: str = ""
    frame: tuple[int, int, int] | None = None  # colour of its frame


def in_rows(tiles: Sequence[Tile], columns: int) -> list[list[Tile | None]]:
    """The tiles in rows of ``columns``."""
    return [list(tiles[first : first + columns]) for first in range(0, len(tiles), columns)]


def draw_grid(
    rows: Sequence[Sequence[Tile | None]], *, tile_px: int | None = None, title: str = ""
) -> Image.Image:
    """Rows of tiles (``None``: a gap) on white, below a title.

    ``tile_px``: longer side that every picture is fitted to, pixels; ``None`` keeps their sizes.
    A tile is as large as the largest picture, and the page at least as wide as the title. Labels
    get a line of their own where there are any.
    """
    tiles = [tile for row in rows for tile in row if tile is not None]
    pictures = {id(tile): _fitted(tile.picture, tile_px) for tile in tiles}
    width = max([tile_px or 0, *(picture.width for picture in pictures.values())], default=1)
    height = max([tile_px or 0, *(picture.height for picture in pictures.values())], default=1)
    label_px = _LABEL_PX if any(tile.label for tile in tiles) else 0
    top = _TITLE_PX if title else GAP_PX
    num_columns = max((len(row) for row in rows), default=0)
    title_font = _font(title, _TITLE_FONT_PX)
    title_px = math.ceil(title_font.getlength(title)) + 4 * GAP_PX if title else 0
    page = Image.new(
        "RGB",
        (
            max(1, title_px, num_columns * (width + GAP_PX) + GAP_PX),
            max(1, top + len(rows) * (height + label_px + GAP_PX)),
        ),
        _PAPER,
    )
    draw = ImageDraw.Draw(page)
    if title:
        draw.text((2 * GAP_PX, 6), title, _INK, title_font)
    for row_number, row in enumerate(rows):
        y = top + row_number * (height + label_px + GAP_PX)
        for column, tile in enumerate(row):
            if tile is None:
                continue
            x = GAP_PX + column * (width + GAP_PX)
            picture = pictures[id(tile)]
            page.paste(
                picture, (x + (width - picture.width) // 2, y + (height - picture.height) // 2)
            )
            if tile.frame:
                corners = (x, y, x + width - 1, y + height - 1)
                draw.rectangle(corners, outline=tile.frame, width=3)
            if tile.label:
                font = _font(tile.label, _LABEL_FONT_PX)
                draw.text((x + 1, y + height), tile.label, _FAINT, font)
    return page


def save_jpeg(
    path: Path, picture: Image.Image, quality: int = 88, label: AiLabel | None = None
) -> None:
    """Write ``picture`` as a JPEG, atomically. ``label``: of a grid with a model's pictures."""
    xmp = label.xmp(np.asarray(picture)) if label else b""
    with atomic_file(path) as file:
        picture.save(file, "JPEG", quality=quality, xmp=xmp)


def _font(text: str, size_px: int) -> _Font:
    return ImageFont.load_default(size_px) if text.isascii() else letters_font(size_px)


def _fitted(picture: Image.Image, tile_px: int | None) -> Image.Image:
    if tile_px is None or max(picture.size) == tile_px:
        return picture
    scale = tile_px / max(picture.size)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return picture.resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0)
