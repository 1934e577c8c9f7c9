"""Straight seams across a picture, at a half or a third of a side, as collages have them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

_MIN_STEP = 8.0  # grey levels across a seam
_STEP_PER_TEXTURE = 2.0  # of a seam, times the usual steps beside it
_SEAM_PLACES = (1 / 3, 1 / 2, 2 / 3)  # shares of the side
_SEAM_TOLERANCE = 0.015  # of the side
_SEAM_COLUMNS, _TEXTURE_COLUMNS = 5, 15  # of a step, and of it with those beside it
_MIN_WIDTH = 48  # of a picture that may have a seam, px
_MAX_PLAIN_DEVIATION = 4.0  # grey levels, of a column of the line between two pictures
_EDGE_SHARE = 0.75  # of the share of a seam, from which a column is an edge of the line between


@dataclass(frozen=True)
class Seam:
    """The seam near the middle of a side, with the line between two pictures where it has one.

    ``start`` and ``end`` are the end of the first part and the start of the second, as shares of
    the width (``is_vertical``) or of the height.
    """

    share: float  # as of ``seam_share``
    is_vertical: bool
    start: float
    end: float


def seam_share(picture: NDArray[np.uint8]) -> float:
    """The share of a straight seam, across the whole picture at a half or a third of a side, that
    has a step larger than those beside it: 1 is a collage. ``[H, W, 3]`` uint8 RGB.
    """
    return max(_seam_of_columns(picture), _seam_of_columns(picture.transpose(1, 0, 2)))


def middle_seam(picture: NDArray[np.uint8]) -> Seam | None:
    """The clearest seam at a half of a side of ``[H, W, 3]`` uint8 RGB; ``None`` in a small one."""
    seams = [
        _middle_seam_of_columns(columns, is_vertical=is_vertical)
        for columns, is_vertical in ((picture, True), (picture.transpose(1, 0, 2), False))
        if columns.shape[1] >= _MIN_WIDTH
    ]
    return max(seams, key=lambda seam: seam.share, default=None)


def part_boxes(seam: Seam, height: int, width: int) -> list[tuple[int, int, int, int]]:
    """Left, top, right and bottom of both parts of a picture of this size, px."""
    if seam.is_vertical:
        start, end = math.floor(seam.start * width), math.ceil(seam.end * width)
        return [(0, 0, start, height), (end, 0, width, height)]
    start, end = math.floor(seam.start * height), math.ceil(seam.end * height)
    return [(0, 0, width, start), (0, end, width, height)]


def cut_out(picture: NDArray[np.uint8], box: Sequence[int]) -> NDArray[np.uint8]:
    """The pixels of a box of left, top, right and bottom."""
    left, top, right, bottom = box
    return np.ascontiguousarray(picture[top:bottom, left:right])


def _middle_seam_of_columns(picture: NDArray[np.uint8], *, is_vertical: bool) -> Seam:
    width = picture.shape[1]
    middle, reach = round(width / 2), _reach(width)
    shares = _step_shares(picture, middle, reach)
    edges = middle - reach + np.flatnonzero(shares >= _EDGE_SHARE * shares.max())
    start, end = int(edges[0]), int(edges[-1]) + 1
    is_plain = _plain_columns(picture)
    while start > 0 and is_plain[start - 1]:
        start -= 1
    while end < width and is_plain[end]:
        end += 1
    margin = 1 if is_plain[start:end].any() else 0  # where the line and a picture were blended
    return Seam(
        share=float(shares.max()),
        is_vertical=is_vertical,
        start=max(0, start - margin) / width,
        end=min(width, end + margin) / width,
    )


def _plain_columns(picture: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Whether a column has the same grey level in nearly all rows, ``[W]``."""
    levels = cv2.cvtColor(np.ascontiguousarray(picture), cv2.COLOR_RGB2GRAY).astype(np.float32)
    return np.asarray(levels.std(axis=0) < _MAX_PLAIN_DEVIATION)


def _seam_of_columns(picture: NDArray[np.uint8]) -> float:
    width = picture.shape[1]
    if width < _MIN_WIDTH:
        return 0.0
    return max(
        float(_step_shares(picture, round(place * width), _reach(width)).max())
        for place in _SEAM_PLACES
    )


def _reach(width: int) -> int:
    return max(1, round(_SEAM_TOLERANCE * width))


def _step_shares(picture: NDArray[np.uint8], column: int, reach: int) -> NDArray[np.float64]:
    """The share of rows with a step at each of the columns from ``column - reach`` to
    ``column + reach``.
    """
    beside = _TEXTURE_COLUMNS // 2
    first, last = max(0, column - reach - beside - 1), column + reach + beside + 2
    levels = cv2.cvtColor(np.ascontiguousarray(picture[:, first:last]), cv2.COLOR_RGB2GRAY)
    step = cv2.absdiff(levels[:, 2:], levels[:, :-2]).astype(np.float32)
    far, near = (cv2.blur(step, (num, 1)) * num for num in (_TEXTURE_COLUMNS, _SEAM_COLUMNS))
    texture = (far - near) / (_TEXTURE_COLUMNS - _SEAM_COLUMNS)
    share = (step > np.maximum(_MIN_STEP, _STEP_PER_TEXTURE * texture)).mean(axis=0)
    return np.asarray(share[beside:-beside], np.float64)
