"""What an image search brings besides good photographs, measured on the whole picture.

Each figure is judged by a limit of ``PrepareConfig``; ``benchmarks/defects.py`` measures how many
planted defects each limit finds, and how many photographs it rejects.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from preprocessing.analysis.fingerprint import content_box

_MIN_STEP = 8.0  # grey levels across a seam
_STEP_PER_TEXTURE = 2.0  # of a seam, times the usual steps beside it
_SEAM_PLACES = (1 / 3, 1 / 2, 2 / 3)  # shares of the side
_SEAM_TOLERANCE = 0.015  # of the side
_SEAM_COLUMNS, _TEXTURE_COLUMNS = 5, 15  # of a step, and of it with those beside it
_MIN_WIDTH = 48  # of a picture that may have a seam, px
_SMALL_PX = 48  # side at which colours are measured


@dataclass(frozen=True)
class Defects:
    """Measures of a whole picture. The cache holds them as JSON by these field names."""

    contrast: float = 255.0  # standard deviation of the grey levels
    colour: float = 255.0  # ``colour_spread``
    light: float = 128.0  # median grey level
    frame: float = 0.0  # ``frame_share``
    seam: float = 0.0  # ``seam_share``


def measure_defects(picture: NDArray[np.uint8]) -> Defects:
    """The measures of ``[H, W, 3]`` uint8 RGB, of a longer side of about 400 px."""
    half = np.ascontiguousarray(picture[::2, ::2])  # coarse, and enough for all but seams
    small = cv2.resize(half, (_SMALL_PX, _SMALL_PX), interpolation=cv2.INTER_AREA)
    return Defects(
        contrast=round(float(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).std()), 2),
        colour=round(colour_spread(small), 2),
        light=median_light(small),
        frame=round(frame_share(half), 3),
        seam=round(seam_share(picture), 3),
    )


def median_light(picture: NDArray[np.uint8]) -> float:
    """The median grey level of ``[H, W, 3]`` uint8 RGB, 0 to 255."""
    return float(np.median(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)))


def colour_spread(picture: NDArray[np.uint8]) -> float:
    """How far colours lie from those of a toned black-and-white picture, CIE L*a*b* units.

    It is the root mean square distance of a* and b* from a quadratic function of L*.
    """
    lab = cv2.cvtColor(picture.astype(np.float32) / 255, cv2.COLOR_RGB2LAB).reshape(-1, 3)
    powers = np.vander(lab[:, 0] / 100, 3).astype(np.float64)
    rest = lab[:, 1:] - powers @ np.linalg.lstsq(powers, lab[:, 1:], rcond=None)[0]
    return float(np.sqrt((rest**2).sum(axis=1).mean()))


def frame_share(picture: NDArray[np.uint8]) -> float:
    """The width of plain bars at two opposite edges, or all four: the share of the side that the
    thinner of the two takes.
    """
    height, width = picture.shape[:2]
    left, top, right, bottom = content_box(picture)
    return float(max(min(left, width - right) / width, min(top, height - bottom) / height))


def seam_share(picture: NDArray[np.uint8]) -> float:
    """The share of a straight seam, across the whole picture at a half or a third of a side, that
    has a step larger than those beside it: 1 is a collage.
    """
    return max(_seam_of_columns(picture), _seam_of_columns(picture.transpose(1, 0, 2)))


def _seam_of_columns(picture: NDArray[np.uint8]) -> float:
    width = picture.shape[1]
    if width < _MIN_WIDTH:
        return 0.0
    reach = max(1, round(_SEAM_TOLERANCE * width))
    return max(_seam_near(picture, round(place * width), reach) for place in _SEAM_PLACES)


def _seam_near(picture: NDArray[np.uint8], column: int, reach: int) -> float:
    """The largest share of rows with a step at one of the columns about ``column``."""
    beside = _TEXTURE_COLUMNS // 2
    first, last = max(0, column - reach - beside - 1), column + reach + beside + 2
    levels = cv2.cvtColor(np.ascontiguousarray(picture[:, first:last]), cv2.COLOR_RGB2GRAY)
    step = cv2.absdiff(levels[:, 2:], levels[:, :-2]).astype(np.float32)
    far, near = (cv2.blur(step, (num, 1)) * num for num in (_TEXTURE_COLUMNS, _SEAM_COLUMNS))
    texture = (far - near) / (_TEXTURE_COLUMNS - _SEAM_COLUMNS)
    share = (step > np.maximum(_MIN_STEP, _STEP_PER_TEXTURE * texture)).mean(axis=0)
    return float(share[beside:-beside].max())
