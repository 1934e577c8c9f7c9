"""The report's sentences and numbers in English and in Chinese: pure text from scores."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Literal

from evaluation.figures import Figure, Value
from evaluation.metrics.registry import metric_names
from evaluation.scores import DirectionScores, Scores, lip_eye_reduction

Language = Literal["en", "zh"]
Change = Literal["better", "same", "worse"]


@cache
def words(language: Language) -> Mapping[str, str]:
    """Every text of the report by its key, and the name of every metric by its key.

    Both languages have the same keys.
    """
    path = resources.files("evaluation.report") / f"words.{language}.json"
    texts: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
    return texts | metric_names(language)


def number(value: float) -> str:
    """``value`` with three significant digits, a small one with four decimals; no exponent."""
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


def figure_text(figure: Value | None, *, as_share: bool) -> str:
    """``value (low … high)``; only the value where it has no interval; ``""`` without one."""
    text, interval = figure_parts(figure, as_share=as_share)
    return f"{text} ({interval})" if interval else text


def figure_parts(figure: Value | None, *, as_share: bool) -> tuple[str, str]:
    """A figure's value and ``low … high``; ``""`` for an interval of no width at this precision."""
    show = percent if as_share else number
    if figure is None:
        return "", ""
    if not isinstance(figure, Figure):
        return show(figure), ""
    value, low, high = (show(bound) for bound in (figure.value, figure.low, figure.high))
    return value, "" if low == high else f"{low} … {high}"


def gap_closed(direction: DirectionScores) -> float | None:
    """Share of the KID from untranslated to real that translation closes, at least 0.

    ``None`` where there is no gap to close, or where the figure is left out for too few pictures.
    """
    kid, ceiling = direction.figure("kid"), direction.figure("kid_ceiling")
    untranslated = direction.figure("kid_baseline")
    if kid is None or ceiling is None or untranslated is None:
        return None
    gap = untranslated.value - ceiling.value
    return max(0.0, (untranslated.value - kid.value) / gap) if gap > 0 else None


def verdict(scores: Scores, language: Language = "en") -> str:
    """One sentence that names the directions that are better than untranslated pictures."""
    directions = list(scores.directions.values())
    changes = [direction.figure("kid_change") for direction in directions]
    if any(change is None for change in changes):
        return _undecided(directions, language)
    states = [change_state(change) for change in changes if change is not None]
    num_better = sum(state == "better" for state in states)
    parts = [
        _kid_part(direction, language, state)
        for direction, state in zip(directions, states, strict=True)
    ]
    ending = _truth_part(directions, language)
    if language == "zh":
        opening = {2: "两个方向的转换都优于原图", 1: "只有一个方向的转换优于原图"}.get(
            num_better, "尚不能确定任一方向优于原图"
        )
        if "same" not in states and not num_better:
            opening = "两个方向的转换都不优于原图"
        return f"{opening}：{'，'.join(parts)}{ending}。"
    opening = {
        2: "Both directions are better than leaving pictures as they are",
        1: "Only one direction is better than leaving pictures as they are",
    }.get(num_better, "Neither direction is surely better than leaving pictures as they are")
    if "same" not in states and not num_better:
        opening = "Neither direction is better than leaving pictures as they are"
    return f"{opening}: {', '.join(parts)}{ending}."


def change_state(change: Figure) -> Change:
    """The verdict on a change (below 0 is better) by its interval."""
    if change.high < 0:
        return "better"
    return "worse" if change.low > 0 else "same"


def _undecided(directions: Sequence[DirectionScores], language: Language) -> str:
    num = min(min(direction.num_pictures, direction.num_target) for direction in directions)
    truth = _truth_part(directions, language)
    if language == "zh":
        return f"留出图片太少（{num} 张），无法判断转换是否优于原图{truth}。"
    return (
        f"Too few held-out pictures ({num}) to tell whether translating is better than leaving "
        f"pictures as they are{truth}."
    )


def _kid_part(direction: DirectionScores, language: Language, state: Change) -> str:
    kid, untranslated = direction.figure("kid"), direction.figure("kid_baseline")
    after = number(kid.value) if kid else "?"
    before = number(untranslated.value) if untranslated else "?"
    if language == "zh":
        moved = {"better": "降至", "same": "变为", "worse": "升至"}[state]
        unsure = "（未超出区间）" if state == "same" else ""
        return f"{direction.route} 的 KID 由 {before} {moved} {after}{unsure}"
    moved = {"better": "falls", "same": "goes", "worse": "rises"}[state]
    unsure = " (within its interval)" if state == "same" else ""
    return f"{direction.route} KID {moved} from {before} to {after}{unsure}"


def _truth_part(directions: Sequence[DirectionScores], language: Language) -> str:
    reductions = [lip_eye_reduction(direction) for direction in directions]
    shares = [share for share in reductions if share is not None]
    if len(shares) != len(directions):
        return ""
    if language == "zh":
        changes = [f"{'降低' if share >= 0 else '升高'} {percent(abs(share))}" for share in shares]
        return f"；唇部与眼部误差分别{'、'.join(changes)}"
    changes = [f"{'down' if share >= 0 else 'up'} by {percent(abs(share))}" for share in shares]
    return f"; the error on lips and eyes is {' and '.join(changes)}"
