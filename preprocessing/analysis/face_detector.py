"""Face boxes and keypoints by MediaPipe's full-range BlazeFace.

Decoding of its output follows MediaPipe's ``face_detection_full_range`` graph: a 48×48 grid of
anchors on 192×192 px.

One look at the whole picture shows the model only faces above a twelfth of its longer side. Tiles
show it the smaller ones, a border those that fill the picture, and turned looks those of a picture
that lies on its side. Each look only proposes faces; a close-up of each proposal confirms it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from preprocessing.analysis.face_network import FaceModel, FaceNetwork
from preprocessing.analysis.image_pyramid import (
    INPUT_PX,
    Box,
    ImagePyramid,
    Window,
    has_detail,
    levels_of_tiles,
)
from preprocessing.images.geometry import apply

MIN_FACE_PX = 48  # longer side of the smallest face that is searched by default
_GRID = 48
_NMS_OVERLAP = 0.3  # intersection over union
_NESTED_SHARE = 0.7  # of the smaller box inside the larger, beyond which both are one face
_SCORE = 0.5  # of a confirmed face in its close-up
_MAX_UNCONFIRMED = 30  # proposals that are looked at turned
_SURE_SCORE = 0.62  # the same where the turn of the picture is tried
_MAX_SURE_ROLL = 30.0  # degrees, of a face that shows that the picture is upright
_PROPOSAL_SCORE = 0.15  # in a look, where a face may be small
_MIN_SIDE_SHARE = 0.75  # of ``min_face_px``: what is smaller is more often no face than a face
_CLOSE_UP_SIDES = 2.0  # side of a close-up, in sides of the face
_BORDER_SIDES = 2.5  # side of the look that has a border, in longer sides of the picture
_UPRIGHT_SCORE = 0.75  # of a close-up; the faces below it may be turned
_ACCURATE_ROLL_DEGREES = 8.0  # in the close-up; the model's keypoints are accurate up to it
_MAX_STRAIGHTENINGS = 2
_SCORE_TOLERANCE = 0.05  # by which a straightened close-up may score less
_MIN_CLOSE_UP_PX = 16
_NEAR_SHARE = 0.4  # of the face's side, within which its close-up finds it
_QUARTER_TURNS_DEGREES = (90, 270, 180)


@dataclass(frozen=True)
class Face:
    """A face in pixels of the picture; ``keypoints`` ``[6, 2]``: right eye, left eye, nose tip,
    mouth, right ear, left ear (the person's right is the viewer's left).
    """

    box: Box
    keypoints: NDArray[np.float64]
    score: float  # 0 to 1
    turn: float = 0.0  # degrees clockwise of the look that found it

    @property
    def side(self) -> float:
        """The longer side of the box, px."""
        left, top, right, bottom = self.box
        return max(right - left, bottom - top)

    @property
    def middle(self) -> NDArray[np.float64]:
        """The mean of the keypoints, ``[2]``."""
        return np.asarray(self.keypoints.mean(axis=0))

    @property
    def roll(self) -> float:
        """Angle of the line of the eyes, degrees clockwise, -180 to 180; 0 is upright."""
        x, y = self.keypoints[1] - self.keypoints[0]
        return math.degrees(math.atan2(y, x))


class FaceDetector:
    """Detects faces; one instance per process. Raises ``MissingModelError`` without the model."""

    def __init__(self, threshold: float = _SCORE) -> None:
        self._threshold = threshold
        self._network = FaceNetwork(FaceModel.DETECTOR)
        self._outputs = ("reshaped_classifier_face_4", "reshaped_regressor_face_4")
        centres = (np.arange(_GRID) + 0.5) / _GRID
        x, y = np.meshgrid(centres, centres)
        self._anchors = np.stack([x.ravel(), y.ravel()], axis=1)  # [2304, 2]

    def detect(
        self,
        picture: NDArray[np.uint8],
        min_face_px: float = MIN_FACE_PX,
        *,
        max_tiles: int | None = None,
    ) -> list[Face]:
        """Faces of ``[H, W, 3]`` uint8 RGB, the largest first, each one once.

        All faces whose boxes have a side of ``min_face_px`` are searched, so that a larger picture
        takes longer; smaller ones may be found too. Where more than ``max_tiles`` tiles were
        needed, the least side is larger. Where no sure face is found upright, it is searched
        turned by 90°, 270° and 180°; box and keypoints are always in pixels of the picture given.
        """
        height, width = picture.shape[:2]
        levels = levels_of_tiles(height, width, min_face_px, max_tiles or math.inf)
        search = _Search(self, ImagePyramid(picture), levels, min_face_px * _MIN_SIDE_SHARE)
        faces = search.faces(0, [])
        if not any(face.score >= _SURE_SCORE and abs(face.roll) < _MAX_SURE_ROLL for face in faces):
            turned = next(filter(None, map(search.turned_faces, _QUARTER_TURNS_DEGREES)), [])
            faces = _suppress([*faces, *turned])
        if faces and (turn := _usual_turn(faces)) != 0:
            faces = search.faces(turn, faces)
        return sorted(faces, key=lambda face: face.side, reverse=True)

    def close_up(self, picture: ImagePyramid, proposal: Face, turn: float) -> Face | None:
        """The proposed face, detected again at the size and the turn at which the model is most
        accurate; ``None`` if it is no face.
        """
        face = self._look_closer(picture, proposal, turn)
        if face is None:
            return None
        if face.score < _UPRIGHT_SCORE:
            turns = (turn + other for other in _QUARTER_TURNS_DEGREES)
            turned = (self._look_closer(picture, face, other) for other in turns)
            face = max((face, *filter(None, turned)), key=lambda face: face.score)
        for _ in range(_MAX_STRAIGHTENINGS):
            if abs(_difference(face.roll, face.turn)) <= _ACCURATE_ROLL_DEGREES:
                break
            straight = self._look_closer(picture, face, face.roll)
            if straight is None or straight.score < face.score - _SCORE_TOLERANCE:
                break
            face = straight
        return face

    def _look_closer(self, picture: ImagePyramid, face: Face, turn: float) -> Face | None:
        """The face nearest to the place of ``face`` in a close-up."""
        middle = face.middle
        side = max(_MIN_CLOSE_UP_PX, _CLOSE_UP_SIDES * face.side)
        window = Window(float(middle[0]), float(middle[1]), side, turn)
        near = [
            candidate
            for candidate in _suppress(self.look(picture, window, self._threshold))
            if _distance(candidate, middle) < face.side * _NEAR_SHARE
        ]
        return min(near, key=lambda candidate: _distance(candidate, middle), default=None)

    def look(
        self, picture: ImagePyramid, window: Window, threshold: float = _PROPOSAL_SCORE
    ) -> list[Face]:
        """The model's faces in the window with at least this score, several for each."""
        transform = window.transform()
        pixels = picture.pixels(window, transform).astype(np.float32) / 127.5 - 1
        logits, values = self._network.outputs(pixels, *self._outputs)
        scores = 1 / (1 + np.exp(-np.clip(logits[0, :, 0].astype(np.float64), -80, 80)))
        chosen = np.flatnonzero(scores > threshold)
        points = values[0, chosen].astype(np.float64).reshape(len(chosen), 8, 2)
        points[:, 0] += self._anchors[chosen] * INPUT_PX
        points[:, 2:] += self._anchors[chosen][:, None] * INPUT_PX
        back = cv2.invertAffineTransform(transform)
        scale = window.side / INPUT_PX
        return [
            _face(apply(back, face[[0, *range(2, 8)]]), face[1] * scale, score, window.turn)
            for face, score in zip(points, scores[chosen].tolist(), strict=True)
        ]


