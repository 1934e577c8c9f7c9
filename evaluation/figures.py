"""Figures: measured values with their intervals, and their form in ``scores.json``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Figure:
    """A measured value with its 95 % interval (``low`` ≤ ``high``)."""

    value: float
    low: float
    high: float


Value = Figure | float
"""A figure with an interval, or a plain number without one."""

Figures = dict[str, Value]
"""Figures by key."""


@dataclass(frozen=True)
class Comparison:
    """One metric of translated, of untranslated and of real pictures; ``None``: not measured."""

    translated: Value | None
    untranslated: Value | None
    real: Value | None


def comparison(figures: Mapping[str, Value], key: str, beside: str = "") -> Comparison:
    """The metric ``key`` of translated, untranslated and real pictures.

    With ``beside`` the figures of untranslated and real pictures are that metric's.
    """
    floor = beside or key
    return Comparison(
        figures.get(key), figures.get(f"{floor}_baseline"), figures.get(f"{floor}_ceiling")
    )


def is_figure(value: Any) -> bool:
    """Whether a value of ``scores.json`` is a figure or a plain number."""
    if isinstance(value, Mapping):
        return "value" in value
    return isinstance(value, int | float) and not isinstance(value, bool)


def load_figures(values: Mapping[str, Any], except_for: tuple[str, ...] = ()) -> Figures:
    """The figures among ``values``, a part of ``scores.json``."""
    return {
        key: load_figure(value) if isinstance(value, Mapping) else value
        for key, value in values.items()
        if key not in except_for and is_figure(value)
    }


def load_figure(value: Mapping[str, Any]) -> Figure:
    """A figure; the oldest scores have no intervals."""
    middle = float(value["value"])
    return Figure(middle, float(value.get("low", middle)), float(value.get("high", middle)))


def figures_to_json(figures: Figures) -> dict[str, Any]:
    """The figures in the form of ``scores.json``."""
    return {
        key: asdict(value) if isinstance(value, Figure) else value for key, value in figures.items()
    }
