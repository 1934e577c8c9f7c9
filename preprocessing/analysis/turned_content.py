"""Pictures that were turned by any angle: what they showed before, without their plain corners.

An editor that turns a picture leaves four triangles of one colour about it, or at the corners of an
unchanged canvas. Where a straight rectangle fits between them, the picture can be turned back.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from preprocessing.images.geometry import Transform

_SEARCH_PX = 96  # longer side of the picture in which the rectangle is searched
_PLAIN_GREY_LEVELS = 24  # largest difference of a corner's pixels
_CORNER_PX = 3  # side of the squares that show the colour of the corners
_MIN_PLAIN_SHARE = 0.97  # of the pixels beyond the rectangle
_MIN_EDGE_SHARE = 0.6  # of the rectangle's edge, where it differs from the corners
_MIN_DEGREES, _MAX_DEGREES = 3.0, 45.0
_MARGIN_PX, _EDGE_PX = 1, 3  # blur about the rectangle; width of its edge
# Cut off at each side of the rectangle: the edge is mixed with the corners' colour, and with it a
# plain sky would not be trimmed as it is in the original.
_INSET_PX = 0.75


@dataclass(frozen=True)
class TurnedContent:
    """A rectangle that lies turned in the middle of a picture; lengths are shares of the picture's
    longer side.
    """

    degrees: float  # clockwise, -45 to 45
    width: float
    height: float

    def transform(self, height: int, width: int) -> tuple[Transform, tuple[int, int]]:
        """The transform of a picture of this size to the upright content; its width and height."""
        longer = max(height, width)
        size = max(1, round(self.width * longer)), max(1, round(self.height * longer))
        angle = math.radians(self.degrees)
        cosine, sine = math.cos(angle), math.sin(angle)
        turn = np.array([[cosine, sine], [-sine, cosine]])
        return np.column_stack([turn, np.array(size) / 2 - turn @ (width / 2, height / 2)]), size

    def level(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The upright content, ``[h, w, 3]`` uint8; where it is lost the edge repeats."""
        transform, size = self.transform(*picture.shape[:2])
        matrix = transform.copy()
        matrix[:, 2] += matrix[:, :2] @ (0.5, 0.5) - 0.5  # OpenCV has pixel centres at integers
        return np.asarray(
            cv2.warpAffine(picture, matrix, size, borderMode=cv2.BORDER_REPLICATE), np.uint8
        )


def find_turned_content(picture: NDArray[np.uint8]) -> TurnedContent | None:
    """The turned rectangle that ``[H, W, 3]`` uint8 RGB shows; ``None`` in most pictures."""
    part = slice(_CORNER_PX), slice(-_CORNER_PX, None)
    corners = [
        picture[rows, columns].reshape(-1, 3) for rows, columns in itertools.product(part, part)
    ]
    colour = np.median(np.concatenate(corners), axis=0)
    if any(np.abs(corner - colour).max() > _PLAIN_GREY_LEVELS for corner in corners):
        return None  # the usual case
    scale = _SEARCH_PX / max(picture.shape[:2])
    size = [max(8, round(side * scale)) for side in picture.shape[1::-1]]
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    plain = np.abs(small - colour).max(axis=2) <= _PLAIN_GREY_LEVELS
    fits = ((_misfit(plain, content), content) for content in _hypotheses(*plain.shape))
    misfit, best = min(fits, key=lambda scored: scored[0])
    if not math.isfinite(misfit):
        return None
    cut = 2 * _INSET_PX / _SEARCH_PX
    return TurnedContent(best.degrees, best.width - cut, best.height - cut)


def _hypotheses(height: int, width: int) -> Iterator[TurnedContent]:
    """Rectangles that touch all four edges of the picture, and turned ones of the picture's size
    whose corners it cuts off.
    """
    longer = max(height, width)
    for step in range(2, 2 * width - 1):
        across = step / 2  # of the corner on the upper edge, from the left
        under_root = height**2 / 4 - across * (width - across)
        for sign in (-1, 1) if under_root > 0 else ():
            down = height / 2 + sign * math.sqrt(under_root)  # of the corner on the right edge
            degrees = math.degrees(math.atan2(down, width - across))
            sides = math.hypot(width - across, down), math.hypot(across, height - down)
            if degrees > _MAX_DEGREES:
                degrees, sides = degrees - 90, sides[::-1]
            if abs(degrees) >= _MIN_DEGREES:
                yield TurnedContent(degrees, sides[0] / longer, sides[1] / longer)
    for degrees in np.arange(_MIN_DEGREES, _MAX_DEGREES + 0.5).tolist():
        for sign in (-1, 1):
            yield TurnedContent(sign * degrees, width / longer, height / longer)


def _misfit(plain: NDArray[np.bool_], content: TurnedContent) -> float:
    """The number of pixels beyond the rectangle that are not plain, and of its edge that are;
    infinite where that cannot be a turned picture.
    """
    depth_px = _depth_px(plain.shape, content)
    beyond = depth_px < -_MARGIN_PX
    num_beyond = np.count_nonzero(beyond)
    if np.count_nonzero(plain & beyond) < max(1.0, _MIN_PLAIN_SHARE * num_beyond):
        return math.inf  # most rectangles
    inside = depth_px >= 0
    edge = inside & (depth_px < _EDGE_PX)
    if 1 - plain[edge].mean() < _MIN_EDGE_SHARE:
        return math.inf
    return float((~plain[~inside]).sum() + plain[edge].sum())


def _depth_px(shape: tuple[int, ...], content: TurnedContent) -> NDArray[np.float64]:
    """How far each pixel lies within the rectangle, less than 0 beyond it, ``[h, w]``."""
    (x, y), longer = _offsets(*shape), max(shape)
    angle = math.radians(content.degrees)
    along = x * math.cos(angle) + y * math.sin(angle)
    across = y * math.cos(angle) - x * math.sin(angle)
    return np.asarray(
        np.minimum(
            content.width * longer / 2 - np.abs(along), content.height * longer / 2 - np.abs(across)
        )
    )


@functools.lru_cache(maxsize=8)
def _offsets(height: int, width: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The places of the pixels from the middle of the picture: x ``[1, w]``, y ``[h, 1]``."""
    y, x = np.ogrid[:height, :width]
    return x - (width - 1) / 2, y - (height - 1) / 2
