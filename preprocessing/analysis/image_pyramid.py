"""Square windows of a picture as the face detector's input, and the tiles that cover a picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from preprocessing.images.geometry import Transform

INPUT_PX = 192  # side of the model's input
_GREY = 127.5  # beyond the picture; 0 for the model
_MIN_LOOK_PX = 13  # side of a face in the model's input, from which looks propose it surely
_MAX_TILE_RATIO = 2.5  # of the sides of two levels of tiles
_LEVEL_SLACK = 1.1  # by which a face may be smaller in the last look
_COARSER = 1.1  # factor of the smallest face, until there are few enough tiles
_OVERLAP_PER_FACE = 1.15  # of tiles, in sides of the largest face that the level above misses
_DETAIL_PX = 9  # surroundings of a pixel in the model's input
_DETAIL_GREY_LEVELS = 4  # difference from them, beyond which a pixel is detail
_MIN_DETAIL_PX = 8  # of a tile that the model looks at

Box = tuple[float, float, float, float]  # left, top, right, bottom; px


@dataclass(frozen=True)
class Window:
    """A square of the picture that the model looks at; it may reach beyond the picture."""

    x: float  # of its middle, px
    y: float
    side: float
    turn: float = 0.0  # degrees clockwise by which the square is rotated

    def transform(self) -> Transform:
        """Pixels of the picture → pixels of the model's input."""
        scale, angle = INPUT_PX / self.side, math.radians(self.turn)
        cosine, sine = scale * math.cos(angle), scale * math.sin(angle)
        turn = np.array([[cosine, sine], [-sine, cosine]])
        return np.column_stack([turn, INPUT_PX / 2 - turn @ (self.x, self.y)])


class ImagePyramid:
    """A picture at its size and at ½, ¼ … of it, each one made when it is needed first."""

    def __init__(self, picture: NDArray[np.uint8]) -> None:
        self.shape = picture.shape[:2]
        self._levels = [picture]

    def _level(self, number: int) -> NDArray[np.uint8]:
        while len(self._levels) <= number:
            last = self._levels[-1]
            half = ((last.shape[1] + 1) // 2, (last.shape[0] + 1) // 2)
            small = cv2.resize(last, half, interpolation=cv2.INTER_AREA)
            self._levels.append(np.asarray(small, np.uint8))
        return self._levels[number]

    def pixels(self, window: Window, transform: Transform) -> NDArray[np.uint8]:
        """The window as the model's input, ``[192, 192, 3]`` uint8; grey beyond the picture."""
        level = self._level(max(0, int(math.log2(max(1.0, window.side / INPUT_PX)))))
        height, width = level.shape[:2]
        factor = np.array([self.shape[1] / width, self.shape[0] / height])
        reach = window.side * math.sqrt(0.5 if window.turn % 90 else 0.25) + 4 * factor.max()
        left, top = (
            max(0, int((v - reach) / f)) for v, f in zip((window.x, window.y), factor, strict=True)
        )
        right, bottom = (
            max(0, math.ceil((v + reach) / f))
            for v, f in zip((window.x, window.y), factor, strict=True)
        )
        part = level[top:bottom, left:right]
        if part.size == 0:
            return np.full((INPUT_PX, INPUT_PX, 3), round(_GREY), np.uint8)
        matrix = transform.copy()
        matrix[:, :2] = matrix[:, :2] @ np.diag(factor)
        # OpenCV has pixel centres at integers
        matrix[:, 2] += matrix[:, :2] @ (left + 0.5, top + 0.5) - 0.5
        return np.asarray(
            cv2.warpAffine(
                part,
                matrix,
                (INPUT_PX, INPUT_PX),
                borderMode=cv2.BORDER_CONSTANT,
                borderValue=(_GREY,) * 3,
            ),
            np.uint8,
        )

    def detail(self, side: float, faces: Sequence[Box]) -> NDArray[np.bool_]:
        """Which pixels differ from their surroundings as eyes do from skin, ``[h, w]``: of the
        picture at the scale of windows of this side, without the known faces' boxes.
        """
        scale = INPUT_PX / side
        size = [max(1, round(length * scale)) for length in self.shape[::-1]]
        level = self._level(max(0, int(math.log2(max(1.0, 1 / scale)))))
        grey = cv2.resize(
            cv2.cvtColor(level, cv2.COLOR_RGB2GRAY), size, interpolation=cv2.INTER_AREA
        )
        detail = cv2.absdiff(grey, cv2.blur(grey, (_DETAIL_PX, _DETAIL_PX))) > _DETAIL_GREY_LEVELS
        for box in faces:
            left, top, right, bottom = (max(0, round(edge * scale)) for edge in box)
            detail[top:bottom, left:right] = False
        return np.asarray(detail)


def levels_of_tiles(
    height: int, width: int, min_face_px: float, max_tiles: float
) -> list[list[Window]]:
    """Windows that show the model every face of ``min_face_px``, the largest windows first.

    The windows of a level overlap by a face that the level above may miss. A larger face is the
    smallest one where there would be more than ``max_tiles`` windows.
    """
    longer, smallest = max(height, width), min_face_px * INPUT_PX / _MIN_LOOK_PX
    num_levels = math.ceil(math.log(max(1.0, longer / smallest / _LEVEL_SLACK), _MAX_TILE_RATIO))
    ratio = (longer / smallest) ** (1 / max(1, num_levels))
    levels = list[list[Window]]()
    for level in range(num_levels):
        above = longer / ratio**level
        overlap = _OVERLAP_PER_FACE * above * _MIN_LOOK_PX / INPUT_PX
        columns, rows = (_middles(length, above / ratio, overlap) for length in (width, height))
        levels.append([Window(x, y, above / ratio) for y in rows for x in columns])
    if sum(map(len, levels)) > max_tiles:
        return levels_of_tiles(height, width, min_face_px * _COARSER, max_tiles)
    return levels


def _middles(length: int, side: float, overlap: float) -> list[float]:
    """The middles of windows of this side that cover the length."""
    if length <= side:
        return [length / 2]
    num = math.ceil((length - side) / (side - overlap)) + 1
    return [float(middle) for middle in np.linspace(side / 2, length - side / 2, num)]


def has_detail(detail: NDArray[np.bool_], tile: Window) -> bool:
    """Whether the tile has enough pixels that may belong to a face; see ``ImagePyramid.detail``."""
    scale = INPUT_PX / tile.side
    left, right = (round((tile.x + half) * scale) for half in (-tile.side / 2, tile.side / 2))
    top, bottom = (round((tile.y + half) * scale) for half in (-tile.side / 2, tile.side / 2))
    return bool(detail[max(0, top) : bottom, max(0, left) : right].sum() >= _MIN_DETAIL_PX)
