"""The contact sheet of a crawl: a grid of its newest originals."""

from __future__ import annotations

import io
import logging
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from core.files import atomic_file
from core.language.messages import localised
from core.picture_grid import Tile, draw_grid, in_rows
from core.pictures import Rejected, read_reduced

_logger = logging.getLogger(__name__)
_TILE_PX = 128
_NUM_COLUMNS = 10
_MAX_PIXELS = 60_000_000
_JPEG_QUALITY = 85
_TIMEOUT_S = 30.0


def write_contact_sheet(pictures: Sequence[Path], sheet: Path) -> None:
    """Write the pictures as one JPEG grid; without pictures the sheet is removed.

    The files are untrusted: a process of its own decodes them. If one of them crashes it, there is
    no sheet.
    """
    if not pictures:
        sheet.unlink(missing_ok=True)
        return
    try:
        process = subprocess.run(
            [sys.executable, "-m", "scraping.preview"],
            input="\0".join(map(str, pictures)).encode(),
            capture_output=True,
            check=True,
            timeout=_TIMEOUT_S,
        )
    except (subprocess.SubprocessError, OSError) as error:
        _logger.warning(localised("no contact sheet of %d pictures: %s"), len(pictures), error)
        return
    with atomic_file(sheet) as file:
        file.write(process.stdout)


def _draw_sheet(paths: Sequence[Path]) -> bytes:
    """The JPEG grid of the pictures that can be read."""
    tiles = [tile for path in paths if (tile := _read_tile(path)) is not None]
    sheet = draw_grid(in_rows(tiles, _NUM_COLUMNS), tile_px=_TILE_PX)
    buffer = io.BytesIO()
    sheet.save(buffer, "JPEG", quality=_JPEG_QUALITY)
    return buffer.getvalue()


def _read_tile(path: Path) -> Tile | None:
    decoded = read_reduced(path, max_pixels=_MAX_PIXELS, enough_px=_TILE_PX)
    return None if isinstance(decoded, Rejected) else Tile(Image.fromarray(decoded.pixels))


if __name__ == "__main__":
    names = sys.stdin.buffer.read().decode().split("\0")
    sys.stdout.buffer.write(_draw_sheet([Path(name) for name in names]))
