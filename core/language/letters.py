"""A font with the letters that Suyan draws into pictures in Chinese.

Machines lack Chinese fonts often. ``letters.otf`` has the few letters that our own texts need
(``tests/support/letter_subset.py`` writes it), so that no text becomes a row of boxes.
"""

from __future__ import annotations

import functools
import io
from pathlib import Path

from PIL import ImageFont

LETTERS = Path(__file__).with_name("letters.otf")


@functools.lru_cache(maxsize=8)
def letters_font(size_px: int) -> ImageFont.FreeTypeFont:
    """The font at ``size_px`` pixels an em."""
    return ImageFont.truetype(io.BytesIO(LETTERS.read_bytes()), size_px)
