"""What a model remembers of its training pictures: where their features lie, and who drew them.

Of each domain the file holds a mean and the main directions of its features (a probabilistic PCA,
Tipping & Bishop 1999), the distance below which most held-out training pictures lie, and how many
of the pictures the offline engine drew. It holds no picture and no picture's features.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from core.files import atomic_file
from core.tables import Picture
from evaluation.arrays import Array

VERSION = "1"  # raise it when a file of the same pictures has another content
LEAST_PICTURES = 20  # of a domain; fewer do not tell how far apart they lie
QUANTILE = 0.98  # of held-out training pictures that count as like the others
_RANK = 8
_NUM_FOLDS = 5


class TrainedOn(StrEnum):
    """The origin of a model's training pictures."""

    DRAWINGS = "drawings"  # half or more were drawn by the offline engine
    SOME_DRAWINGS = "some-drawings"
    NO_DRAWINGS = "no-drawings"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class FeatureCloud:
    """The features of one domain's training pictures, each scaled to length 1, as a Gaussian."""

    mean: NDArray[np.float32]  # [D]
    directions: NDArray[np.float32]  # [K, D], orthonormal
    variances: NDArray[np.float32]  # [K], along the directions
    rest: float  # variance across all others
    threshold: float = 1.0  # distance of a held-out training picture at ``QUANTILE``

    @classmethod
    def fit(cls, features: Array, quantile: float = QUANTILE) -> Self | None:
        """The cloud of features ``[N, D]``; ``None`` for fewer than ``LEAST_PICTURES``.

        The threshold is measured on pictures that the cloud was not fitted to, fold by fold: the
        share ``quantile`` of them lies below.
        """
        if len(features) < LEAST_PICTURES:
            return None
        units = _unit(features)
        fold = np.random.default_rng(0).permutation(len(units)) % _NUM_FOLDS
        distances = np.empty(len(units))
        for number in range(_NUM_FOLDS):
            cloud = cls._of(units[fold != number])
            distances[fold == number] = _distances(cloud, units[fold == number])
        return replace(cls._of(units), threshold=float(np.quantile(distances, quantile)))

    @classmethod
    def _of(cls, units: Array) -> Self:
        mean = units.mean(axis=0)
        centred = units - mean
        rank = min(_RANK, len(units) // 4)
        directions, variances = _main_directions(centred, rank)
        rest = (centred**2).sum() / (len(units) - 1) - variances.sum()
        floor = 1e-9  # pictures that are all the same
        return cls(
            mean.astype(np.float32),
            directions.astype(np.float32),
            np.maximum(variances, floor).astype(np.float32),
            max(float(rest), floor),
        )

    def ratios(self, features: Array) -> Array:
        """``[N, D]`` → ``[N]``: distances as multiples of the threshold; above 1 is unlike."""
        return _distances(self, _unit(features)) / self.threshold


@dataclass(frozen=True)
class DomainStatistics:
    """What is known of one domain's training pictures."""

    domain: str
    num_pictures: int
    num_drawn: int | None  # drawn by the offline engine; None: no page is recorded for any
    cloud: FeatureCloud | None  # None: too few pictures

    @classmethod
    def of(cls, rows: Sequence[Picture], features: Array) -> Self:
        """The statistics of training pictures, at least one, and of their features ``[N, D]``."""
        is_recorded = any(row.page_url for row in rows)
        return cls(
            domain=rows[0].domain,
            num_pictures=len(rows),
            num_drawn=sum(row.is_drawn for row in rows) if is_recorded else None,
            cloud=FeatureCloud.fit(features),
        )


@dataclass(frozen=True)
class TrainingStatistics:
    """The training pictures of a model; ``sides`` has those of ``"A"`` and ``"B"``."""

    extractor: str  # ``Extractor.identity`` of the features
    px: int  # side of the pictures that the features were computed of
    sides: Mapping[str, DomainStatistics]

    @property
    def trained_on(self) -> TrainedOn:
        """The origin of the training pictures."""
        share = self.drawn_share
        if share is None:
            return TrainedOn.UNKNOWN
        if share >= 0.5:
            return TrainedOn.DRAWINGS
        return TrainedOn.SOME_DRAWINGS if share else TrainedOn.NO_DRAWINGS

    @property
    def drawn_share(self) -> float | None:
        """Share of the training pictures that the offline engine drew; ``None``: not recorded."""
        recorded = [each for each in self.sides.values() if each.num_drawn is not None]
        num_pictures = sum(each.num_pictures for each in recorded)
        if not num_pictures:
            return None
        return sum(each.num_drawn or 0 for each in recorded) / num_pictures

    @property
    def can_judge(self) -> bool:
        """Whether it can tell how far a picture lies from the training pictures."""
        return any(each.cloud for each in self.sides.values())

    def ratios(self, features: Array) -> Array:
        """``[N, D]`` → ``[N]``: distances from the nearer domain, as multiples of its threshold.

        At least one domain must have a cloud (``can_judge``).
        """
        clouds = [each.cloud for each in self.sides.values() if each.cloud]
        return np.asarray(np.min([cloud.ratios(features) for cloud in clouds], axis=0))


def save_statistics(path: Path, statistics: TrainingStatistics) -> None:
    """Write the statistics as safetensors, atomically; the names and counts are its metadata."""
    tensors: dict[str, NDArray[np.float32]] = {}
    sides: dict[str, Any] = {}
    for side, each in statistics.sides.items():
        sides[side] = {
            "domain": each.domain,
            "num_pictures": each.num_pictures,
            "num_drawn": each.num_drawn,
        }
        if each.cloud:
            sides[side] |= {"rest": each.cloud.rest, "threshold": each.cloud.threshold}
            tensors[f"{side}.mean"] = each.cloud.mean
            tensors[f"{side}.directions"] = np.ascontiguousarray(each.cloud.directions)
            tensors[f"{side}.variances"] = each.cloud.variances
    metadata = {
        "version": VERSION,
        "extractor": statistics.extractor,
        "px": str(statistics.px),
        "sides": json.dumps(sides, ensure_ascii=False),
    }
    with atomic_file(path) as file:
        file.write(save(tensors, metadata))


def statistics_to_json(statistics: TrainingStatistics) -> dict[str, Any]:
    """The statistics for programs without this package: everything, in lists of numbers.

    ``docs/using-a-model.md`` describes the distance that they are for.
    """
    sides: dict[str, Any] = {}
    for side, each in statistics.sides.items():
        sides[side] = {
            "domain": each.domain,
            "num_pictures": each.num_pictures,
            "num_drawn": each.num_drawn,
        }
        if each.cloud:
            sides[side] |= {
                "mean": _listed(each.cloud.mean),
                "directions": [_listed(direction) for direction in each.cloud.directions],
                "variances": _listed(each.cloud.variances),
                "rest": each.cloud.rest,
                "threshold": each.cloud.threshold,
            }
    return {
        "version": VERSION,
        "trained_on": statistics.trained_on,
        "features": statistics.extractor,
        "px": statistics.px,
        "sides": sides,
    }


def _listed(values: NDArray[np.float32]) -> list[float]:
    """The numbers with seven significant digits, all that float32 has."""
    return [float(f"{value:.7g}") for value in values]


def load_statistics(path: Path) -> TrainingStatistics | None:
    """The statistics in ``path``; ``None`` for no file, a damaged one, or one of another version.

    A model without them is used as any other; only what they tell is unknown.
    """
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="np") as file:
            metadata = file.metadata() or {}
            if metadata.get("version") != VERSION:
                return None
            sides = {
                side: DomainStatistics(
                    str(each["domain"]),
                    int(each["num_pictures"]),
                    None if each["num_drawn"] is None else int(each["num_drawn"]),
                    _load_cloud(file, side, each),
                )
                for side, each in json.loads(metadata["sides"]).items()
            }
            return TrainingStatistics(metadata["extractor"], int(metadata["px"]), sides)
    except (OSError, SafetensorError, KeyError, TypeError, ValueError):
        return None


