"""A mark that people see: a few words in a corner of a translated picture.

Size and place follow GB 45438-2025: at an edge or in a corner, the letters at least 5 % of the
shorter side high.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from PIL import Image, ImageDraw

from core.language.letters import letters_font
from serving.photo_io import Photo

MarkLanguage = Literal["en", "zh"]
Corner = Literal["top-left", "top-right", "bottom-left", "bottom-right"]

MARK_TEXTS: Mapping[MarkLanguage, str] = {"en": "Edited with AI", "zh": "AI合成"}
LETTER_SHARE = 0.05  # least height of a capital letter, share of the picture's shorter side
_LEAST_LETTER_PX = 9
_CAPITAL_EM = 0.733  # height of a capital letter of the font, ems
_PADDING_EM = 0.35
_MARGIN_SHARE = 0.25  # distance from the edges, share of the plate's height
_PLATE, _INK = (0, 0, 0, 150), (255, 255, 255, 255)


@dataclass(frozen=True)
class VisibleMark:
    """The words of a language in a corner."""

    language: MarkLanguage = "en"
    corner: Corner = "bottom-right"

    def draw(self, photo: Photo) -> Photo:
        """The photograph with the mark, which is opaque where the photograph is transparent.

        The letters have at least 5 % of the shorter side, and 9 px where the words fit.
        """
        height, width = photo.pixels.shape[:2]
        plate = self._plate(height, width)
        share = np.asarray(plate.getchannel("A"), np.float32)[..., None] / 255
        words = np.asarray(plate.convert("RGB"), np.float32)
        room = min(width - plate.width, height - plate.height)
        margin = min(round(_MARGIN_SHARE * plate.height), room)
        top = margin if self.corner.startswith("top") else height - plate.height - margin
        left = margin if self.corner.endswith("left") else width - plate.width - margin
        area = slice(top, top + plate.height), slice(left, left + plate.width)
        pixels, alpha = photo.pixels.copy(), photo.alpha
        pixels[area] = np.rint(pixels[area] * (1 - share) + words * share).astype(np.uint8)
        if alpha is not None:
            alpha = alpha.copy()
            alpha[area] = np.maximum(alpha[area], 255 * (share[..., 0] > 0)).astype(np.uint8)
        return replace(photo, pixels=pixels, alpha=alpha)

    def _plate(self, height: int, width: int) -> Image.Image:
        """The words on their plate, RGBA, no larger than ``height`` × ``width``."""
        text = MARK_TEXTS[self.language]
        needed_px = LETTER_SHARE * min(height, width)
        font = letters_font(math.ceil(max(needed_px, _LEAST_LETTER_PX) / _CAPITAL_EM))
        if font.getlength(text) + 2 * _PADDING_EM * font.size > width:  # 9 px are too many
            font = letters_font(max(1, math.ceil(needed_px / _CAPITAL_EM)))
        padding = round(_PADDING_EM * font.size)
        left, top, right, bottom = font.getbbox(text)
        size = math.ceil(right - left) + 2 * padding, math.ceil(bottom - top) + 2 * padding
        plate = Image.new("RGBA", size, (0, 0, 0, 0))
        draw = ImageDraw.Draw(plate)
        corners = (0, 0, size[0] - 1, size[1] - 1)
        draw.rounded_rectangle(corners, radius=padding, fill=_PLATE)
        draw.text((padding - left, padding - top), text, font=font, fill=_INK)
        return plate.crop((0, 0, min(size[0], width), min(size[1], height)))
