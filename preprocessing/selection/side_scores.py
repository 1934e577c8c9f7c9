"""The probability that a picture belongs to its own side, by a classifier of the other pictures.

A picture that the search of one domain found, but that shows the other, teaches the wrong thing.
Nobody labels pictures, so each one is judged by a regularised logistic regression that was fitted
to the rest of the dataset: five models, each without the fifth of the originals that it judges.
``benchmarks/wrong_sides.py`` measures how many pictures that were swapped on purpose it finds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.tables import groups
from preprocessing.selection.logistic_regression import fit_logistic
from preprocessing.selection.originals import SIDES

LEAST_PICTURES = 20  # of each side; with fewer nothing is scored
_NUM_FOLDS = 5
_PICTURES_TO_FIT = 2000  # of each side at most
_PENALTIES = (1e-5, 1e-4, 1e-3)  # of weights on features that are divided by their number's root
_PICTURES_PER_BATCH = 1000  # with features in memory, beyond those to fit to

LoadFeatures = Callable[[Sequence[str]], Mapping[str, bytes]]
"""``Analysis.features`` of originals by sha256."""


@dataclass(frozen=True, order=True, slots=True)
class ScoredPicture:
    """A picture on its side: the sha256 of the original, and the number of the face (-1: none)."""

    sha256: str
    face: int
    side: str

    @property
    def fold(self) -> int:
        """The number of the model that is fitted without the original."""
        return int(self.sha256[:8], 16) % _NUM_FOLDS


def score_sides(
    pictures: Sequence[ScoredPicture], load_features: LoadFeatures, num_features: int
) -> dict[ScoredPicture, float]:
    """The probability of each picture's own side, 0 to 1.

    It is empty where a side has fewer than ``LEAST_PICTURES``, or where these are all of one fold.
    Pictures without features have no score. ``num_features`` is their number for each picture.
    """
    pictures = sorted(pictures)  # by digest, which is a random order
    sample = [
        picture
        for side in SIDES
        for picture in [p for p in pictures if p.side == side][:_PICTURES_TO_FIT]
    ]
    judged, x = _features(sample, load_features, num_features)
    is_b = np.array([picture.side == "B" for picture in judged], np.float64)
    folds = np.array([picture.fold for picture in judged], np.int64)
    if not _has_enough(is_b, folds):
        return {}
    penalty = min(_PENALTIES, key=lambda each: _log_loss(x, is_b, folds, each))
    models = [_fit(x[folds != k], is_b[folds != k], penalty) for k in range(_NUM_FOLDS)]
    scores = dict[ScoredPicture, float]()
    for batch in groups(pictures, _PICTURES_PER_BATCH):
        part, features = _features(batch, load_features, num_features)
        margins = {k: models[k](features) for k in {picture.fold for picture in part}}
        for place, picture in enumerate(part):
            margin = margins[picture.fold][place]
            own = margin if picture.side == "B" else -margin
            scores[picture] = round(float(1 / (1 + np.exp(-np.clip(own, -60, 60)))), 4)
    return scores


_Margin = Callable[[NDArray[np.float64]], NDArray[np.float64]]


def _fit(x: NDArray[np.float64], is_b: NDArray[np.float64], penalty: float) -> _Margin:
    return fit_logistic(x, is_b, penalty * x.shape[1] ** 2).margin


def _log_loss(
    x: NDArray[np.float64], is_b: NDArray[np.float64], folds: NDArray[np.int64], penalty: float
) -> float:
    """The mean log loss of pictures that the model was not fitted to, balanced over the sides."""
    margin = np.empty(len(x))
    for fold in range(_NUM_FOLDS):
        held_out = folds == fold
        if held_out.any():
            margin[held_out] = _fit(x[~held_out], is_b[~held_out], penalty)(x[held_out])
    loss = np.logaddexp(0, np.where(is_b == 1, -margin, margin))
    return float(loss[is_b == 1].mean() + loss[is_b == 0].mean()) / 2


def _has_enough(is_b: NDArray[np.float64], folds: NDArray[np.int64]) -> bool:
    """Whether each model has both sides to fit to, and each side enough pictures."""
    return all((is_b == side).sum() >= LEAST_PICTURES for side in (0, 1)) and all(
        ((is_b == side) & (folds != fold)).any() for side in (0, 1) for fold in range(_NUM_FOLDS)
    )


def _features(
    pictures: Sequence[ScoredPicture], load_features: LoadFeatures, num_features: int
) -> tuple[list[ScoredPicture], NDArray[np.float64]]:
    """The pictures that have features, and these, ``[N, num_features]``."""
    with_features, rows = list[ScoredPicture](), list[NDArray[np.float64]]()
    for picture, row in _rows(pictures, load_features, num_features):
        with_features.append(picture)
        rows.append(row)
    return with_features, np.stack(rows) if rows else np.empty((0, num_features))


def _rows(
    pictures: Sequence[ScoredPicture], load_features: LoadFeatures, num_features: int
) -> Iterator[tuple[ScoredPicture, NDArray[np.float64]]]:
    for batch in groups(pictures, _PICTURES_PER_BATCH):
        loaded = load_features(sorted({picture.sha256 for picture in batch}))
        for picture in batch:
            stored = np.frombuffer(loaded.get(picture.sha256, b""), np.float16)
            place = max(picture.face, 0) * num_features
            row = stored[place : place + num_features].astype(np.float64)
            if len(row) == num_features and np.isfinite(row).all():
                yield picture, row
