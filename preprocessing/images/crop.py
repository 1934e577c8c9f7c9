"""Cutting a crop out of an original. Runs in worker processes, as ``analyse`` does."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from core.files import atomic_file
from core.pictures import Rejected, read_reduced
from preprocessing.images import geometry
from preprocessing.version.sheet_drawing import TILE_PX

CUT_VERSION = 2  # raise it when the same original and transform give other pixels


@dataclass(frozen=True)
class Cut:
    """A crop to make: from which file, by which transform (2×3, row-major), to which file."""

    original: Path
    transform: tuple[float, ...]
    crop_px: int
    enough_px: int  # longer side at which the original still has a pixel for each of the crop's
    max_pixels: float
    target: Path


def enough_px(transform: geometry.Transform, height: int, width: int) -> int:
    """See ``Cut.enough_px``."""
    scale = float(np.sqrt(abs(np.linalg.det(transform[:, :2]))))  # crop px in an original px
    return math.ceil(max(height, width) * min(scale, 1.0))


@dataclass(frozen=True)
class Cutting:
    """What became of a crop: ``reason`` is "" where it was written; ``tile`` is it as a small JPEG,
    for contact sheets.
    """

    reason: str
    tile: bytes = b""


def cut(job: Cut) -> Cutting:
    """Write the crop as PNG, or say why not."""
    decoded = read_reduced(job.original, max_pixels=job.max_pixels, enough_px=job.enough_px)
    if isinstance(decoded, Rejected):
        return Cutting(decoded.reason)
    transform = np.array(job.transform).reshape(2, 3)
    transform[:, :2] *= decoded.factor
    pixels = geometry.crop(decoded.pixels, transform, job.crop_px)
    with atomic_file(job.target) as file:
        file.write(_png(pixels))
    side, tile = min(TILE_PX, job.crop_px), io.BytesIO()
    Image.fromarray(geometry.shrunk(pixels, side, side)).save(tile, "JPEG", quality=90)
    return Cutting("", tile.getvalue())


def _png(pixels: NDArray[np.uint8]) -> bytes:
    """Without a search for repetitions, of which photographs have none: faster, and smaller too."""
    how = {
        cv2.IMWRITE_PNG_FILTER: cv2.IMWRITE_PNG_FILTER_PAETH,
        cv2.IMWRITE_PNG_STRATEGY: cv2.IMWRITE_PNG_STRATEGY_HUFFMAN_ONLY,
    }
    bgr = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    _, png = cv2.imencode(".png", bgr, [number for pair in how.items() for number in pair])
    return png.tobytes()
