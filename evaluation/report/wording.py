"""What the report says, in English and in Chinese: pure text from scores."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any, Literal

Language = Literal["en", "zh"]


@cache
def words(language: Language) -> Mapping[str, str]:
    """Every text of the report by its key; both languages have the same keys."""
    path = resources.files("evaluation.report") / f"words.{language}.json"
    found: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
    return found


def number(value: float) -> str:
    """Three significant digits, never in exponent notation where 4 decimals will do."""
    magnitude = abs(float(f"{value:.3g}"))
    if magnitude == 0:
        return "0"
    if magnitude >= 100:
        text = f"{value:.0f}"
    elif magnitude >= 10:
        text = f"{value:.1f}"
    elif magnitude >= 1:
        text = f"{value:.2f}"
    elif magnitude >= 0.1:
        text = f"{value:.3f}"
    else:
        text = f"{value:.4f}"
    return text.replace("-", "\u2212")


def percent(value: float) -> str:
    """A share as whole per cent, e.g. ``42 %``."""
    return f"{100 * value:.0f} %".replace("-", "\u2212")


def figure_text(figure: Any, *, as_share: bool) -> str:
    """``value (low … high)``; the value alone where it has no interval; ``""`` without one."""
    text, interval = figure_parts(figure, as_share=as_share)
    return f"{text} ({interval})" if interval else text


def figure_parts(figure: Any, *, as_share: bool) -> tuple[str, str]:
    """A figure's value and ``low … high``, ``""`` where it has none, or none that can be seen."""
    show = percent if as_share else number
    if figure is None:
        return "", ""
    if not isinstance(figure, Mapping):
        return show(figure), ""
    value, low, high = (show(figure[name]) for name in ("value", "low", "high"))
    return value, "" if low == high else f"{low} … {high}"


def gap_closed(direction: Mapping[str, Any]) -> float | None:
    """Share of the KID from untranslated to real that translation closes, at least 0.

    ``None`` where there is no gap to close, or too few pictures left it out.
    """
    if "kid" not in direction or "kid_ceiling" not in direction:
        return None
    baseline, ceiling = direction["kid_baseline"]["value"], direction["kid_ceiling"]["value"]
    if baseline - ceiling <= 0:
        return None
    return max(0.0, float((baseline - direction["kid"]["value"]) / (baseline - ceiling)))


def verdict(scores: Mapping[str, Any], language: Language = "en") -> str:
    """One sentence: which directions are better than leaving pictures as they are."""
    directions = scores["directions"]
    if any("kid" not in direction for direction in directions.values()):
        return _undecided(directions, language)
    states = {name: change_state(direction["kid_change"]) for name, direction in directions.items()}
    num_better = sum(state == "better" for state in states.values())
    parts = [_kid_part(directions[name], language, state) for name, state in states.items()]
    ending = _truth_part(directions, language)
    if language == "zh":
        opening = {2: "两个方向的转换都优于原图", 1: "只有一个方向的转换优于原图"}.get(
            num_better, "尚不能确定任一方向优于原图"
        )
        if "same" not in states.values() and not num_better:
            opening = "两个方向的转换都不优于原图"
        return f"{opening}：{'，'.join(parts)}{ending}。"
    opening = {
        2: "Both directions are better than leaving pictures as they are",
        1: "Only one direction is better than leaving pictures as they are",
    }.get(num_better, "Neither direction is surely better than leaving pictures as they are")
    if "same" not in states.values() and not num_better:
        opening = "Neither direction is better than leaving pictures as they are"
    return f"{opening}: {', '.join(parts)}{ending}."


def change_state(change: Mapping[str, float]) -> Literal["better", "same", "worse"]:
    """What a change (below 0 is better) says beyond its interval."""
    if change["high"] < 0:
        return "better"
    return "worse" if change["low"] > 0 else "same"


def _undecided(directions: Mapping[str, Any], language: Language) -> str:
    found = min(
        min(direction["num_pictures"], direction["num_target"]) for direction in directions.values()
    )
    truth = _truth_part(directions, language)
    if language == "zh":
        return f"留出图片太少（{found} 张），无法判断转换是否优于原图{truth}。"
    return (
        f"Too few held-out pictures ({found}) to tell whether translating is better than leaving "
        f"pictures as they are{truth}."
    )


def _kid_part(direction: Mapping[str, Any], language: Language, state: str) -> str:
    source, target = direction["from"], direction["to"]
    after, before = number(direction["kid"]["value"]), number(direction["kid_baseline"]["value"])
    if language == "zh":
        moved = {"better": "降至", "same": "变为", "worse": "升至"}[state]
        unsure = "（未超出区间）" if state == "same" else ""
        return f"{source} → {target} 的 KID 由 {before} {moved} {after}{unsure}"
    moved = {"better": "falls", "same": "goes", "worse": "rises"}[state]
    unsure = " (within its interval)" if state == "same" else ""
    return f"{source} → {target} KID {moved} from {before} to {after}{unsure}"


def _truth_part(directions: Mapping[str, Any], language: Language) -> str:
    shares = [
        direction["truth"]["lip_eye_error_reduction"]["value"]
        for direction in directions.values()
        if "lip_eye_error_reduction" in direction.get("truth", {})
    ]
    if len(shares) != len(directions):
        return ""
    if language == "zh":
        changes = [f"{'降低' if share >= 0 else '升高'} {percent(abs(share))}" for share in shares]
        return f"；唇部与眼部误差分别{'、'.join(changes)}"
    changes = [f"{'down' if share >= 0 else 'up'} by {percent(abs(share))}" for share in shares]
    return f"; the error on lips and eyes is {' and '.join(changes)}"
