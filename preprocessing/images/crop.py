"""Crops of originals as PNG files. Runs in worker processes, as ``analysis.analyse`` does."""

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
from preprocessing.images.seam import cut_out

CROP_VERSION = 2  # raise it when the same original and transform give other pixels
TILE_PX = 112  # side of a contact sheet's tile


@dataclass(frozen=True)
class CropTask:
    """A crop to write: the file of the original, the transform, and the file of the crop."""

    original: Path
    transform: tuple[float, ...]  # 2×3 row-major affine, original pixels → crop pixels
    crop_px: int
    enough_px: int  # longer side at which the original still has a pixel for each pixel of the crop
    max_pixels: float
    target: Path
    box: tuple[int, ...] = ()  # of a part: left, top, right, bottom in the original; else the whole


@dataclass(frozen=True)
class CropOutcome:
    """The result of a ``CropTask``: ``reason`` is "" where the crop was written."""

    reason: str
    tile: bytes = b""  # the crop as a small JPEG, for contact sheets


def enough_px(transform: geometry.Transform, height: int, width: int) -> int:
    """``CropTask.enough_px`` for an original of this size."""
    scale = float(np.sqrt(abs(np.linalg.det(transform[:, :2]))))  # crop px in an original px
    return math.ceil(max(height, width) * min(scale, 1.0))


def write_crop(task: CropTask) -> CropOutcome:
    """Write the crop as PNG, atomically; the result has a reason if the original cannot be read."""
    decoded = read_reduced(task.original, max_pixels=task.max_pixels, enough_px=task.enough_px)
    if isinstance(decoded, Rejected):
        return CropOutcome(decoded.reason)
    transform = np.array(task.transform).reshape(2, 3)
    transform[:, :2] *= decoded.factor
    picture = decoded.pixels
    if task.box:
        picture = cut_out(picture, [round(edge / decoded.factor) for edge in task.box])
    pixels = geometry.crop(picture, transform, task.crop_px)
    with atomic_file(task.target) as file:
        file.write(_encode_png(pixels))
    side, tile = min(TILE_PX, task.crop_px), io.BytesIO()
    Image.fromarray(geometry.shrink(pixels, side, side)).save(tile, "JPEG", quality=90)
    return CropOutcome("", tile.getvalue())


def _encode_png(pixels: NDArray[np.uint8]) -> bytes:
    """A PNG without a search for repetitions, which photographs lack: faster and smaller."""
    options = {
        cv2.IMWRITE_PNG_FILTER: cv2.IMWRITE_PNG_FILTER_PAETH,
        cv2.IMWRITE_PNG_STRATEGY: cv2.IMWRITE_PNG_STRATEGY_HUFFMAN_ONLY,
    }
    bgr = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    _, png = cv2.imencode(".png", bgr, [number for pair in options.items() for number in pair])
    return png.tobytes()
