"""Features by which ``selection.side_scores`` tells the pictures of one domain from the other's.

A face has activations of the mesh network at eyes and mouth, which ``occlusion`` computes anyhow,
and coarse colours; a picture without faces has coarse colours and the directions of its edges.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import cv2
import numpy as np
from numpy.typing import NDArray

FEATURE_LAYERS = (
    "p_re_lu_3",
    "p_re_lu_6",
    "p_re_lu_9",
)  # [32, 48, 48], [64, 24, 24], [128, 12, 12]
_COARSE_PX = 16
# Of ``occlusion.face_window``, in shares of its side: left, top, right, bottom.
_BOXES: Mapping[str, tuple[float, float, float, float]] = MappingProxyType(
    {"eyes": (0.25, 0.27, 0.75, 0.50), "mouth": (0.33, 0.58, 0.67, 0.85)}
)
NUM_FACE_FEATURES = len(_BOXES) * 2 * (32 + 64 + 128) + 3 * _COARSE_PX**2
_EDGES_PX = 64  # side at which edges are measured
_EDGES = cv2.HOGDescriptor((_EDGES_PX, _EDGES_PX), (16, 16), (16, 16), (8, 8), 9)
NUM_PICTURE_FEATURES = 64 * 9 + 3 * _COARSE_PX**2


def face_features(
    window: NDArray[np.uint8], layers: Mapping[str, NDArray[np.float32]]
) -> NDArray[np.float16]:
    """``[NUM_FACE_FEATURES]``: mean and deviation of each channel of ``FEATURE_LAYERS``
    (``[C, H, W]`` each) at eyes and mouth, and the window's coarse colours.

    ``window`` is ``occlusion.face_window``, ``[192, 192, 3]`` uint8.
    """
    parts = [
        statistic(_cut(layers[name], box), axis=(1, 2))
        for name in FEATURE_LAYERS
        for box in _BOXES.values()
        for statistic in (np.mean, np.std)
    ]
    return np.concatenate([*parts, _coarse_colours(window)]).astype(np.float16)


def picture_features(square: NDArray[np.uint8]) -> NDArray[np.float16]:
    """``[NUM_PICTURE_FEATURES]`` of a picture's middle square, ``[px, px, 3]`` uint8."""
    small = cv2.resize(square, (_EDGES_PX, _EDGES_PX), interpolation=cv2.INTER_AREA)
    edges = np.asarray(_EDGES.compute(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)), np.float32).ravel()
    return np.concatenate([edges, _coarse_colours(square)]).astype(np.float16)


def _cut(layer: NDArray[np.float32], box: tuple[float, float, float, float]) -> NDArray[np.float32]:
    side = layer.shape[1]
    left, top, right, bottom = (share * side for share in box)
    return layer[:, int(top) : round(bottom), int(left) : round(right)]


def _coarse_colours(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    """``[768]`` CIE L*a*b* of ``[16, 16]`` squares."""
    coarse = cv2.resize(picture, (_COARSE_PX, _COARSE_PX), interpolation=cv2.INTER_AREA)
    lab = cv2.cvtColor(coarse.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    return np.asarray(lab.ravel(), np.float32)
