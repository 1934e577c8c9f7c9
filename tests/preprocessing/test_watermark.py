"""A copy with a text or logo over a part of it is told from another picture like it.

The boundary: the mark covers up to three tenths, makes what it covers lighter throughout (or darker
throughout), and all else is the same but for an edit of the whole picture.
"""

import functools
import itertools

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from preprocessing.analysis.fingerprint import fingerprint, grey_thumbnail
from preprocessing.dedup.overlay import Overlay, window_overlay
from preprocessing.dedup.watermark import similarity_beside_mark
from scraping.offline.portraits import Makeup, Person, Shot, draw

STUDIO = Shot.seeded(7)
SAME_PLACE: Overlay = window_overlay(0)


@functools.cache
def person(seed: int) -> NDArray[np.uint8]:
    """A drawn person in the one studio, 192 px wide."""
    pixels = draw(Person.seeded(seed), STUDIO, Makeup.seeded(seed) if seed % 2 else None)
    scale = 192 / pixels.shape[1]
    small = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.uint8)


def marked(pixels: NDArray[np.uint8], colour: tuple[int, int, int, int]) -> NDArray[np.uint8]:
    """The picture with two lines of text, as agencies write them over a preview."""
    image = Image.fromarray(pixels).convert("RGBA")
    layer = Image.new("RGBA", image.size)
    text, size = ImageDraw.Draw(layer), image.width // 6
    for height, words in ((0.3, "SAMPLE"), (0.8, "© example")):
        place = 0.1 * image.width, height * image.height
        text.text(place, words, colour, ImageFont.load_default(size))
    return np.asarray(Image.alpha_composite(image, layer).convert("RGB"))


def beside_mark(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> float:
    greys = [grey_thumbnail(fingerprint(side, trim=False).thumbnail) for side in (first, second)]
    return similarity_beside_mark(greys[0], greys[1], SAME_PLACE)


@pytest.mark.parametrize("colour", [(255, 255, 255, 150), (0, 0, 0, 150), (255, 255, 255, 230)])
def test_a_marked_copy_is_the_same_beside_its_mark(colour: tuple[int, int, int, int]) -> None:
    for seed in range(3):
        assert beside_mark(person(seed), marked(person(seed), colour)) > 0.99
        assert beside_mark(marked(person(seed), colour), person(seed)) > 0.99


def test_a_marked_copy_may_be_recoloured_too() -> None:
    copy = marked(person(2), (255, 255, 255, 150))
    assert beside_mark(person(2), np.asarray(0.8 * copy + 20, np.uint8)) > 0.99


def test_a_picture_is_the_same_as_itself() -> None:
    assert beside_mark(person(2), person(2)) == pytest.approx(1, abs=1e-3)


def test_people_in_one_studio_differ_beside_any_mark() -> None:
    people = [person(seed) for seed in range(8)]
    values = [beside_mark(*pair) for pair in itertools.permutations(people, 2)]
    assert max(values) == -1


def test_a_mark_hides_nothing_else_that_differs() -> None:
    """Neither another person below the mark, nor a part that became darker."""
    assert beside_mark(person(3), marked(person(0), (255, 255, 255, 150))) == -1
    copy = marked(person(2), (255, 255, 255, 200)).copy()
    copy[-40:, :40] //= 2
    assert beside_mark(person(2), copy) == -1


def test_a_mark_over_most_of_a_picture_proves_nothing() -> None:
    copy = person(2).copy()
    copy[: len(copy) // 2] = 128 + copy[: len(copy) // 2] // 2
    assert beside_mark(person(2), copy) == -1


def test_plain_and_noisy_pictures_have_a_value() -> None:
    rng = np.random.default_rng(0)
    plain = np.full((48, 48), 90, np.uint8)
    noise = rng.integers(0, 256, (48, 48), np.uint8)
    blurred = np.asarray(cv2.GaussianBlur(noise, (0, 0), 3), np.uint8)
    for first, second in itertools.product((plain, noise, blurred), repeat=2):
        assert -1 <= similarity_beside_mark(first, second, SAME_PLACE) <= 1
