"""KID of eyes and mouth alone, on flat pictures of which one window differs."""

import numpy as np
import pytest

from core.tables import Picture
from evaluation.arrays import Array, Pictures
from evaluation.config import EvaluateConfig
from evaluation.features.extractor import load_offline
from evaluation.figures import Figure
from evaluation.metrics.measurement import Measurement, Outputs, Side
from evaluation.metrics.windows import window_distances, windows
from preprocessing.analysis.face_windows import Alignment

PX, NUM = 64, 12
ALIGNMENT = Alignment(eye_distance=0.36, eye_height=0.40)
ROW = Picture(
    "0" * 64, "makeup", "A", "test", "x.png", "ok", "", "", "", "", PX, PX, [], [], 1.0, "", "", ""
)


def _noise(seed: int) -> Pictures:
    return np.random.default_rng(seed).integers(90, 160, (NUM, PX, PX, 3), np.uint8)


def _with_lipstick(pictures: Pictures) -> Pictures:
    """The same pictures with red in the window of the mouth, and nowhere else."""
    mouth = windows(ALIGNMENT)["mouth"]
    painted = pictures.copy()
    mouth.cut(painted)[...] = mouth.cut(pictures) // 4 + np.array([150, 0, 30], np.uint8)
    return painted


def _side(pictures: Pictures, train: Pictures) -> Side:
    empty: dict[str, Array] = {}
    return Side([ROW] * NUM, pictures, lambda: train, empty, empty, [], empty, empty, None)


def _measurement(translated: Pictures, alignment: Alignment | None = ALIGNMENT) -> Measurement:
    extract = load_offline()
    return Measurement(
        config=EvaluateConfig(num_bootstrap=50),
        source=_side(_noise(0), _noise(1)),
        outputs=Outputs(translated, translated, {}, {}, None),
        target=_side(_with_lipstick(_noise(2)), _with_lipstick(_noise(3))),
        target_name="B",
        classifier=None,
        alignment=alignment,
        extract=extract,
    )


def test_a_difference_in_one_window_shows_in_that_window_alone() -> None:
    found = window_distances(_measurement(_with_lipstick(_noise(0))))
    figures = {key: value for key, value in found.items() if isinstance(value, Figure)}
    mouth, bare_mouth = figures["mouth_window_kid"], figures["mouth_window_kid_baseline"]
    assert mouth.high < bare_mouth.low  # the target has painted lips
    assert mouth.value == pytest.approx(figures["mouth_window_kid_ceiling"].value, abs=0.05)
    eyes, bare_eyes = figures["eyes_window_kid"], figures["eyes_window_kid_baseline"]
    assert eyes == bare_eyes  # nothing changed there
    assert abs(eyes.value) < bare_mouth.value / 10


def test_pictures_that_are_no_aligned_faces_have_no_windows() -> None:
    assert not window_distances(_measurement(_noise(0), alignment=None))


def test_windows_lie_where_the_crop_has_eyes_and_mouth() -> None:
    eyes, mouth = windows(ALIGNMENT)["eyes"], windows(ALIGNMENT)["mouth"]
    assert eyes.left < 0.5 - 0.36 / 2 < 0.5 + 0.36 / 2 < eyes.right
    assert eyes.top < 0.40 < eyes.bottom <= mouth.top + 0.1
    assert mouth.top < 0.40 + 1.05 * 0.36 < mouth.bottom
    assert eyes.cut(_noise(0)).shape == (NUM, 21, 46, 3)
    wide = windows(Alignment(eye_distance=0.59, eye_height=0.7))
    assert all(
        0 <= edge <= 1 for box in wide.values() for edge in (box.left, box.right, box.bottom)
    )
    assert wide["mouth"].cut(_noise(0)).size > 0
