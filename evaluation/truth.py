"""How near a translation comes to the true counterpart, where one is known.

The offline corpus draws each person both ways; ``truth.parquet`` names, for the original with a
``sha256``, the file of its ``counterpart``: a picture of the same geometry in the other domain. It
is cropped with the very transform that cropped the original, so that pixels correspond.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image, ImageOps

from evaluation.pictures import resize
from scraping.records import Picture

Array = NDArray[np.float64]
Mask = NDArray[np.float64]  # [px, px], 0 to 1

# Ellipses in units of the distance between the eyes: which keypoint, how far below it (negative:
# above, towards the lid), half width, half height.
_EYES_AND_LIPS = (
    (0, -0.05, 0.30, 0.22),  # right eye with its lid
    (1, -0.05, 0.30, 0.22),  # left eye with its lid
    (3, 0.00, 0.40, 0.21),  # lips
)
_SOFTNESS = 0.2  # width of a region's rim, in radii


def load_truth(folder: Path) -> dict[str, Path]:
    """``sha256`` of an original → file of its counterpart.

    Raises ``ValueError`` when ``truth.parquet`` is missing, or names a file outside ``folder``.
    """
    path = folder / "truth.parquet"
    if not path.exists():
        raise ValueError(f"truth: {folder} has no truth.parquet; give the folder that holds it")
    rows = pq.read_table(path, columns=["sha256", "counterpart"]).to_pylist()
    found = {row["sha256"]: folder / row["counterpart"] for row in rows}
    root = folder.resolve()
    for file in found.values():
        if not file.resolve().is_relative_to(root):
            raise ValueError(f"truth: {path} names {file}, which is outside {folder}")
    return found


def counterpart(file: Path, transform: Sequence[float], crop_px: int, px: int) -> NDArray[np.uint8]:
    """The counterpart, cropped as its original was and resized: ``[px, px, 3]`` uint8."""
    with Image.open(file) as image:
        picture = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    crop = _crop(picture, np.reshape(transform, (2, 3)), crop_px)
    return resize(Image.fromarray(crop), px)


def _crop(picture: NDArray[np.uint8], transform: Array, crop_px: int) -> NDArray[np.uint8]:
    """As ``preprocessing.align.crop`` does; a test holds the two together."""
    scale = float(np.sqrt(abs(np.linalg.det(transform[:, :2]))))
    factor = max(1, int(1 / scale)) if scale > 0 else 1
    matrix = transform.astype(np.float64)
    if factor > 1:
        height, width = picture.shape[:2]
        size = (max(1, round(width / factor)), max(1, round(height / factor)))
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
        matrix[:, :2] = matrix[:, :2] @ np.diag([width / size[0], height / size[1]])
    matrix[:, 2] += matrix[:, :2] @ (0.5, 0.5) - 0.5  # OpenCV has pixel centres at integers
    flags = cv2.INTER_CUBIC if scale * factor > 1 else cv2.INTER_LINEAR
    cropped = cv2.warpAffine(
        picture, matrix, (crop_px, crop_px), flags=flags, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(cropped, dtype=np.uint8)


def lip_eye_mask(row: Picture, crop_px: int, px: int) -> Mask | None:
    """Weight of each pixel of the crop (at ``px``): 1 on eyes and lips, 0 elsewhere, soft between.

    Ellipses about the keypoints, sized by the distance d of the eyes and turned with their line:
    eyes 0.30 d by 0.22 d, raised by 0.05 d to hold the lid; lips 0.40 d by 0.21 d. The weight falls
    linearly from 1 at 0.9 radii to 0 at 1.1. ``None`` for a picture without keypoints.
    """
    if len(row.keypoints) < 8 or len(row.transform) != 6:
        return None
    transform = np.reshape(row.transform, (2, 3)) * (px / crop_px)
    points = np.reshape(row.keypoints, (-1, 2)) @ transform[:, :2].T + transform[:, 2]
    across = points[1] - points[0]
    distance = float(np.hypot(*across))
    if distance < 1:
        return None
    along = across / distance
    down = np.array([-along[1], along[0]])
    grid = np.stack(np.meshgrid(np.arange(px), np.arange(px)), axis=-1) + 0.5  # [px, px, (x, y)]
    mask = np.zeros((px, px))
    for keypoint, lowered, half_width, half_height in _EYES_AND_LIPS:
        offset = grid - (points[keypoint] + lowered * distance * down)
        radius = np.hypot(
            offset @ along / (half_width * distance), offset @ down / (half_height * distance)
        )
        mask = np.maximum(mask, np.clip((1 - radius) / _SOFTNESS + 0.5, 0, 1))
    return mask


@dataclass(frozen=True)
class TruthErrors:
    """Mean absolute errors to the truth, grey levels (0 to 255), one a picture: ``[N]``.

    ``inside`` and ``outside`` of eyes and lips; NaN for a picture without keypoints.
    """

    whole: Array
    inside: Array
    outside: Array


def errors(
    pictures: NDArray[np.uint8], truths: NDArray[np.uint8], masks: Sequence[Mask | None]
) -> TruthErrors:
    """``[N, px, px, 3]`` uint8 against their truths, under ``N`` masks."""
    absolute = np.abs(pictures.astype(np.float64) - truths).mean(axis=3)  # [N, px, px]
    inside, outside = np.full(len(masks), np.nan), np.full(len(masks), np.nan)
    for index, mask in enumerate(masks):
        if mask is not None and 0 < mask.sum() < mask.size:
            inside[index] = np.average(absolute[index], weights=mask)
            outside[index] = np.average(absolute[index], weights=1 - mask)
    return TruthErrors(absolute.mean(axis=(1, 2)), inside, outside)
