"""The detector finds every face once, at its place, and no others.

The kind: faces as people send them: small in a large photograph, many, filling the picture, lying
on their side, upside down, tilted. The boundary: the least side that is asked for, 48 px by
default; a picture of mixed turns is searched at the turn of most of its faces.
"""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from core.pictures import Rejected, read_picture
from preprocessing.analysis.face_detector import FaceDetector
from preprocessing.analysis.image_pyramid import levels_of_tiles
from scraping.offline import landscapes
from scraping.offline.portraits import Person, Shot, draw

TIGHT = Path(__file__).resolve().parents[3] / "shared" / "data" / "makeup128" / "B"


@pytest.fixture(scope="module")
def detector() -> FaceDetector:
    return FaceDetector()


def portrait(seed: int) -> NDArray[np.uint8]:
    return draw(Person.seeded(seed), Shot.seeded(seed), None)


def test_keypoints_lie_as_they_are_named(detector: FaceDetector) -> None:
    for seed in range(12):
        (face,) = detector.detect(portrait(seed))
        right_eye, left_eye, nose, mouth, right_ear, left_ear = face.keypoints
        left, top, right, bottom = face.box
        assert right_ear[0] < right_eye[0] < nose[0] < left_eye[0] < left_ear[0]
        assert max(right_eye[1], left_eye[1]) < nose[1] < mouth[1]
        assert left < right_eye[0] < left_eye[0] < right
        assert top < right_eye[1] < mouth[1] < bottom
        assert 0.5 < face.score <= 1


def test_a_face_moves_with_the_picture(detector: FaceDetector) -> None:
    photo = portrait(3)
    (before,) = detector.detect(photo)
    moved = cv2.copyMakeBorder(photo, 40, 10, 150, 30, cv2.BORDER_REPLICATE)
    (after,) = detector.detect(moved)
    eyes = np.hypot(*(before.keypoints[1] - before.keypoints[0]))
    gap = np.abs(after.keypoints[:4] - (150, 40) - before.keypoints[:4]).max()
    assert gap < 0.12 * eyes


def test_keypoints_are_pixels_of_the_picture_given(detector: FaceDetector) -> None:
    photo = portrait(5)
    (before,) = detector.detect(photo)
    (after,) = detector.detect(cv2.resize(photo, None, fx=2.5, fy=2.5))
    eyes = np.hypot(*(before.keypoints[1] - before.keypoints[0]))
    assert np.abs(after.keypoints[:4] / 2.5 - before.keypoints[:4]).max() < 0.1 * eyes


def test_two_faces_are_two_and_the_larger_comes_first(detector: FaceDetector) -> None:
    large, small = portrait(1), portrait(2)
    small = cv2.resize(small, None, fx=0.6, fy=0.6, interpolation=cv2.INTER_AREA)
    both = np.full((large.shape[0], large.shape[1] + small.shape[1], 3), 128, np.uint8)
    both[:, : large.shape[1]] = large
    both[: small.shape[0], large.shape[1] :] = small
    found = detector.detect(both)
    assert len(found) == 2
    assert found[0].side > found[1].side
    assert found[0].keypoints[2, 0] < large.shape[1] < found[1].keypoints[2, 0]


@pytest.mark.parametrize("shape", [(1, 1), (2, 900), (900, 2), (64, 64)])
def test_odd_and_plain_pictures_have_no_face(
    detector: FaceDetector, shape: tuple[int, int]
) -> None:
    assert detector.detect(np.full((*shape, 3), 120, np.uint8)) == []


def test_noise_has_no_face(detector: FaceDetector) -> None:
    rng = np.random.default_rng(0)
    for _ in range(10):
        assert detector.detect(rng.integers(0, 255, (200, 300, 3), np.uint8)) == []


