"""Copies share a cluster, also turned ones; two people share none, however alike the photographs.

The kind: pictures whose analysis is that of a preparation, from files to clusters. The boundary:
drawn people in one shot have the same pose, light and background to the pixel, which is harder than
photographs of one studio (``benchmarks/faces.py`` has 500 of them): colours that differ in places
only are another person's.
"""

import io
import itertools
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from clustering import CONFIG, founders
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageEnhance, ImageFont

from preprocessing.analysis.analyse import Analysis, AnalysisConfig, analyse
from preprocessing.analysis.fingerprint import THUMB_PX, fingerprint, mark_inside
from preprocessing.dedup.overlay import ThumbnailPair
from preprocessing.dedup.similarity import similarity
from scraping.offline import landscapes
from scraping.offline.portraits import Makeup, Person, Shot, draw

STUDIO = Shot.seeded(7)
PEOPLE = Path(__file__).resolve().parents[3] / "shared" / "data" / "makeup128" / "B"


def person(seed: int, shot: Shot | None = None) -> NDArray[np.uint8]:
    makeup = Makeup.seeded(seed) if seed % 2 else None
    return draw(Person.seeded(seed), shot or Shot.seeded(seed), makeup)


def turned(pixels: NDArray[np.uint8], degrees: float) -> NDArray[np.uint8]:
    """The whole picture turned, with white corners, as photo editors do it."""
    image = Image.fromarray(pixels)
    return np.asarray(
        image.rotate(degrees, Image.Resampling.BICUBIC, expand=True, fillcolor="white")
    )


def brightened(pixels: NDArray[np.uint8], factor: float) -> NDArray[np.uint8]:
    return np.asarray(ImageEnhance.Brightness(Image.fromarray(pixels)).enhance(factor))


