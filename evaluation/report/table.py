"""The report's table of figures: rows in groups, each with a small plot on an axis of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from evaluation.report.wording import figure_parts

_Row = tuple[str, str]  # key in the scores; which way is better: "lower", "higher" or ""

GROUPS: tuple[tuple[str, tuple[_Row, ...]], ...] = (
    (
        "group_distance",
        (
            ("kid", "lower"),
            ("kid_change", "lower"),
            ("fid", "lower"),
            ("inception_kid", "lower"),
            ("inception_fid", "lower"),
        ),
    ),
    (
        "group_target",
        (
            ("domain_success", "higher"),
            ("lips_colour", "lower"),
            ("eyes_colour", "lower"),
            ("cheeks_colour", "lower"),
        ),
    ),
    (
        "group_kept",
        (
            ("content", "higher"),
            ("content_found", "higher"),
            ("identity", "lower"),
            ("cycle_l1", "lower"),
            ("cycle_psnr", "higher"),
            ("cycle_ssim", "higher"),
        ),
    ),
    (
        "group_change",
        (
            ("change_l1", ""),
            ("change_lips", ""),
            ("change_eyes", ""),
            ("change_cheeks", ""),
            ("change_outside", ""),
            ("change_focus", ""),
        ),
    ),
    ("group_copies", (("near_training", "lower"),)),
)
TRUTH = (
    ("lip_eye_error", "lower"),
    ("lip_eye_error_reduction", "higher"),
    ("outside_error", "lower"),
    ("error", "lower"),
    ("error_reduction", "higher"),
)
PAIRS = (
    ("pair_content", "higher"),
    ("pair_identity", "lower"),
    ("pair_lips_colour", "lower"),
    ("pair_lips_reduction", "higher"),
    ("pair_eyes_colour", "lower"),
    ("pair_eyes_reduction", "higher"),
    ("pair_cheeks_colour", "lower"),
    ("pair_cheeks_reduction", "higher"),
)
_SHARES = ("reduction", "domain_success", "near_training", "content_found")
_KINDS = (("translated", ""), ("untranslated", "_baseline"), ("real", "_ceiling"))


def groups(direction: Mapping[str, Any], words: Mapping[str, str]) -> list[dict[str, Any]]:
    """Groups ``{title, rows}`` of everything that was measured of a direction."""
    truth, pairs = direction.get("truth", {}), direction.get("pairs", {})
    found = [(words[title], rows(direction, keys, words)) for title, keys in GROUPS]
    if truth:
        title = words["group_truth"].format(num=truth["num_pictures"])
        found.append((title, rows(truth, TRUTH, words)))
    if pairs:
        title = words["group_pairs"].format(num=pairs["num_pairs"])
        found.append((title, rows(pairs, PAIRS, words)))
    return [{"title": title, "rows": present} for title, present in found if present]


def rows(
    values: Mapping[str, Any], keys: Sequence[_Row], words: Mapping[str, str]
) -> list[dict[str, Any]]:
    """The rows that ``values`` has: ``name``, ``better``, three ``cells``, and a ``plot``."""
    return [
        {
            "name": words[key],
            "better": words[better] if better else "",
            "cells": [
                _cell(values.get(f"{key}{suffix}"), words[kind], as_share=key.endswith(_SHARES))
                for kind, suffix in _KINDS
            ],
            "plot": plot([(kind, values.get(f"{key}{suffix}")) for kind, suffix in _KINDS]),
        }
        for key, better in keys
        if key in values
    ]


def _cell(figure: Any, name: str, *, as_share: bool) -> dict[str, str]:
    text, interval = figure_parts(figure, as_share=as_share)
    return {"name": name, "text": text, "range": interval}


def plot(figures: Sequence[tuple[str, Any]]) -> list[dict[str, Any]]:
    """Each figure's place and interval on one axis that holds 0, per cent of its width."""
    known = [
        (kind, figure if isinstance(figure, Mapping) else dict.fromkeys(_BOUNDS, float(figure)))
        for kind, figure in figures
        if figure is not None
    ]
    least = min(0.0, *(float(figure["low"]) for _, figure in known))
    most = max(0.0, *(float(figure["high"]) for _, figure in known))
    span = most - least or 1.0

    def place(value: float) -> float:
        return round(100 * min(1.0, max(0.0, (value - least) / span)), 2)

    return [
        {
            "kind": kind,
            "at": place(figure["value"]),
            "low": place(figure["low"]),
            "width": round(place(figure["high"]) - place(figure["low"]), 2),
            "zero": place(0.0),
        }
        for kind, figure in known
    ]


_BOUNDS = ("value", "low", "high")
