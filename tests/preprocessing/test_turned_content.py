"""A picture that was turned is turned back, if its corners show it; no other picture is turned."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from preprocessing.analysis.turned_content import find_turned_content
from scraping.offline import landscapes
from scraping.offline.portraits import Person, Shot, draw


def landscape(seed: int) -> NDArray[np.uint8]:
    return landscapes.draw(seed, winter=False, height=180, width=240)


def turned(
    pixels: NDArray[np.uint8], degrees: float, colour: str, *, expand: bool = True
) -> NDArray[np.uint8]:
    """The picture turned clockwise, as photo editors do it."""
    image = Image.fromarray(pixels)
    turned_image = image.rotate(-degrees, Image.Resampling.BICUBIC, expand=expand, fillcolor=colour)
    return np.asarray(turned_image)


@pytest.mark.parametrize("colour", ["white", "black", "#b04020"])
@pytest.mark.parametrize("degrees", [-40, -15, 5, 20, 44])
def test_the_content_of_a_turned_picture_is_found(degrees: float, colour: str) -> None:
    original = landscape(3)
    content = find_turned_content(turned(original, degrees, colour))
    assert content is not None
    assert content.degrees == pytest.approx(degrees, abs=2)
    level = content.level(turned(original, degrees, colour))
    assert level.shape[:2] == pytest.approx(original.shape[:2], rel=0.04)
    gap = cv2.absdiff(cv2.resize(level, (48, 48)), cv2.resize(original, (48, 48)))
    assert gap.mean() < 8


def test_a_canvas_that_keeps_its_size_is_turned_back_too() -> None:
    content = find_turned_content(turned(landscape(4), 15, "black", expand=False))
    assert content is not None
    assert content.degrees == pytest.approx(15, abs=2)


def test_upright_pictures_are_left_as_they_are() -> None:
    portraits = [draw(Person.seeded(k), Shot.seeded(k), None) for k in range(4)]
    pictures = [*portraits, *map(landscape, range(4))]
    framed = [cv2.copyMakeBorder(p, 20, 20, 20, 20, cv2.BORDER_CONSTANT) for p in pictures]
    disc = cv2.circle(np.full((200, 200, 3), 255, np.uint8), (100, 100), 80, (60, 90, 200), -1)
    plain = np.full((80, 120, 3), 90, np.uint8)
    found = [find_turned_content(np.asarray(p)) for p in (*pictures, *framed, disc, plain)]
    assert found == [None] * len(found)
