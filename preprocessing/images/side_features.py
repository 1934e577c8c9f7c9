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
_BLOCK_PX, _CELL_PX, _NUM_DIRECTIONS = 16, 8, 9
NUM_PICTURE_FEATURES = (_EDGES_PX // _CELL_PX) ** 2 * _NUM_DIRECTIONS + 3 * _COARSE_PX**2


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
    edges = _edge_directions(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY))
    return np.concatenate([edges, _coarse_colours(square)]).astype(np.float16)


def _edge_directions(grey: NDArray[np.uint8]) -> NDArray[np.float32]:
    """``[576]``: the histogram of oriented gradients of ``[64, 64]`` grey levels, as OpenCV 4
    computes it; OpenCV 5 does not. Blocks that do not overlap, in columns.
    """
    framed = np.pad(grey.astype(np.float32), 1, mode="reflect")
    across, down = framed[1:-1, 2:] - framed[1:-1, :-2], framed[2:, 1:-1] - framed[:-2, 1:-1]
    length, angle = cv2.cartToPolar(across, down)
    place = angle * np.float32(_NUM_DIRECTIONS / np.pi) - np.float32(0.5)
    below = np.floor(place)
    share, first = place - below, below.astype(np.int64) % _NUM_DIRECTIONS
    rows, columns = np.indices(grey.shape)
    votes = np.zeros((*grey.shape, _NUM_DIRECTIONS), np.float32)
    votes[rows, columns, first] = length * (1 - share)
    votes[rows, columns, (first + 1) % _NUM_DIRECTIONS] = length * share
    num = _EDGES_PX // _BLOCK_PX
    blocks = votes.reshape(num, _BLOCK_PX, num, _BLOCK_PX, _NUM_DIRECTIONS).transpose(2, 0, 1, 3, 4)
    # A pixel counts for the cells at both sides, and less at the edge of its block.
    pixel, cell = np.arange(_BLOCK_PX), np.arange(_BLOCK_PX // _CELL_PX)[:, None]
    nearness = np.clip(1 - np.abs((pixel + 0.5) / _CELL_PX - 0.5 - cell), 0, 1)
    fading = np.exp(-((pixel - _BLOCK_PX / 2) ** 2) / (2 * (_BLOCK_PX / 4) ** 2))
    weights = (nearness * fading).astype(np.float32)
    cells = np.einsum("abyxn,iy,jx->abjin", blocks, weights, weights, optimize=True)
    cells = cells.reshape(num, num, -1)
    cells /= np.linalg.norm(cells, axis=-1, keepdims=True) + 0.1 * cells.shape[-1]
    cells = np.minimum(cells, 0.2)
    cells /= np.linalg.norm(cells, axis=-1, keepdims=True) + 1e-3
    return np.asarray(cells.ravel(), np.float32)


def _cut(layer: NDArray[np.float32], box: tuple[float, float, float, float]) -> NDArray[np.float32]:
    side = layer.shape[1]
    left, top, right, bottom = (share * side for share in box)
    return layer[:, int(top) : round(bottom), int(left) : round(right)]


def _coarse_colours(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    """``[768]`` CIE L*a*b* of ``[16, 16]`` squares."""
    coarse = cv2.resize(picture, (_COARSE_PX, _COARSE_PX), interpolation=cv2.INTER_AREA)
    lab = cv2.cvtColor(coarse.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    return np.asarray(lab.ravel(), np.float32)
