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
from preprocessing.images.seam import seam_share

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
