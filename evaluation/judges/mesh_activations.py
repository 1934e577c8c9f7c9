"""A judge of faces: inner layers of MediaPipe's face mesh, which knows lids, lips and brows.

The square of the picture about the face is the one in which the mesh places its points, from the
mesh of the *input*. Activations are pooled over the whole square, over the eyes and the mouth.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import cv2
import numpy as np
from numpy.typing import NDArray
from torch import nn

from core.pictures import map_in_threads
from evaluation.arrays import Array
from evaluation.features.extractor import Extractor, cached, content_key
from evaluation.judges.judge import JudgedPictures
from evaluation.judges.judge_kinds import JudgeKind, View
from preprocessing.analysis.face_mesh import Points
from preprocessing.analysis.face_network import FaceModel, FaceNetwork

_LAYERS = ("p_re_lu_3", "p_re_lu_6", "p_re_lu_9")  # [32, 48, 48], [64, 24, 24], [128, 12, 12]
_NUM_FEATURES = 2 * (32 + 64 + 128)
_INPUT_PX = 192
_WINDOW_PER_BOX = 1.5  # side of the square, in longer sides of the points' box
_MARGIN = 0.35  # about eyes and mouth, of the longer side of their points' box
_RIGHT_CORNER, _LEFT_CORNER = 33, 263  # of the eyes, which give the rotation
_POINTS: Mapping[View, tuple[int, ...]] = MappingProxyType(
    {
        View.EYES: (33, 133, 159, 145, 70, 107, 263, 362, 386, 374, 300, 336),  # with brows
        View.MOUTH: (61, 291, 0, 17),
    }
)


class MeshActivations:
    """The judge; features are cached in the folder ``cache``.

    Raises ``MissingModelError`` without the model.
    """

    kind = JudgeKind.MESH_ACTIVATIONS
    decorrelates = True

    def __init__(self, cache: Path) -> None:
        self._network = FaceNetwork(FaceModel.MESH)
        self._extractor = Extractor(
            key="face mesh",
            name="activations of the face mesh",
            identity=f"face mesh {_LAYERS}, margin {_MARGIN}, 1",
            comparable_with_published=False,
            num_features=len(View) * _NUM_FEATURES,
            network=nn.Identity(),  # the face's place is not in the picture: see ``features``
            cache=cache,
        )

    def features(self, judged: JudgedPictures, view: View) -> Array:
        """Mean and deviation of each channel in the view: ``[N, 448]``; NaN without a face."""
        meshes = [np.empty((0, 2)) if mesh is None else mesh for mesh in judged.meshes]
        pictures = judged.pictures
        places = [mesh.tobytes() + b"|" for mesh in meshes]
        content = [str(pictures.shape).encode(), pictures.tobytes(), *places]
        key = content_key(self._extractor, content)
        rows = cached(self._extractor, key, lambda: self._compute(judged))
        start = list(View).index(view) * _NUM_FEATURES
        return rows[:, start : start + _NUM_FEATURES]

    def unlearned(self, num: int) -> NDArray[np.int_]:
        """All ``num`` pictures."""
        return np.arange(num)

    def _compute(self, judged: JudgedPictures) -> NDArray[np.float32]:
        rows = np.full((len(judged.pictures), self._extractor.num_features), np.nan, np.float32)
        faces = [index for index, mesh in enumerate(judged.meshes) if mesh is not None]
        meshes = [judged.meshes[index] for index in faces]
        rows[faces] = list(map_in_threads(self._activations, judged.pictures[faces], meshes))
        return rows

    def _activations(self, picture: NDArray[np.uint8], mesh: Points) -> Array:
        matrix = _window(mesh)
        square = cv2.warpAffine(
            picture, matrix, (_INPUT_PX, _INPUT_PX), borderMode=cv2.BORDER_REPLICATE
        )
        pixels = square.astype(np.float32) / 255
        layers = [layer[0] for layer in self._network.outputs(pixels, *_LAYERS)]
        points = (mesh - 0.5) @ matrix[:, :2].T + matrix[:, 2] + 0.5
        boxes = {view: _box(points[list(indices)]) for view, indices in _POINTS.items()}
        boxes[View.WHOLE] = (0.0, 0.0, 1.0, 1.0)
        return np.concatenate([_pooled(layers, boxes[view]) for view in View])


def _window(mesh: Points) -> NDArray[np.float64]:
    """The 2×3 matrix from the picture to the upright square about the mesh, for OpenCV."""
    low, high = mesh.min(axis=0), mesh.max(axis=0)
    side = max(1.0, _WINDOW_PER_BOX * float((high - low).max()))
    across = mesh[_LEFT_CORNER] - mesh[_RIGHT_CORNER]
    cosine, sine = across / max(1e-6, float(np.hypot(*across)))
    turn = _INPUT_PX / side * np.array([[cosine, sine], [-sine, cosine]])
    shift = _INPUT_PX / 2 - turn @ ((low + high) / 2)
    return np.column_stack([turn, shift + turn @ (0.5, 0.5) - 0.5])


_Box = tuple[float, float, float, float]
"""Left, top, right and bottom in shares of the square's side."""


def _box(points: Points) -> _Box:
    low, high = points.min(axis=0), points.max(axis=0)
    margin = _MARGIN * float((high - low).max())
    (left, top), (right, bottom) = (low - margin) / _INPUT_PX, (high + margin) / _INPUT_PX
    return float(left), float(top), float(right), float(bottom)


def _pooled(layers: Sequence[NDArray[np.float32]], box: _Box) -> Array:
    """Mean and deviation of each channel ``[C, h, w]`` inside the box, of all layers."""
    parts = []
    for layer in layers:
        px = layer.shape[1]
        left, top = (min(px - 1, max(0, int(px * share))) for share in box[:2])
        right, bottom = (min(px, round(px * share)) for share in box[2:])
        inside = layer[:, top : max(bottom, top + 1), left : max(right, left + 1)]
        parts += [inside.mean(axis=(1, 2)), inside.std(axis=(1, 2))]
    return np.concatenate(parts).astype(np.float64)
