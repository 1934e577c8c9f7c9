"""The probability that a face's lower half is covered: a linear model of activations.

The mesh network (``face_mesh.py``) knows noses, mouths and chins, whatever their colour: a layer of
it, from the eyes to the chin, tells cloth and hands from skin with make-up or a beard. The weights
are in ``occlusion.json``; ``benchmarks/occlusion.py`` fits them and measures recall and precision.
"""

from __future__ import annotations

import importlib.resources
import json
import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from preprocessing.analysis.face_network import FaceModel, FaceNetwork
from preprocessing.images import geometry
from preprocessing.images.side_features import FEATURE_LAYERS

WINDOW_PX = 192  # side of the network's input
EYE_DISTANCE, EYE_HEIGHT = 0.30, 0.40  # in the window, shares of its side
_LAYER = "p_re_lu_11"  # [128, 12, 12]
_MIDDLE = slice(4, 8)  # columns of nose and mouth
_LOWER_ROWS = slice(4, 12)  # from the eyes to below the chin


class OcclusionClassifier:
    """Judges faces; one instance per process. Raises ``MissingModelError`` without the model."""

    def __init__(self) -> None:
        self._network = FaceNetwork(FaceModel.MESH)
        file = importlib.resources.files("preprocessing.analysis").joinpath("occlusion.json")
        values = json.loads(file.read_text(encoding="utf-8"))
        self._weights = np.array(values["weights"], np.float64)
        self._bias = float(values["bias"])

    def covered_probability(
        self, picture: NDArray[np.uint8], keypoints: NDArray[np.float64]
    ) -> float:
        """The probability that mouth and jaw are covered, 0 to 1.

        ``picture`` is ``[H, W, 3]`` uint8 RGB; ``keypoints`` begins with right and left eye.
        """
        return self.judge(face_window(picture, keypoints))[0]

    def judge(self, window: NDArray[np.uint8]) -> tuple[float, Mapping[str, NDArray[np.float32]]]:
        """The probability for a ``face_window``, and the activations ``[C, H, W]`` of each of
        ``side_features.FEATURE_LAYERS``, which the same pass gives.
        """
        layers = self._activations(window, (_LAYER, *FEATURE_LAYERS))
        logit = float(_pooled(layers[_LAYER]) @ self._weights) + self._bias
        return 1 / (1 + math.exp(-max(-60.0, min(60.0, logit)))), layers

    def features(self, window: NDArray[np.uint8]) -> NDArray[np.float64]:
        """The model's input of a ``face_window``, ``[2048]`` float64."""
        return _pooled(self._activations(window, (_LAYER,))[_LAYER])

    def _activations(
        self, window: NDArray[np.uint8], names: Sequence[str]
    ) -> dict[str, NDArray[np.float32]]:
        layers = self._network.outputs(window.astype(np.float32) / np.float32(255), *names)
        return {name: layer[0] for name, layer in zip(names, layers, strict=True)}


def _pooled(layer: NDArray[np.float32]) -> NDArray[np.float64]:
    """Each channel's mean over the middle columns of each row, then over all columns."""
    lower = layer[:, _LOWER_ROWS]
    means = [lower[..., _MIDDLE].mean(axis=2), lower.mean(axis=2)]
    return np.stack(means, 2).ravel().astype(float)


def face_window(picture: NDArray[np.uint8], keypoints: NDArray[np.float64]) -> NDArray[np.uint8]:
    """The upright square about a face, ``[192, 192, 3]`` uint8: the eyes are level, 0.30 of the
    side apart and 0.40 below the top.
    """
    transform = geometry.eye_transform(keypoints, WINDOW_PX, EYE_DISTANCE, EYE_HEIGHT)
    return geometry.crop(picture, transform, WINDOW_PX)
