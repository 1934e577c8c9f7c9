"""Faces with masks are recognised, and bare faces are not taken for masked ones."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from preprocessing.analysis.analyse import CANONICAL_PX, aligned_face
from preprocessing.analysis.face_detector import FaceDetector
from preprocessing.analysis.occlusion import covered_probability, features
from scraping.offline.portraits import Makeup, Person, Shot, draw

Picture = NDArray[np.uint8]


@pytest.fixture(scope="module")
def faces() -> list[Picture]:
    """Drawn faces without and with make-up, aligned."""
    detector, found = FaceDetector(), []
    for seed in range(24):
        makeup = Makeup.seeded(seed) if seed % 2 else None
        picture = draw(Person.seeded(seed), Shot.seeded(seed), makeup)
        found += [aligned_face(picture, face) for face in detector.detect(picture)[:1]]
    return found


def masked(face: Picture, colour: tuple[int, int, int]) -> Picture:
    """The face with a mask from below its eyes to its chin, lit as the face is."""
    outline = np.array([(24, 68), (64, 60), (104, 68), (100, 104), (64, 126), (28, 104)])
    mask = cv2.fillPoly(np.zeros_like(face), [outline], (1, 1, 1))
    return np.where(mask > 0, np.array(colour, np.uint8), face)


def test_bare_faces_are_bare_with_make_up_and_in_grey(faces: list[Picture]) -> None:
    greys = [cv2.cvtColor(cv2.cvtColor(f, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB) for f in faces]
    assert len(faces) > 20
    assert max(covered_probability(face) for face in faces) < 0.5
    assert sum(covered_probability(face) > 0.5 for face in greys) <= 1


@pytest.mark.parametrize(
    ("colour", "least"),
    [
        ((235, 238, 240), 0.95),
        ((30, 30, 34), 0.95),
        ((150, 190, 215), 0.95),
        ((240, 150, 170), 0.95),
        ((190, 30, 40), 0.6),  # as a mouth is
    ],
)
def test_masks_of_any_colour_are_found(
    faces: list[Picture], colour: tuple[int, int, int], least: float
) -> None:
    found = [covered_probability(masked(face, colour)) > 0.5 for face in faces]
    assert np.mean(found) > least


def test_it_does_not_matter_which_half_is_which(faces: list[Picture]) -> None:
    for face in faces:
        np.testing.assert_allclose(features(face), features(face[:, ::-1]), atol=2e-3)


def test_plain_pictures_have_an_answer() -> None:
    for grey in (0, 128, 255):
        plain = np.full((CANONICAL_PX, CANONICAL_PX, 3), grey, np.uint8)
        assert 0 <= covered_probability(plain) <= 1
