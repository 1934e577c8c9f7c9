"""A contact sheet of what came in: whether a search finds the right thing is seen at once."""

from __future__ import annotations

import io
import logging
import subprocess
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageOps

from core.files import atomic_file

_logger = logging.getLogger(__name__)
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
_TILE_PX = 128
_COLUMNS = 10
_MAX_PIXELS = 60_000_000
_TIMEOUT_S = 30.0


def contact_sheet(pictures: Sequence[Path], sheet: Path) -> None:
    """Write the pictures as one JPEG grid; no sheet stays where there is none to show.

    The files are strangers': they are decoded in a process of its own, whose death costs the sheet.
    """
    if not pictures:
        sheet.unlink(missing_ok=True)
        return
    try:
        done = subprocess.run(
            [sys.executable, "-m", "scraping.preview"],
            input="\0".join(map(str, pictures)).encode(),
            capture_output=True,
            check=True,
            timeout=_TIMEOUT_S,
        )
    except (subprocess.SubprocessError, OSError) as error:
        _logger.warning("no contact sheet of %d pictures: %s", len(pictures), error)
        return
    with atomic_file(sheet) as file:
        file.write(done.stdout)


def _grid(pictures: Sequence[Path]) -> bytes:
    """A JPEG of the pictures that can be read, each fitted into a square tile."""
    tiles = [tile for path in pictures if (tile := _tile(path)) is not None]
    rows, columns = max(1, -(-len(tiles) // _COLUMNS)), max(1, min(len(tiles), _COLUMNS))
    grid = Image.new("RGB", (columns * _TILE_PX, rows * _TILE_PX), "white")
    for index, tile in enumerate(tiles):
        grid.paste(tile, (index % _COLUMNS * _TILE_PX, index // _COLUMNS * _TILE_PX))
    buffer = io.BytesIO()
    grid.save(buffer, "JPEG", quality=85)
    return buffer.getvalue()


def _tile(path: Path) -> Image.Image | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path, formats=_FORMATS) as image:
                if image.width * image.height > _MAX_PIXELS:
                    return None
                image.draft("RGB", (_TILE_PX, _TILE_PX))
                upright = ImageOps.exif_transpose(image).convert("RGB")
                return ImageOps.pad(upright, (_TILE_PX, _TILE_PX), color="white")
    except Exception:  # Pillow raises a dozen types on hostile files
        return None


if __name__ == "__main__":
    names = sys.stdin.buffer.read().decode().split("\0")
    sys.stdout.buffer.write(_grid([Path(name) for name in names]))
