"""Each picture is judged by the others: those that look like the other side score low."""

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from preprocessing.selection.side_scores import LEAST_PICTURES, ScoredPicture, score_sides

NUM_FEATURES = 24
NUM = 100  # pictures of each side


def pictures(num: int = NUM) -> list[ScoredPicture]:
    return [
        ScoredPicture(hashlib.sha256(f"{side}{number}".encode()).hexdigest(), 0, side)
        for side in "AB"
        for number in range(num)
    ]


class Features:
    """Features of originals: side B lies beside side A, and ``swapped`` ones on the other side."""

    def __init__(self, listed: Sequence[ScoredPicture], swapped: Sequence[str] = ()) -> None:
        rng = np.random.default_rng(0)
        self._rows = dict[str, bytes]()
        for picture in listed:
            is_b = (picture.side == "B") != (picture.sha256 in swapped)
            row = rng.normal(0, 1, NUM_FEATURES) + 1.2 * is_b
            self._rows[picture.sha256] = row.astype(np.float16).tobytes()

    def __call__(self, names: Sequence[str]) -> Mapping[str, bytes]:
        return {name: self._rows[name] for name in names if name in self._rows}

    def remove(self, name: str) -> None:
        del self._rows[name]


def test_swapped_pictures_score_lowest_although_nobody_said_which_they_are() -> None:
    listed = pictures()
    swapped = [picture.sha256 for picture in listed[::20]]
    scores = score_sides(listed, Features(listed, swapped), NUM_FEATURES)
    assert scores.keys() == set(listed)
    lowest = sorted(scores, key=lambda picture: scores[picture])[: len(swapped)]
    assert len({picture.sha256 for picture in lowest} & set(swapped)) >= len(swapped) - 1
    assert max(scores[picture] for picture in lowest) < 0.2
    others = [value for picture, value in scores.items() if picture.sha256 not in swapped]
    assert np.mean(others) > 0.9


def test_no_picture_is_judged_by_a_model_that_was_fitted_to_it() -> None:
    """Sides that differ in nothing get no certain scores, as a fit to noise would give."""
    listed = pictures()
    rng = np.random.default_rng(1)
    rows = {p.sha256: rng.normal(0, 1, 400).astype(np.float16).tobytes() for p in listed}
    scores = score_sides(listed, lambda names: {name: rows[name] for name in names}, 400)
    assert np.mean([value > 0.5 for value in scores.values()]) == pytest.approx(0.5, abs=0.12)


def test_the_order_of_the_pictures_does_not_matter() -> None:
    listed = pictures(40)
    features = Features(listed)
    first = score_sides(listed, features, NUM_FEATURES)
    assert score_sides(listed[::-1], features, NUM_FEATURES) == first


def test_few_pictures_are_not_scored() -> None:
    listed = [p for p in pictures() if p.side == "A"] + pictures(LEAST_PICTURES - 1)[-19:]
    assert score_sides(listed, Features(listed), NUM_FEATURES) == {}


def test_a_picture_without_features_has_no_score_and_costs_no_other_its_own() -> None:
    listed = pictures(40)
    features = Features(listed)
    features.remove(listed[3].sha256)
    assert score_sides(listed, features, NUM_FEATURES).keys() == set(listed) - {listed[3]}


def test_each_face_of_an_original_has_its_own_features() -> None:
    listed = pictures(40)
    features = Features(listed)
    other = next(p.sha256 for p in listed if p.side == "B")
    name = listed[0].sha256
    both = features([name])[name] + features([other])[other]
    second = ScoredPicture(name, 1, "A")
    scores = score_sides(
        [*listed, second],
        lambda names: {**features(names), **({name: both} if name in names else {})},
        NUM_FEATURES,
    )
    assert scores[listed[0]] > 0.5 > scores[second]
