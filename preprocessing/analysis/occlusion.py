"""Is a face's lower half covered, by a mask or a hand? A linear model of its colours and texture.

Its weights are in ``occlusion.json``; ``benchmarks/occlusion.py`` fits them, and measures what is
found.
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

_CELLS = 10  # a side of the aligned face, of which both halves are averaged
_ACROSS = slice(2, 5)  # columns: of the left half, the outer ones are not face
_LOWER = slice(5, 9)  # rows: from below the eyes to the chin
_EYES_TO_CHIN = slice(3, 9)
_UPPER = slice(3, 6), slice(3, 5)  # rows and columns about the bridge of the nose: skin, or glasses
_SPREAD = 2.0  # added to that of a whole face, CIELAB units: a dim face is not all texture


@dataclass(frozen=True)
class _Model:
    weights: NDArray[np.float64]
    bias: float


def covered(aligned: NDArray[np.uint8]) -> float:
    """How likely mouth and jaw are covered, 0 to 1.

    ``aligned`` is ``[S, S, 3]`` uint8 RGB with the eyes 0.36 apart at 0.40 of its height.
    """
    model = _model()
    logit = float(features(aligned) @ model.weights) + model.bias
    return 1 / (1 + math.exp(-max(-60.0, min(60.0, logit))))


def features(aligned: NDArray[np.uint8]) -> NDArray[np.float64]:
    """What the model looks at, ``[84]``.

    Colours of cells of the lower half against those about the bridge of the nose (CIELAB, and how
    far their lightness is off), then how much there is to see in each: slopes along both axes,
    against the contrast of the whole.
    """
    lab = cv2.cvtColor(aligned.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    light = cv2.GaussianBlur(lab[..., 0], (0, 0), 1.0)
    slopes = [np.abs(cv2.Sobel(light, cv2.CV_32F, *along)) for along in ((1, 0), (0, 1))]
    channels = [*cv2.split(lab), *slopes]
    cells = np.stack(
        [cv2.resize(c, (_CELLS, _CELLS), interpolation=cv2.INTER_AREA) for c in channels]
    )
    half = ((cells + cells[:, :, ::-1]) / 2)[:, :, : _CELLS // 2]
    upper = np.median(half[:3, *_UPPER].reshape(3, -1), axis=1)
    colours = half[:3, _LOWER, _ACROSS] - upper[:, None, None]
    spread = float(light[len(light) // 5 :].std()) + _SPREAD
    texture = np.log((half[3:, _EYES_TO_CHIN, _ACROSS] + 0.5) / spread)
    return np.concatenate(
        [part.ravel() for part in (colours, np.abs(colours[0]), texture)], dtype=np.float64
    )


@functools.cache
def _model() -> _Model:
    text = (
        importlib.resources.files("preprocessing.analysis").joinpath("occlusion.json").read_text()
    )
    values = json.loads(text)
    return _Model(np.array(values["weights"], np.float64), float(values["bias"]))
