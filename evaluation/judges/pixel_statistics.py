"""A judge without a network: colours by place and the strength of edges by scale."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.pictures import map_in_threads
from evaluation.arrays import Array
from evaluation.features.extractor import Extractor
from evaluation.judges.judge import JudgedPictures
from evaluation.judges.judge_kinds import JudgeKind, View
from evaluation.judges.picture_views import cut_view
from preprocessing.analysis.face_windows import Alignment

_QUANTILES = (0.1, 0.3, 0.5, 0.7, 0.9)
_CELLS = 3  # each way
_NUM_SCALES = 4
_LONGER_PX = 128  # of a view, at most
_LEAST_STRENGTH = 0.3  # CIE units: weaker edges are rounding
_NUM_FEATURES = 3 * (len(_QUANTILES) + _CELLS**2 + 3 * _NUM_SCALES)


class PixelStatistics:
    """The judge; its features of pictures are cached in the folder ``cache``."""

    kind = JudgeKind.PIXEL_STATISTICS
    decorrelates = True

    def __init__(self, alignment: Alignment | None, cache: Path) -> None:
        self._alignment = alignment
        self._extractor = Extractor(
            key="pixel statistics",
            name="pixel statistics",
            identity=f"pixel statistics, {_NUM_FEATURES} at most at {_LONGER_PX} px, 1",
            comparable_with_published=False,
            num_features=_NUM_FEATURES,
            network=_extract,
            cache=cache,
        )

    def features(self, judged: JudgedPictures, view: View) -> Array:
        """Quantiles, cell means and Haar strengths in CIE L*a*b*: ``[N, 78]``."""
        return self._extractor(cut_view(judged.pictures, view, self._alignment))

    def unlearned(self, num: int) -> NDArray[np.int_]:
        """All ``num`` pictures."""
        return np.arange(num)


def _extract(pictures: Tensor) -> Tensor:
    rows = list(map_in_threads(pixel_statistics, pictures.cpu().numpy()))
    return torch.from_numpy(np.asarray(rows, np.float32))


def pixel_statistics(picture: NDArray[np.uint8]) -> Array:
    """The statistics ``[78]`` of an ``[H, W, 3]`` RGB picture."""
    height, width = picture.shape[:2]
    scale = _LONGER_PX / max(height, width)
    if scale < 1:
        size = (max(1, round(scale * width)), max(1, round(scale * height)))
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    lab = cv2.cvtColor(picture.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    quantiles = np.quantile(lab.reshape(-1, 3), _QUANTILES, axis=0)
    cells = cv2.resize(lab, (_CELLS, _CELLS), interpolation=cv2.INTER_AREA)
    parts = [quantiles.ravel(), cells.ravel(), *_haar_strengths(lab)]
    return np.concatenate(parts).astype(np.float64)


def _haar_strengths(lab: NDArray[np.float32]) -> list[Array]:
    """Logarithm of the mean absolute Haar coefficient by scale and direction, ``[3]`` each."""
    strengths: list[Array] = []
    smooth = np.asarray(lab, np.float64)
    for _ in range(_NUM_SCALES):
        height, width = (max(2, side // 2 * 2) for side in smooth.shape[:2])
        if smooth.shape[:2] != (height, width):
            smooth = cv2.resize(smooth, (width, height), interpolation=cv2.INTER_AREA)
        a, b, c, d = (smooth[y::2, x::2] for y in (0, 1) for x in (0, 1))
        for detail in (a - b + c - d, a + b - c - d, a - b - c + d):
            mean = np.abs(detail / 4).mean(axis=(0, 1), dtype=np.float64)
            strengths.append(np.log(mean + _LEAST_STRENGTH))
        smooth = (a + b + c + d) / 4
    return strengths
