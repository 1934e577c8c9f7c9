"""Defects of whole pictures have figures that photographs do not reach."""

import numpy as np
import pytest
from numpy.typing import NDArray

from preprocessing.analysis.defects import Defects, colour_spread, frame_share, measure_defects
from scraping.offline.portraits import Person, Shot, draw

Pixels = NDArray[np.uint8]


@pytest.fixture(scope="module")
def photos() -> tuple[Pixels, Pixels]:
    first, second = (
        np.asarray(draw(Person.seeded(k), Shot.seeded(k), None, height=300, width=280))
        for k in (1, 2)
    )
    return first, second


def textured(seed: int, height: int = 240, width: int = 240) -> Pixels:
    """Coloured blobs of every size, without a straight line."""
    import cv2

    rng = np.random.default_rng(seed)
    layers = [
        cv2.resize(rng.normal(0, 40, (k, k, 3)), (width, height), interpolation=cv2.INTER_CUBIC)
        for k in (3, 6, 12, 40)
    ]
    return np.clip(128 + rng.normal(0, 30, 3) + sum(layers), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("gap", [0, 5])
@pytest.mark.parametrize("axis", [0, 1])
def test_a_collage_has_a_seam_at_its_middle(axis: int, gap: int) -> None:
    first, second = textured(1), textured(2)
    shape = (gap, 240, 3) if axis == 0 else (240, gap, 3)
    line = np.full(shape, 255, np.uint8)
    assert measure_defects(np.concatenate([first, line, second], axis=axis)).seam > 0.7
    assert measure_defects(first).seam < 0.5


def test_an_edge_beside_the_middle_is_no_seam() -> None:
    picture = textured(1)
    picture[:, : round(0.42 * 240)] = textured(2)[:, : round(0.42 * 240)]
    assert measure_defects(picture).seam < 0.5


def test_a_frame_is_as_wide_as_its_thinner_bar() -> None:
    picture = textured(3)
    assert frame_share(picture) == 0
    framed = np.pad(picture, ((20, 20), (10, 30), (0, 0)), constant_values=255)
    assert frame_share(framed) == pytest.approx(20 / 280, abs=0.01)
    bars = np.pad(picture, ((30, 30), (0, 0), (0, 0)))
    assert frame_share(bars) == pytest.approx(30 / 300, abs=0.01)
    one_bar = np.pad(picture, ((0, 60), (0, 0), (0, 0)))  # a studio's floor, or a caption
    assert frame_share(one_bar) == 0


def test_grey_and_toned_pictures_have_no_spread_of_colours(photos: tuple[Pixels, Pixels]) -> None:
    grey = np.repeat(photos[0].mean(axis=2, keepdims=True), 3, axis=2)
    assert colour_spread(grey.astype(np.uint8)) < 0.5
    assert colour_spread((grey * [1.0, 0.88, 0.7]).astype(np.uint8)) < 1.5
    assert colour_spread(photos[0]) > 2.5


def test_a_plain_picture_has_no_contrast(photos: tuple[Pixels, Pixels]) -> None:
    noise = np.random.default_rng(0).normal(0, 1.5, (200, 200, 3))
    assert measure_defects(np.clip(140 + noise, 0, 255).astype(np.uint8)).contrast < 3
    assert measure_defects(photos[0]).contrast > 20


def test_the_smallest_picture_is_measured() -> None:
    assert measure_defects(np.full((1, 1, 3), 7, np.uint8)) == Defects(0.0, 0.0, 7.0, 0.0, 0.0)
