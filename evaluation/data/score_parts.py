"""The parts of ``scores.json`` beside a direction's figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from evaluation.figures import Figure, Figures, load_figure


@dataclass(frozen=True)
class Shortage:
    """Too few pictures for a figure: their number, and the number that it needs."""

    num_pictures: int
    num_needed: int


@dataclass(frozen=True)
class FeatureNetwork:
    """The network whose features FID and KID compare."""

    name: str
    comparable_with_published: bool


@dataclass(frozen=True)
class ClassifierScores:
    """The accuracy of the classifier of the two domains on real pictures."""

    accuracy: Figure  # on held-out pictures of both sides
    cross_validated_accuracy: float  # among its training pictures
    num_pictures: int  # held-out ones


@dataclass(frozen=True)
class WeightsChoice:
    """The weights of a checkpoint that were measured: ``raw`` or ``averaged``."""

    chosen: str = "raw"
    kid_to_training: dict[str, float] = field(default_factory=dict)  # of each kind, if compared


@dataclass(frozen=True)
class ModelComparison:
    """KID of another model's translations, and the paired difference, this model's minus the
    other's (below 0: this model is better).

    All are ``None`` for too few pictures.
    """

    kid: Figure | None = None
    kid_change: Figure | None = None
    own_kid: Figure | None = None  # where other translations than those measured were compared

    def to_json(self) -> dict[str, Any]:
        """What ``scores.json`` holds of it."""
        return {name: figure for name, figure in asdict(self).items() if figure is not None}


@dataclass(frozen=True)
class TruthScores:
    """Figures of pictures whose true counterpart is known."""

    num_pictures: int
    num_with_regions: int  # number of those whose eyes and lips are known
    figures: Figures


@dataclass(frozen=True)
class PairScores:
    """Figures of pictures with another photograph of the same in the target domain."""

    num_pairs: int
    figures: Figures


@dataclass(frozen=True)
class GalleryEntry:
    """One input of the gallery: its rank (higher is better) and its files, by column."""

    rank: float | None
    files: dict[str, str]  # relative to the evaluation's folder


def load_model_comparison(value: Mapping[str, Any] | None) -> ModelComparison | None:
    """The comparison that ``scores.json`` holds; ``None`` for none."""
    if value is None:
        return None
    names = ("kid", "kid_change", "own_kid")
    return ModelComparison(**{name: load_figure(value[name]) for name in names if name in value})


def load_network(value: Mapping[str, Any]) -> FeatureNetwork | None:
    """The network that ``scores.json`` names; ``None`` for none."""
    if "name" not in value:
        return None
    return FeatureNetwork(str(value["name"]), bool(value.get("comparable_with_published", False)))


def load_classifier(value: Mapping[str, Any]) -> ClassifierScores | None:
    """The classifier's figures in ``scores.json``; ``None`` for none."""
    if "accuracy" not in value:
        return None
    return ClassifierScores(
        load_figure(value["accuracy"]),
        float(value["cross_validated_accuracy"]),
        int(value["num_pictures"]),
    )
