"""An enlarged face is known by its edges, whatever its contrast and its size.

The kind: photographs that were enlarged before they were published. The boundary: a face that is
small and sharp shows its whole size.
"""

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from preprocessing.analysis.analyse import AnalysisConfig, aligned_face, analyse
from preprocessing.analysis.face_detector import FaceDetector
from preprocessing.analysis.resolution import MAX_DETAIL_PX, detail_px
from preprocessing.config import PrepareConfig
from preprocessing.selection.rules import possible_crops
from scraping.offline.portraits import Person, Shot, draw

Picture = NDArray[np.uint8]
CONFIG = PrepareConfig(domain_a="a", domain_b="b", min_sharpness=0, min_side_px=32)


@pytest.fixture(scope="module")
def photographs() -> list[tuple[Picture, float]]:
    """Drawn portraits with the grain of a camera, and the sides of their faces."""
    rng, detector, portraits = np.random.default_rng(0), FaceDetector(), []
    for seed in range(8):
        picture = draw(Person.seeded(seed), Shot.seeded(seed), None)
        grain = rng.normal(0, 5, picture.shape)
        (face,) = detector.detect(picture)
        portraits.append((np.clip(picture + grain, 0, 255).astype(np.uint8), face.side))
    return portraits


def measured(picture: Picture) -> float:
    (face,) = FaceDetector().detect(picture)
    return detail_px(aligned_face(picture, face), face.side)


def resized(picture: Picture, scale: float) -> Picture:
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(picture, None, fx=scale, fy=scale, interpolation=how), np.uint8)


def test_an_enlarged_face_shows_little_more_than_the_small_one_did(
    photographs: list[tuple[Picture, float]],
) -> None:
    for picture, side in photographs:
        shown = [measured(resized(resized(picture, px / side), side / px)) for px in (20, 40, 60)]
        assert shown == sorted(shown)
        assert shown[0] < 1.6 * 20
        assert shown[1] < 1.7 * 40


def test_contrast_does_not_matter(photographs: list[tuple[Picture, float]]) -> None:
    for picture, side in photographs[:4]:
        enlarged = resized(resized(picture, 40 / side), side / 40)
        pale = np.asarray(100 + enlarged // 3, np.uint8)
        assert measured(pale) == pytest.approx(measured(enlarged), rel=0.1)


def test_a_sharp_face_shows_its_size(photographs: list[tuple[Picture, float]]) -> None:
    for picture, side in photographs:
        assert measured(picture) == min(side, MAX_DETAIL_PX)
        assert measured(resized(picture, 60 / side)) > 0.9 * 60


def test_a_preparation_rejects_enlarged_faces_and_no_small_ones(
    photographs: list[tuple[Picture, float]], tmp_path: Path
) -> None:
    picture, side = photographs[0]
    small, tiny = resized(picture, 60 / side), resized(picture, 18 / side)
    for photo, reason in ((small, ""), (resized(tiny, side / 18), "enlarged")):
        path = tmp_path / "photo.png"
        Image.fromarray(photo).save(path)
        (crop,) = possible_crops(analyse(path, AnalysisConfig.of(CONFIG)), CONFIG)
        assert crop.reason == reason


def test_a_plain_picture_has_an_answer() -> None:
    assert detail_px(np.full((128, 128, 3), 90, np.uint8), 100.0) == 0
