"""Covered faces are recognised, whatever the colour of the cloth; bare and made-up ones are not
taken for covered ones.

The kind: masks of any colour and pattern, in colour and in grey, in pictures that are stretched.
The boundary: a face that shows its mouth is bare, with red lips too.
"""

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from core.pictures import Rejected, read_picture
from preprocessing.analysis.face_detector import FaceDetector
from preprocessing.analysis.occlusion import (
    EYE_DISTANCE,
    EYE_HEIGHT,
    WINDOW_PX,
    OcclusionClassifier,
    face_window,
)
from scraping.offline.portraits import Makeup, Person, Shot, draw

Picture = NDArray[np.uint8]
MADE_UP = Path(__file__).resolve().parents[3] / "shared" / "data" / "makeup128" / "A"
EYES = WINDOW_PX * np.array([(0.5 + side * EYE_DISTANCE / 2, EYE_HEIGHT) for side in (-1, 1)])


@pytest.fixture(scope="module")
def classifier() -> OcclusionClassifier:
    return OcclusionClassifier()


@pytest.fixture(scope="module")
def faces() -> list[Picture]:
    """Windows of drawn faces without and with make-up."""
    detector, windows = FaceDetector(), []
    for seed in range(24):
        makeup = Makeup.seeded(seed) if seed % 2 else None
        picture = draw(Person.seeded(seed), Shot.seeded(seed), makeup)
        windows += [face_window(picture, face.keypoints) for face in detector.detect(picture)[:1]]
    return windows


def masked(face: Picture, cloth: Picture) -> Picture:
    """The face with a mask of this cloth ``[192, 192, 3]`` from below its eyes to its chin."""
    outline = np.array([(46, 99), (96, 89), (146, 99), (141, 144), (96, 171), (51, 144)])
    mask = cv2.fillPoly(np.zeros_like(face), [outline], (1, 1, 1))
    return np.where(mask > 0, cloth, face)


def plain(*colour: int) -> Picture:
    return np.full((WINDOW_PX, WINDOW_PX, 3), colour, np.uint8)


def patterned() -> Picture:
    """A print of flowers in red, orange and pink."""
    cloth = plain(230, 120, 60)
    for row in range(0, WINDOW_PX, 14):
        for column in range(0, WINDOW_PX, 14):
            cv2.circle(cloth, (column, row), 5, (220, 40, 90), -1)
    return cloth


def test_bare_faces_are_bare_with_make_up_and_in_grey(
    classifier: OcclusionClassifier, faces: list[Picture]
) -> None:
    greys = [cv2.cvtColor(cv2.cvtColor(f, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB) for f in faces]
    assert len(faces) > 20
    assert max(classifier.covered_probability(face, EYES) for face in faces) < 0.5
    assert sum(classifier.covered_probability(face, EYES) > 0.5 for face in greys) <= 1


@pytest.mark.parametrize(
    "cloth",
    [
        plain(235, 238, 240),
        plain(30, 30, 34),
        plain(150, 190, 215),
        plain(240, 150, 170),
        plain(190, 30, 40),  # as a mouth is
        plain(235, 130, 40),
        plain(240, 210, 60),
        patterned(),
    ],
    ids=["white", "black", "blue", "pink", "red", "orange", "yellow", "patterned"],
)
def test_masks_of_any_colour_are_found(
    classifier: OcclusionClassifier, faces: list[Picture], cloth: Picture
) -> None:
    covered = [classifier.covered_probability(masked(face, cloth), EYES) > 0.5 for face in faces]
    assert np.mean(covered) > 0.95


def test_a_window_has_the_eyes_where_they_belong(classifier: OcclusionClassifier) -> None:
    """So that a face is judged the same in a photograph of any size."""
    picture = draw(Person.seeded(3), Shot.seeded(3), None)
    (face,) = FaceDetector().detect(picture)
    large = cv2.resize(picture, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    one, other = face_window(picture, face.keypoints), face_window(large, 2 * face.keypoints)
    assert np.abs(one.astype(int) - other).mean() < 4
    assert classifier.covered_probability(picture, face.keypoints) == pytest.approx(
        classifier.covered_probability(large, 2 * face.keypoints), abs=0.1
    )


def test_plain_pictures_have_an_answer(classifier: OcclusionClassifier) -> None:
    for grey in (0, 128, 255):
        assert 0 <= classifier.covered_probability(plain(grey, grey, grey), EYES) <= 1


@pytest.mark.skipif(not MADE_UP.is_dir(), reason="the faces with make-up (shared/data) are absent")
def test_heavy_make_up_covers_nothing(classifier: OcclusionClassifier) -> None:
    """These photographs were never fitted to."""
    detector, rejected, num = FaceDetector(), 0, 0
    for path in sorted(MADE_UP.iterdir())[::12]:
        photo = read_picture(path, max_pixels=1e6)
        assert not isinstance(photo, Rejected)
        for face in detector.detect(photo)[:1]:
            num += 1
            rejected += classifier.covered_probability(photo, face.keypoints) > 0.5
    assert num > 50
    assert rejected <= 1