class _Search:
    """The search of a picture; proposals that no close-up has confirmed yet are remembered."""

    def __init__(
        self,
        detector: FaceDetector,
        picture: ImagePyramid,
        levels: Sequence[Sequence[Window]],
        min_side: float,
    ) -> None:
        self._detector, self._picture = detector, picture
        self._levels, self._min_side = levels, min_side
        self._unconfirmed = list[Face]()

    def faces(self, turn: float, confirmed: Sequence[Face]) -> list[Face]:
        """The known faces, and those that are found by looks turned by so many degrees."""
        faces = self._whole(turn, confirmed, 0.0)
        for tiles in self._levels:
            detail = self._picture.detail(tiles[0].side, [face.box for face in faces])
            proposals = [
                face
                for tile in tiles
                if has_detail(detail, tile)
                for face in self._detector.look(self._picture, replace(tile, turn=turn))
            ]
            faces = self._confirm(turn, proposals, faces, _SCORE)
        return faces

    def turned_faces(self, turn: float) -> list[Face]:
        """Faces found by turned looks at the whole picture and at what upright ones proposed: the
        model half recognises a face that lies on its side.
        """
        likely = sorted(self._unconfirmed, key=lambda face: -face.score)[:_MAX_UNCONFIRMED]
        faces = self._whole(turn, [], _SURE_SCORE)
        return self._confirm(turn, likely, faces, _SURE_SCORE)

    def _whole(self, turn: float, confirmed: Sequence[Face], min_score: float) -> list[Face]:
        height, width = self._picture.shape
        whole = Window(width / 2, height / 2, max(height, width), turn)
        faces = self._confirm(turn, self._detector.look(self._picture, whole), confirmed, min_score)
        if faces:
            return faces
        border = replace(whole, side=whole.side * _BORDER_SIDES)
        return self._confirm(turn, self._detector.look(self._picture, border), [], min_score)

    def _confirm(
        self,
        turn: float,
        proposals: Sequence[Face],
        confirmed: Sequence[Face],
        min_score: float,
    ) -> list[Face]:
        """The known faces, and those of the proposals that a close-up confirms with this score.

        With 0 the size of a surely proposed face does not matter either.
        """
        faces = list(confirmed)
        for proposal in _suppress(proposals):
            if any(_is_same(proposal, face) for face in faces):
                continue
            face = self._detector.close_up(self._picture, proposal, turn)
            if face is not None and self._is_sure(face, proposal, min_score):
                faces.append(face)
            elif turn == 0:
                self._unconfirmed.append(proposal)
        return _suppress(faces)

    def _is_sure(self, face: Face, proposal: Face, min_score: float) -> bool:
        if min_score == 0 and proposal.score >= _SCORE:
            return True
        return face.score >= min_score and face.side >= self._min_side


