"""Errors of translations to their true counterparts, where these are known.

The offline corpus draws each person in both domains. ``truth.parquet`` names, for the ``sha256`` of
an original, the file of its ``counterpart``: the same picture in the other domain. It is cropped
with the transform of the original, so that pixels correspond.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from core.language.messages import localised
from core.pictures import Rejected, read_picture, resize
from core.tables import Picture
from evaluation.arrays import Array, Pictures
from evaluation.config import EvaluateConfig
from evaluation.data.score_parts import TruthScores
from evaluation.figures import Figure, Figures
from evaluation.metrics.intervals import mean_figure, reduction_figure
from preprocessing.images.geometry import crop

Mask = NDArray[np.float64]  # [px, px], 0 to 1

# Ellipses: number of the keypoint; then, in distances between the eyes, the offset below it
# (negative: above, towards the lid), half width, half height.
_EYES_AND_LIPS = (
    (0, -0.05, 0.30, 0.22),  # right eye with its lid
    (1, -0.05, 0.30, 0.22),  # left eye with its lid
    (3, 0.00, 0.40, 0.21),  # lips
)
_RIM_RADII = 0.2  # width of a region's soft rim


def load_truth(folder: Path) -> dict[str, Path]:
    """``sha256`` of an original → file of its counterpart.

    Raises ``ValueError`` when ``truth.parquet`` is missing, or names a file outside ``folder``.
    """
    path = folder / "truth.parquet"
    if not path.exists():
        raise ValueError(
            localised(
                "truth: {folder} has no truth.parquet; give the folder that holds it", folder=folder
            )
        )
    try:
        rows = pq.read_table(path, columns=["sha256", "counterpart"]).to_pylist()
    except (OSError, pa.ArrowException) as error:
        raise ValueError(
            localised(
                "truth: cannot read {path} ({error}); needed Parquet with the columns sha256 "
                "and counterpart",
                path=path,
                error=error,
            )
        ) from error
    files = {row["sha256"]: folder / row["counterpart"] for row in rows}
    root = folder.resolve()
    for file in files.values():
        if not file.resolve().is_relative_to(root):
            raise ValueError(
                localised(
                    "truth: {path} names {file}, which is outside {folder}",
                    path=path,
                    file=file,
                    folder=folder,
                )
            )
    return files


@dataclass(frozen=True)
class TrueCounterparts:
    """True counterparts of the inputs ``indices``, and their masks of eyes and lips."""

    indices: list[int]
    pictures: Pictures
    masks: list[Mask | None]


def load_counterparts(
    rows: Sequence[Picture], files: Mapping[str, Path], crop_px: int, px: int
) -> TrueCounterparts | None:
    """The known counterparts of ``rows``; ``None`` where there is none.

    Raises ``ValueError`` for a counterpart that cannot be read.
    """
    indices = [
        index for index, row in enumerate(rows) if row.sha256 in files and len(row.transform) == 6
    ]
    if not indices:
        return None
    originals = [rows[index] for index in indices]
    return TrueCounterparts(
        indices,
        np.stack([counterpart(files[row.sha256], row.transform, crop_px, px) for row in originals]),
        [lip_eye_mask(row, crop_px, px) for row in originals],
    )


def counterpart(file: Path, transform: Sequence[float], crop_px: int, px: int) -> NDArray[np.uint8]:
    """The counterpart, cropped as its original was and resized: ``[px, px, 3]`` uint8."""
    picture = read_picture(file)
    if isinstance(picture, Rejected):
        raise ValueError(  # noqa: TRY004 - the file is wrong, not a type
            localised(
                "truth: cannot read {file} ({reason}); write the truth again",
                file=file,
                reason=picture.reason,
            )
        )
    cropped = crop(picture, np.reshape(transform, (2, 3)).astype(np.float64), crop_px)
    return resize(cropped, px, px)


def lip_eye_mask(row: Picture, crop_px: int, px: int) -> Mask | None:
    """Weight of each pixel of the crop at ``px``: 1 on eyes and lips, 0 elsewhere, with soft rims.

    Ellipses about the keypoints, scaled by the distance d between the eyes and turned with them:
    eyes 0.30 d by 0.22 d, raised by 0.05 d to include the lid; lips 0.40 d by 0.21 d. The weight
    falls linearly from 1 at 0.9 radii to 0 at 1.1. ``None`` for a picture without keypoints.
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
        mask = np.maximum(mask, np.clip((1 - radius) / _RIM_RADII + 0.5, 0, 1))
    return mask


@dataclass(frozen=True)
class TruthErrors:
    """Mean absolute errors to the truth, grey levels (0 to 255), one a picture: ``[N]``.

    ``inside`` and ``outside`` of eyes and lips; NaN for a picture without keypoints.
    """

    whole: Array
    inside: Array
    outside: Array


def errors(pictures: Pictures, truths: Pictures, masks: Sequence[Mask | None]) -> TruthErrors:
    """Errors of pictures to their truths, inside and outside of ``N`` masks."""
    absolute = np.abs(pictures.astype(np.float64) - truths).mean(axis=3)  # [N, px, px]
    inside, outside = np.full(len(masks), np.nan), np.full(len(masks), np.nan)
    for index, mask in enumerate(masks):
        if mask is not None and 0 < mask.sum() < mask.size:
            inside[index] = np.average(absolute[index], weights=mask)
            outside[index] = np.average(absolute[index], weights=1 - mask)
    return TruthErrors(absolute.mean(axis=(1, 2)), inside, outside)


def truth_scores(
    config: EvaluateConfig, inputs: Pictures, translated: Pictures, truths: TrueCounterparts
) -> TruthScores:
    """Errors to the truth before and after translation, and the share that it took away."""
    before = errors(inputs[truths.indices], truths.pictures, truths.masks)
    after = errors(translated[truths.indices], truths.pictures, truths.masks)
    masked = np.isfinite(before.inside)

    def mean(values: Array) -> Figure:
        return mean_figure(values, config.num_bootstrap, config.seed)

    def reduction(late: Array, early: Array) -> Figure:
        return reduction_figure(late, early, config.num_bootstrap, config.seed)

    figures: Figures = {
        "error": mean(after.whole),
        "error_baseline": mean(before.whole),
        "error_reduction": reduction(after.whole, before.whole),
    }
    if masked.any():
        figures |= {
            "lip_eye_error": mean(after.inside[masked]),
            "lip_eye_error_baseline": mean(before.inside[masked]),
            "lip_eye_error_reduction": reduction(after.inside[masked], before.inside[masked]),
            "outside_error": mean(after.outside[masked]),
            "outside_error_baseline": mean(before.outside[masked]),
        }
    return TruthScores(len(truths.indices), int(masked.sum()), figures)