def _load_cloud(file: Any, side: str, values: Mapping[str, Any]) -> FeatureCloud | None:
    if "threshold" not in values:
        return None
    return FeatureCloud(
        mean=file.get_tensor(f"{side}.mean"),
        directions=file.get_tensor(f"{side}.directions"),
        variances=file.get_tensor(f"{side}.variances"),
        rest=float(values["rest"]),
        threshold=float(values["threshold"]),
    )


def _distances(cloud: FeatureCloud, units: Array) -> Array:
    """The distance ``[N]`` of each row from the mean; about 1 for a training picture.

    Its square is the mean of two squares, in units of their variances: along the main directions,
    and across them, where most that is odd in a picture shows.
    """
    centred = units - cloud.mean
    along = centred @ cloud.directions.T
    inside = (along**2 / cloud.variances).mean(axis=1)
    outside = np.maximum((centred**2).sum(axis=1) - (along**2).sum(axis=1), 0) / cloud.rest
    return np.asarray(np.sqrt((inside + outside) / 2))


def _unit(features: Array) -> Array:
    """Each row scaled to length 1: how strongly a network responds says less than to what."""
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    return np.asarray(features / np.maximum(lengths, 1e-12))


def _main_directions(centred: Array, rank: int) -> tuple[Array, Array]:
    """The ``rank`` main directions ``[K, D]`` of rows ``[N, D]``, and the variances along them."""
    num, width = centred.shape
    if num <= width:  # the smaller of both matrices of products has the same variances
        values, vectors = np.linalg.eigh(centred @ centred.T)
        values, vectors = values[-rank:], vectors[:, -rank:]
        lengths = np.sqrt(np.maximum(values, 1e-12))
        directions = (vectors / lengths).T @ centred
    else:
        values, vectors = np.linalg.eigh(centred.T @ centred)
        values, directions = values[-rank:], vectors[:, -rank:].T
    return directions[::-1], np.maximum(values[::-1], 0) / (num - 1)