def _face(
    points: NDArray[np.float64], size: NDArray[np.float64], score: float, turn: float
) -> Face:
    """A face of its middle and keypoints ``[7, 2]``, and of its box's sides before the turn."""
    if abs(math.sin(math.radians(turn))) > math.sqrt(0.5):
        size = size[::-1]
    left, top, right, bottom = np.concatenate([points[0] - size / 2, points[0] + size / 2]).tolist()
    return Face((left, top, right, bottom), points[1:], score, turn)


def _usual_turn(faces: Sequence[Face]) -> float:
    """The quarter turn at which most of the faces are upright."""
    turns = [round(face.roll / 90) % 4 * 90 for face in faces]
    return max(turns, key=turns.count)


def _difference(degrees: float, other: float) -> float:
    """The difference of two angles, -180 to 180 degrees."""
    return (degrees - other + 180) % 360 - 180


def _suppress(faces: Sequence[Face]) -> list[Face]:
    """Non-maximum suppression: of faces at one place that with the best score, the best first."""
    chosen = list[Face]()
    for face in sorted(faces, key=lambda face: -face.score):
        if not any(_is_same(face, other) for other in chosen):
            chosen.append(face)
    return chosen


def _is_same(face: Face, other: Face) -> bool:
    """Whether two boxes are of one face: they overlap, or one lies in the other."""
    left, top, right, bottom = (
        choose(pair)
        for choose, pair in zip(
            (max, max, min, min), zip(face.box, other.box, strict=True), strict=True
        )
    )
    common = max(0.0, right - left) * max(0.0, bottom - top)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (face.box, other.box)]
    return common > min(_NMS_OVERLAP * (sum(areas) - common), _NESTED_SHARE * min(areas))


def _distance(face: Face, point: NDArray[np.float64]) -> float:
    return float(np.hypot(*(face.middle - point)))
