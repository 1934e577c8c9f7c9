"""The parts of ``scores.json`` (``scores.py``): figures and small records, to and from JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any


@dataclass(frozen=True)
class Figure:
    """A measured value with its 95 % interval (``low`` ≤ ``high``)."""

    value: float
    low: float
    high: float


Value = Figure | float
"""A figure; a plain number has no interval."""

Figures = dict[str, Value]
"""Figures by key."""


@dataclass(frozen=True)
class Comparison:
    """One metric of translated, of untranslated and of real pictures; ``None``: not measured."""

    translated: Value | None
    untranslated: Value | None
    real: Value | None


@dataclass(frozen=True)
class Shortage:
    """Too few pictures for a figure: how many there are, and how many it takes."""

    num_pictures: int
    num_needed: int


@dataclass(frozen=True)
class FeatureNetwork:
    """The network whose features FID and KID compare."""

    name: str
    comparable_with_published: bool


@dataclass(frozen=True)
class ClassifierScores:
    """How well the classifier of the two domains judges real pictures."""

    accuracy: Figure  # on held-out pictures of both sides
    cross_validated_accuracy: float  # among its training pictures
    num_pictures: int  # held-out ones


class NoChampion(StrEnum):
    """Why there is no champion to compare with."""

    NONE = "none"
    ITSELF = "itself"
    DOMAINS = "domains"
    DAMAGED = "damaged"


@dataclass(frozen=True)
class MissingChampion:
    """No champion was compared with; ``detail`` is the error of a damaged one."""

    reason: NoChampion
    detail: str = ""


NO_CHAMPION = MissingChampion(NoChampion.NONE)


@dataclass(frozen=True)
class ComparedChampion:
    """The champion that was measured on the same pictures."""

    model: str
    dataset: str
    step: int
    num_trained_on: int | None  # of the held-out pictures; None: unknown


@dataclass(frozen=True)
class WeightsChoice:
    """Which of a checkpoint's weights were measured: ``raw`` or ``averaged``."""

    chosen: str = "raw"
    kid_to_training: dict[str, float] = field(default_factory=dict)  # of each kind, if compared


@dataclass(frozen=True)
class ModelComparison:
    """KID of another model's translations, and ours less theirs, paired (below 0: ours is better).

    Both are ``None`` where too few pictures left them out.
    """

    kid: Figure | None = None
    kid_change: Figure | None = None


@dataclass(frozen=True)
class TruthScores:
    """Figures of pictures whose true counterpart is known."""

    num_pictures: int
    num_with_regions: int  # of them, those whose eyes and lips are known
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


def comparison(figures: Mapping[str, Value], key: str) -> Comparison:
    """The metric ``key`` of translated, untranslated and real pictures."""
    return Comparison(*(figures.get(f"{key}{ending}") for ending in ("", "_baseline", "_ceiling")))


def is_figure(value: Any) -> bool:
    """Whether ``value`` is a figure as ``scores.json`` holds it."""
    if isinstance(value, Mapping):
        return "value" in value
    return isinstance(value, int | float) and not isinstance(value, bool)


def figures_from_json(values: Mapping[str, Any], except_for: tuple[str, ...] = ()) -> Figures:
    """The figures among ``values``, by key."""
    return {
        key: figure_from_json(value) if isinstance(value, Mapping) else value
        for key, value in values.items()
        if key not in except_for and is_figure(value)
    }


def figure_from_json(value: Mapping[str, Any]) -> Figure:
    """A figure; the oldest scores have no intervals."""
    middle = float(value["value"])
    return Figure(middle, float(value.get("low", middle)), float(value.get("high", middle)))


def figures_to_json(figures: Figures) -> dict[str, Any]:
    """``figures`` as ``scores.json`` holds them."""
    return {
        key: asdict(value) if isinstance(value, Figure) else value for key, value in figures.items()
    }


def with_figures(values: dict[str, Any]) -> dict[str, Any]:
    """``values`` with its ``figures`` beside the other keys."""
    figures: dict[str, Any] = values.pop("figures")
    return values | figures


def comparison_to_json(value: ModelComparison) -> dict[str, Any]:
    """What ``scores.json`` holds of a comparison: the figures that there are."""
    return {name: figure for name, figure in asdict(value).items() if figure is not None}


def comparison_from_json(value: Mapping[str, Any] | None) -> ModelComparison | None:
    """The comparison that ``value`` describes, if any."""
    if value is None:
        return None
    return ModelComparison(
        **{name: figure_from_json(value[name]) for name in ("kid", "kid_change") if name in value}
    )


def network_from_json(value: Mapping[str, Any]) -> FeatureNetwork | None:
    """The network that ``value`` describes, if any."""
    if "name" not in value:
        return None
    return FeatureNetwork(str(value["name"]), bool(value.get("comparable_with_published", False)))


def classifier_from_json(value: Mapping[str, Any]) -> ClassifierScores | None:
    """The figures of the classifier that ``value`` describes, if any."""
    if "accuracy" not in value:
        return None
    return ClassifierScores(
        figure_from_json(value["accuracy"]),
        float(value["cross_validated_accuracy"]),
        int(value["num_pictures"]),
    )


def champion_from_json(value: Mapping[str, Any]) -> ComparedChampion | MissingChampion:
    """The champion that ``value`` describes, or why there is none."""
    if "model" in value:
        trained_on = value.get("num_trained_on")
        return ComparedChampion(
            str(value["model"]),
            str(value.get("dataset", "")),
            int(value.get("step", 0)),
            None if trained_on is None else int(trained_on),
        )
    text = str(value.get("missing", NoChampion.NONE))
    if text in set(NoChampion) - {NoChampion.DAMAGED}:
        return MissingChampion(NoChampion(text))
    return MissingChampion(NoChampion.DAMAGED, text)


def champion_to_json(champion: ComparedChampion | MissingChampion) -> dict[str, Any]:
    """What ``scores.json`` holds of the champion."""
    if isinstance(champion, ComparedChampion):
        return asdict(champion)
    return {"missing": champion.detail or champion.reason.value}


def weights_from_json(value: Mapping[str, Any]) -> WeightsChoice:
    """The choice of weights that ``value`` describes."""
    return WeightsChoice(str(value.get("chosen", "raw")), dict(value.get("kid_to_training", {})))
