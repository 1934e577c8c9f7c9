"""The 468 points of a face's surface by MediaPipe's face mesh.

The input window, and the second pass about the points of the first, follow MediaPipe's
``face_landmark`` graph.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from preprocessing.analysis.face_network import FaceModel, FaceNetwork

Points = NDArray[np.float64]  # [N, 2], pixels of the picture, centres at half-integers

NUM_POINTS = 468
_INPUT_PX = 192
_MIN_FACE_PROBABILITY = 0.5  # by the model's own output
_WINDOW_PER_BOX = 1.5  # side of the second window, in longer sides of the points' box
_WINDOW_PER_EYE_DISTANCE = 3.6  # side of the first window
_RIGHT_EYE, _LEFT_EYE = (33, 133), (362, 263)  # corners of the eyes, which give the rotation


class FaceMesh:
    """Places the mesh; one instance per process. Raises ``MissingModelError`` without the model."""

    def __init__(self) -> None:
        self._network = FaceNetwork(FaceModel.MESH)

    def points(self, picture: NDArray[np.uint8], keypoints: Points) -> Points | None:
        """``[468, 2]`` in ``[H, W, 3]`` uint8 RGB; ``None`` where the model finds no face.

        ``keypoints`` ``[4 or more, 2]`` are a detected face's: right eye, left eye, nose tip,
        mouth, as ``preprocessing.analysis.face_detector.Face`` has them.
        """
        across = keypoints[1] - keypoints[0]
        middle = (keypoints[0] + keypoints[1] + 2 * keypoints[3]) / 4
        side = _WINDOW_PER_EYE_DISTANCE * float(np.hypot(*across))
        points = self._points_in_window(picture, middle, across, side)
        if points is None:
            return None
        low, high = points.min(axis=0), points.max(axis=0)
        across = points[list(_LEFT_EYE)].mean(axis=0) - points[list(_RIGHT_EYE)].mean(axis=0)
        side = _WINDOW_PER_BOX * float((high - low).max())
        return self._points_in_window(picture, (low + high) / 2, across, side)

    def _points_in_window(
        self, picture: NDArray[np.uint8], middle: Points, across: Points, side: float
    ) -> Points | None:
        """The points in the square of this side about ``middle``, rotated along ``across``."""
        length = float(np.hypot(*across))
        if min(length, side) < 1:
            return None
        cosine, sine = across / length
        turn = _INPUT_PX / side * np.array([[cosine, sine], [-sine, cosine]])
        shift = _INPUT_PX / 2 - turn @ middle
        matrix = np.column_stack([turn, shift + turn @ (0.5, 0.5) - 0.5])
        window = cv2.warpAffine(
            picture, matrix, (_INPUT_PX, _INPUT_PX), borderMode=cv2.BORDER_REPLICATE
        )
        pixels = window.astype(np.float32) / 255
        logit, values = self._network.outputs(pixels, "conv2d_30", "conv2d_20")
        if 1 / (1 + np.exp(-float(logit.ravel()[0]))) < _MIN_FACE_PROBABILITY:
            return None
        in_window = values.reshape(NUM_POINTS, 3)[:, :2].astype(np.float64)  # pixels
        return np.asarray((in_window - shift) @ np.linalg.inv(turn).T)