def on_canvas(
    faces: list[tuple[int, int, int, int]], width: int = 2000, height: int = 1500
) -> NDArray[np.uint8]:
    """Drawn people with faces of this width at these places (seed, width, left, top) in a drawn
    landscape."""
    canvas = cv2.resize(landscapes.draw(3, winter=False), (width, height))
    for seed, face_px, left, top in faces:
        person = portrait(seed)
        scale = face_px / (0.36 * person.shape[1])
        small = cv2.resize(person, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        canvas[top : top + small.shape[0], left : left + small.shape[1]] = small
    return np.asarray(canvas, np.uint8)


def quarter_turned(points: NDArray[np.float64], turns: int, height: int, width: int) -> Any:
    """Points of a picture in the same picture turned clockwise by 90° so many times."""
    for _ in range(turns):
        points = np.stack([height - points[:, 1], points[:, 0]], axis=1)
        height, width = width, height
    return points


@pytest.mark.parametrize("face_px", [52, 80, 120, 200])
def test_small_faces_of_a_large_photograph_are_found_once_each(
    detector: FaceDetector, face_px: int
) -> None:
    places = [(left, top) for top in (70, 830) for left in (40, 700, 1330)]
    faces = [(seed, face_px, *place) for seed, place in enumerate(places)]
    found = detector.detect(on_canvas(faces))
    assert len(found) == len(faces)
    middles = sorted((round(f.middle[1] / 760), round(f.middle[0] / 640)) for f in found)
    assert len(set(middles)) == len(faces)


def test_faces_of_all_sizes_are_found_together(detector: FaceDetector) -> None:
    faces = [(0, 60, 20, 20), (1, 420, 500, 100), (2, 110, 40, 700), (3, 200, 1400, 800)]
    found = detector.detect(on_canvas(faces))
    assert len(found) == 4
    assert [face.side for face in found] == sorted((f.side for f in found), reverse=True)


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_faces_of_a_picture_that_lies_on_its_side_are_found_as_they_lie(
    detector: FaceDetector, turns: int
) -> None:
    """The keypoints are pixels of the picture given, so that a crop by the eyes is upright."""
    for seed in (0, 4, 7):
        upright = portrait(seed)
        (before,) = detector.detect(upright)
        (after,) = detector.detect(np.ascontiguousarray(np.rot90(upright, -turns)))
        eyes = np.hypot(*(before.keypoints[1] - before.keypoints[0]))
        wanted = quarter_turned(before.keypoints, turns, *upright.shape[:2])
        assert np.abs(after.keypoints[:4] - wanted[:4]).max() < 0.15 * eyes


@pytest.mark.slow
def test_a_group_photograph_that_lies_on_its_side_loses_no_face(detector: FaceDetector) -> None:
    faces = [(seed, 70, 40 + 450 * seed, 200) for seed in range(4)]
    turned = np.ascontiguousarray(np.rot90(on_canvas(faces)))
    found = detector.detect(turned)
    assert len(found) == 4
    assert all(abs(face.roll + 90) < 15 for face in found)


@pytest.mark.parametrize("degrees", [-60, -35, 20, 45, 110])
def test_the_eyes_of_a_tilted_face_are_where_they_are(
    detector: FaceDetector, degrees: float
) -> None:
    for seed in (0, 4, 7):
        upright = cv2.copyMakeBorder(portrait(seed), *(150,) * 4, cv2.BORDER_REPLICATE)
        (before,) = detector.detect(upright)
        height, width = upright.shape[:2]
        matrix = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1)
        tilted = cv2.warpAffine(upright, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)
        (after,) = detector.detect(np.asarray(tilted, np.uint8))
        gap = (after.roll - before.roll + degrees + 180) % 360 - 180
        assert abs(gap) < 8


def test_a_face_that_fills_the_picture_is_found(detector: FaceDetector) -> None:
    for seed in range(8):
        photo = portrait(seed)
        (face,) = detector.detect(photo)
        left, top, right, bottom = (round(edge) for edge in face.box)
        tight = photo[max(top, 0) : bottom, max(left, 0) : right]
        assert len(detector.detect(np.ascontiguousarray(tight))) == 1


def test_drawn_landscapes_have_no_face_at_any_size_or_turn(detector: FaceDetector) -> None:
    for seed in range(3):
        landscape = landscapes.draw(seed, winter=bool(seed % 2), height=700, width=1000)
        assert detector.detect(landscape) == []


def test_the_number_of_tiles_has_a_limit(detector: FaceDetector) -> None:
    """A preparation has seconds for a picture: in a very large one the least face is larger."""
    for size in ((3000, 4000), (7000, 9000), (300, 30_000)):
        levels = levels_of_tiles(*size, 48, 160)
        assert sum(map(len, levels)) <= 160
    assert levels_of_tiles(600, 600, 48, 160) == []


@pytest.mark.skipif(not TIGHT.is_dir(), reason="the tight crops (shared/data) are absent")
def test_tight_crops_are_found(detector: FaceDetector) -> None:
    num_found, paths = 0, sorted(TIGHT.iterdir())[::12]
    for path in paths:
        photo = read_picture(path, max_pixels=1e6)
        assert not isinstance(photo, Rejected)
        num_found += len(detector.detect(photo)) > 0
    assert num_found >= 0.98 * len(paths)
