"""How near a translation comes to the true counterpart, where one is known.

The offline corpus draws each person both ways; ``truth.parquet`` names, for the original with a
``sha256``, the file of its ``counterpart``: a picture of the same geometry in the other domain. It
is cropped with the very transform that cropped the original, so that pixels correspond.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image, ImageOps

from core.tables import Picture
from evaluation.config import EvaluateConfig
from evaluation.data.translations import resize
from evaluation.metrics.intervals import mean_figure, reduction_figure
from preprocessing.images.geometry import crop

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
    try:
        rows = pq.read_table(path, columns=["sha256", "counterpart"]).to_pylist()
    except (OSError, pa.ArrowException) as error:
        raise ValueError(
            f"truth: cannot read {path} ({error}); needed Parquet with the columns sha256 and "
            "counterpart"
        ) from error
    found = {row["sha256"]: folder / row["counterpart"] for row in rows}
    root = folder.resolve()
    for file in found.values():
        if not file.resolve().is_relative_to(root):
            raise ValueError(f"truth: {path} names {file}, which is outside {folder}")
    return found


@dataclass(frozen=True)
class Truths:
    """True counterparts of the inputs ``indices``, and the regions of eyes and lips."""

    indices: list[int]
    pictures: NDArray[np.uint8]  # [N, px, px, 3]
    masks: list[Mask | None]


def load_truths(
    rows: Sequence[Picture], files: Mapping[str, Path], crop_px: int, px: int
) -> Truths | None:
    """The counterparts that are known of ``rows``; ``None`` when none is.

    Raises ``ValueError`` for a counterpart that cannot be read.
    """
    indices = [
        index for index, row in enumerate(rows) if row.sha256 in files and len(row.transform) == 6
    ]
    if not indices:
        return None
    known = [rows[index] for index in indices]
    pictures = [counterpart(files[row.sha256], row.transform, crop_px, px) for row in known]
    return Truths(indices, np.stack(pictures), [lip_eye_mask(row, crop_px, px) for row in known])


def counterpart(file: Path, transform: Sequence[float], crop_px: int, px: int) -> NDArray[np.uint8]:
    """The counterpart, cropped as its original was and resized: ``[px, px, 3]`` uint8."""
    try:
        with Image.open(file) as image:
            picture = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    except Exception as error:  # Pillow raises half a dozen types on hostile files
        raise ValueError(
            f"truth: cannot read {file} ({type(error).__name__}: {error}); write the truth again"
        ) from error
    cut = crop(picture, np.reshape(transform, (2, 3)).astype(np.float64), crop_px)
    return resize(Image.fromarray(cut), px)


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


def against_truth(
    config: EvaluateConfig,
    inputs: NDArray[np.uint8],
    translated: NDArray[np.uint8],
    truths: Truths,
) -> tuple[dict[str, Any], TruthErrors, TruthErrors]:
    """Figures, and the errors of each picture before and after translation."""
    before = errors(inputs[truths.indices], truths.pictures, truths.masks)
    after = errors(translated[truths.indices], truths.pictures, truths.masks)
    masked = np.isfinite(before.inside)

    def mean(values: Array) -> dict[str, float]:
        return asdict(mean_figure(values, config.num_bootstrap, config.seed))

    def reduction(late: Array, early: Array) -> dict[str, float]:
        return asdict(reduction_figure(late, early, config.num_bootstrap, config.seed))

    found: dict[str, Any] = {
        "num_pictures": len(truths.indices),
        "num_with_regions": int(masked.sum()),
        "error": mean(after.whole),
        "error_baseline": mean(before.whole),
        "error_reduction": reduction(after.whole, before.whole),
    }
    if masked.any():
        found |= {
            "lip_eye_error": mean(after.inside[masked]),
            "lip_eye_error_baseline": mean(before.inside[masked]),
            "lip_eye_error_reduction": reduction(after.inside[masked], before.inside[masked]),
            "outside_error": mean(after.outside[masked]),
            "outside_error_baseline": mean(before.outside[masked]),
        }
    return found, before, after
