"""Most pairs end before their thumbnails are aligned, and none of them is a copy.

What is compared is what a preparation compares: the pairs that hashes propose among people and
their copies.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest
from clustering import CONFIG, hash_columns
from numpy.typing import NDArray
from PIL import Image, ImageEnhance

from preprocessing.analysis.analyse import Analysis, AnalysisConfig, analyse
from preprocessing.analysis.fingerprint import thumbnail_of
from preprocessing.dedup.candidates import find_candidates
from preprocessing.dedup.colours import compare_colours
from preprocessing.dedup.overlay import ThumbnailPair, thumbnail_pairs
from preprocessing.dedup.screening import unaligned_similarities
from preprocessing.dedup.similarity import aligned_similarity
from scraping.offline.portraits import Makeup, Person, Shot, draw


def pictures() -> Iterator[NDArray[np.uint8]]:
    """People in one studio and elsewhere, each with a copy: smaller, mirrored, cropped, edited."""
    for seed in range(14):
        shot = Shot.seeded(7 if seed % 2 else seed)
        pixels = draw(Person.seeded(seed), shot, Makeup.seeded(seed) if seed % 3 else None)
        image = Image.fromarray(pixels)
        copies = (
            image.resize((image.width // 2, image.height // 2)),
            image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
            image.crop((12, 14, image.width - 10, image.height - 9)),
            ImageEnhance.Color(image).enhance(1.25),
        )
        yield pixels
        yield np.asarray(copies[seed % 4])


@dataclass(frozen=True)
class Candidates:
    """Pairs that hashes propose."""

    pairs: list[ThumbnailPair]
    are_strangers: NDArray[np.bool_]  # [P], two people in two places


@pytest.fixture(scope="module")
def candidates(tmp_path_factory: pytest.TempPathFactory) -> Candidates:
    folder, analyses = tmp_path_factory.mktemp("people"), list[Analysis]()
    for number, pixels in enumerate(pictures()):
        Image.fromarray(pixels).save(folder / f"{number}.png")
        analyses.append(analyse(folder / f"{number}.png", AnalysisConfig.of(CONFIG)))
    found = find_candidates(hash_columns(analyses), CONFIG.duplicate_bits)
    people = found["inner"] // 2, found["outer"] // 2
    in_studio = people[0] % 2 & people[1] % 2 > 0
    return Candidates(
        thumbnail_pairs(found, lambda k, part: thumbnail_of(analyses[k].thumbnails, part)),
        (people[0] != people[1]) & ~in_studio,
    )


@pytest.mark.slow
def test_no_pair_that_ends_early_is_a_copy(candidates: Candidates) -> None:
    early = ~np.isnan(unaligned_similarities(candidates.pairs))
    assert early.sum() > 50
    values = [aligned_similarity(candidates.pairs[k]) for k in np.flatnonzero(early)]
    assert max(values) < CONFIG.doubtful_alike


@pytest.mark.slow
def test_most_pairs_of_two_people_end_before_an_alignment(candidates: Candidates) -> None:
    """Before, one in four did."""
    is_open = np.isnan(unaligned_similarities(candidates.pairs))
    assert candidates.are_strangers.sum() > 50
    assert is_open[candidates.are_strangers].mean() < 0.4


@pytest.mark.slow
def test_a_pair_that_ends_early_is_not_even_doubtful(candidates: Candidates) -> None:
    assert np.nanmax(unaligned_similarities(candidates.pairs)) < CONFIG.doubtful_alike / 2


@pytest.mark.slow
def test_a_pair_has_the_same_value_alone_and_among_others(candidates: Candidates) -> None:
    pairs = candidates.pairs
    alone = np.concatenate([unaligned_similarities([pair]) for pair in pairs[:40]])
    np.testing.assert_allclose(unaligned_similarities(pairs)[:40], alone, atol=1e-5)


def test_of_no_pairs_nothing_is_compared() -> None:
    assert len(unaligned_similarities([])) == 0


def test_colours_are_compared_where_both_pictures_are() -> None:
    """Against NumPy's own correlation, pair by pair."""
    rng = np.random.default_rng(0)
    inner = rng.normal(40, 20, (3, 256, 3)).astype(np.float32)
    outer = (0.7 * inner + rng.normal(3, 9, inner.shape)).astype(np.float32)
    inside = rng.random((3, 256)) < 0.6
    inner[~inside], outer[~inside] = 900, -900  # what lies outside counts nothing
    gaps = compare_colours(inner, outer, inside)
    for k in range(3):
        left, right = inner[k][inside[k]], outer[k][inside[k]]
        light = np.corrcoef(left[:, 0], right[:, 0])[0, 1]
        centred = [(side - side.mean(axis=0))[:, 1:].ravel() for side in (left, right)]
        shifts = np.abs(left.mean(axis=0) - right.mean(axis=0))[1:]
        np.testing.assert_allclose(
            [gaps.shift[k], gaps.light[k], gaps.colour[k]],
            [shifts.max(), light, np.corrcoef(*centred)[0, 1]],
            atol=1e-3,
        )


def test_the_colours_of_a_grey_picture_contradict_nothing() -> None:
    rng = np.random.default_rng(0)
    grey = rng.normal(0, 1, (1, 256, 3)).astype(np.float32) * (20, 0.5, 0.5)
    coloured = rng.normal(0, 20, (1, 256, 3)).astype(np.float32)
    inside = np.ones((1, 256), bool)
    assert compare_colours(grey.astype(np.float32), coloured, inside).colour == 1
    assert compare_colours(coloured, coloured[:, ::-1], inside).colour < 0.5
