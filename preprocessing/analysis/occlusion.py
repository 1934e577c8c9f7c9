"""The probability that a face's lower half is covered: a linear model of colours and texture.

Its weights are in ``occlusion.json``; ``benchmarks/occlusion.py`` fits them and measures recall and
precision.
"""

from __future__ import annotations

import functools
import importlib.resources
import json
import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

_CELLS_PER_SIDE = 10  # of the aligned face; the left and right halves are averaged
_INNER_COLUMNS = slice(2, 5)  # of the left half: the outer columns lie beside the face
_LOWER_ROWS = slice(5, 9)  # from below the eyes to the chin
_EYES_TO_CHIN_ROWS = slice(3, 9)
_NOSE_BRIDGE = slice(3, 6), slice(3, 5)  # rows and columns: skin, or glasses
# CIELAB units, added to the face's contrast: noise of a dim face must not count as texture
_MIN_CONTRAST = 2.0


@dataclass(frozen=True)
class _Model:
    weights: NDArray[np.float64]
    bias: float


def covered_probability(aligned: NDArray[np.uint8]) -> float:
    """The probability that mouth and jaw are covered, 0 to 1.

    ``aligned`` is ``[S, S, 3]`` uint8 RGB with the eyes 0.36 apart at 0.40 of its height.
    """
    model = _model()
    logit = float(features(aligned) @ model.weights) + model.bias
    return 1 / (1 + math.exp(-max(-60.0, min(60.0, logit))))


def features(aligned: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The model's input, ``[84]`` float64.

    First the CIELAB colours of the lower half's cells minus the colour of the bridge of the nose,
    and the absolute differences of lightness; then the texture of the cells from the eyes to the
    chin: the logarithm of their mean slopes along x and y, relative to the contrast of the face.
    """
    lab = cv2.cvtColor(aligned.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    light = cv2.GaussianBlur(lab[..., 0], (0, 0), 1.0)
    slopes = [np.abs(cv2.Sobel(light, cv2.CV_32F, *along)) for along in ((1, 0), (0, 1))]
    channels = [*cv2.split(lab), *slopes]
    cells = np.stack(
        [
            cv2.resize(c, (_CELLS_PER_SIDE, _CELLS_PER_SIDE), interpolation=cv2.INTER_AREA)
            for c in channels
        ]
    )
    half = ((cells + cells[:, :, ::-1]) / 2)[:, :, : _CELLS_PER_SIDE // 2]
    upper = np.median(half[:3, *_NOSE_BRIDGE].reshape(3, -1), axis=1)
    colours = half[:3, _LOWER_ROWS, _INNER_COLUMNS] - upper[:, None, None]
    contrast = float(light[len(light) // 5 :].std()) + _MIN_CONTRAST
    texture = np.log((half[3:, _EYES_TO_CHIN_ROWS, _INNER_COLUMNS] + 0.5) / contrast)
    return np.concatenate(
        [part.ravel() for part in (colours, np.abs(colours[0]), texture)], dtype=np.float64
    )


@functools.cache
def _model() -> _Model:
    file = importlib.resources.files("preprocessing.analysis").joinpath("occlusion.json")
    values = json.loads(file.read_text(encoding="utf-8"))
    return _Model(np.array(values["weights"], np.float64), float(values["bias"]))