def watermarked(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The picture with a line of half transparent text over the face and one below."""
    image = Image.fromarray(pixels).convert("RGBA")
    layer = Image.new("RGBA", image.size)
    text, font = ImageDraw.Draw(layer), ImageFont.load_default(image.width // 5)
    for height in (0.35, 0.75):
        place = 0.06 * image.width, height * image.height
        text.text(place, "SAMPLE", (255, 255, 255, 140), font)
    return np.asarray(Image.alpha_composite(image, layer).convert("RGB"))


def jpeg(pixels: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


def of_template(seed: int) -> NDArray[np.uint8]:
    """The template: a portrait, and in the place of its face another face in the light of it."""
    template, other = (pixels.astype(np.float64) for pixels in (person(4, STUDIO), person(seed)))
    height, width = template.shape[:2]
    mask = np.zeros((height, width))
    axes = int(0.19 * width), int(0.22 * height)
    cv2.ellipse(mask, (width // 2, int(0.47 * height)), axes, 0, 0, 360, 1.0, -1)
    inside, soft = mask > 0, cv2.GaussianBlur(mask, (0, 0), 0.015 * width)[..., None]
    other = 0.6 * (other - other[inside].mean(axis=0)) + template[inside].mean(axis=0)
    return np.clip(template * (1 - soft) + other * soft, 0, 255).astype(np.uint8)


def whole_pair(inner: NDArray[np.uint8], outer: NDArray[np.uint8]) -> ThumbnailPair:
    """Two pictures without a face that is clear enough to tell people apart."""
    thumbnails = fingerprint(inner).thumbnail, fingerprint(outer).thumbnail
    return ThumbnailPair(*thumbnails, window=0, turns=0, is_mirrored=False, is_of_faces=False)


def analyses_of(pictures: Sequence[NDArray[np.uint8]], folder: Path) -> list[Analysis]:
    analyses = []
    for number, pixels in enumerate(pictures):
        path = folder / f"{number}.png"
        Image.fromarray(pixels).save(path)
        analyses.append(analyse(path, AnalysisConfig.of(CONFIG)))
    return analyses


@pytest.mark.slow
@pytest.mark.parametrize(
    "seeds",
    [
        (0, 3, 6, 9, 16, 22, 24, 26),  # joined when aligned thumbnails alone decided
        (5, 41, 10, 90, 15, 25, 91, 101, 28, 52, 102),  # joined while light and faces decided
        (36, 82, 44, 98, 97, 99, 117, 103, 119),
        (46, 474, 52, 440, 118, 148, 486, 396, 432, 158, 256, 194, 414),  # while light agreed
    ],
)
def test_people_photographed_in_one_studio_are_as_many_people(
    tmp_path: Path, seeds: Sequence[int]
) -> None:
    """The people that were joined before: of each pair pose, light and background are the same."""
    people = [person(seed, STUDIO) for seed in seeds]
    assert founders(analyses_of(people, tmp_path)) == list(range(len(seeds)))


def test_pictures_of_one_template_with_unclear_faces_are_as_many_pictures() -> None:
    """All of them were joined: neither a face nor the light told them apart."""
    pictures = [of_template(seed) for seed in (2, 5, 8, 11)]
    for inner, outer in itertools.combinations(pictures, 2):
        assert similarity(whole_pair(inner, outer)) < CONFIG.doubtful_alike
    for pixels in pictures:
        for copy in (jpeg(pixels, 30), brightened(pixels, 1.2), watermarked(pixels)):
            assert similarity(whole_pair(pixels, copy)) >= CONFIG.duplicate_alike


def test_copies_of_a_portrait_in_a_studio_are_still_found(tmp_path: Path) -> None:
    one, other = person(0, STUDIO), person(16, STUDIO)
    small = cv2.resize(one, None, fx=0.6, fy=0.6, interpolation=cv2.INTER_AREA)
    pictures = [one, other, jpeg(one, 30), np.asarray(small), one[12:-12, 10:-10]]
    assert founders(analyses_of(pictures, tmp_path)) == [0, 1, 0, 0, 0]


def test_copies_so_bright_that_parts_are_white_are_found(tmp_path: Path) -> None:
    originals = [person(seed) for seed in (0, 5, 9, 11)]
    copies = [brightened(pixels, 1.45) for pixels in originals]
    assert founders(analyses_of([*originals, *copies], tmp_path)) == [0, 1, 2, 3] * 2


@pytest.mark.slow
def test_copies_with_a_large_watermark_are_found_and_join_no_two_people(tmp_path: Path) -> None:
    originals = [person(seed, STUDIO) for seed in (0, 3, 6, 9)]
    copies = [watermarked(pixels) for pixels in originals]
    assert founders(analyses_of([*originals, *copies], tmp_path)) == [0, 1, 2, 3] * 2


@pytest.mark.slow
@pytest.mark.parametrize("degrees", [15, -30, 60, 90, 180])
def test_turned_copies_are_found(tmp_path: Path, degrees: float) -> None:
    originals = [person(seed) for seed in (2, 5, 8, 11)]
    copies = [turned(pixels, degrees) for pixels in originals]
    found = founders(analyses_of([*originals, *copies], tmp_path))
    assert found == [0, 1, 2, 3] * 2


@pytest.mark.parametrize("degrees", [-30, 15, 45, 90, 180, 270])
def test_turned_copies_without_a_face_are_found(tmp_path: Path, degrees: float) -> None:
    originals = [landscapes.draw(seed, winter=False, height=240, width=320) for seed in (1, 2)]
    copies = [turned(pixels, degrees) for pixels in originals]
    assert founders(analyses_of([*originals, *copies], tmp_path)) == [0, 1, 0, 1]


def test_faces_at_opposite_edges_of_their_pictures_are_no_pair() -> None:
    """No part of the surroundings lies within both pictures."""
    face = fingerprint(person(2), trim=False).thumbnail
    at_left = np.zeros((THUMB_PX, THUMB_PX), np.bool_)
    at_left[:, : THUMB_PX // 2 - 1] = True
    inner, outer = mark_inside(face, at_left), mark_inside(face, at_left[:, ::-1])
    pair = ThumbnailPair(
        inner, outer, window=0, turns=0, is_mirrored=False, is_of_faces=True,
        inner_face=face, outer_face=face,
    )  # fmt: skip
    assert similarity(pair) == -1


def test_drawn_people_with_like_faces_before_other_backgrounds_are_two(tmp_path: Path) -> None:
    """The pairs of 600 drawn people that were joined by their aligned faces alone."""
    people = [person(seed) for seed in (36, 82, 26, 340)]
    assert founders(analyses_of(people, tmp_path)) == [0, 1, 2, 3]


@pytest.mark.slow
@pytest.mark.skipif(not PEOPLE.is_dir(), reason="the faces of makeup128 (shared/data) are absent")
def test_real_people_are_not_taken_for_one_another(tmp_path: Path) -> None:
    """Aligned faces of people photographed alike; each name is another person."""
    paths = [path for path in sorted(PEOPLE.glob("*_n.jpg")) if path.stem.count("_") == 1][:120]
    found = founders([analyse(path, AnalysisConfig.of(CONFIG)) for path in paths])
    assert [(paths[k].name, paths[f].name) for k, f in enumerate(found) if k != f] == []
