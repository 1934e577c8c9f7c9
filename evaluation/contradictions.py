"""Figures of a direction that contradict each other, so that a report can say what to make of it.

KID compares whole pictures with real ones and is the figure that counts. The classifier knows the
two domains alone, and must call whatever it is shown one of them: of translations that look like
neither its share means nothing, and is withheld.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum

from evaluation.figures import Figure, Value, comparison
from evaluation.judges.judge_scores import JudgeScores, Opinion

_LEAST_SHARE = 0.5  # of the way, by which the classifier lets translations pass


class Contradiction(StrEnum):
    """A figure that contradicts the KID of the same translations."""

    CLASSIFIER = "classifier"  # passes what lies farther from real pictures than the input
    FID = "fid"  # surely on the other side of untranslated pictures
    JUDGES = "judges"  # an independent judge surely finds the opposite
    TRUTH = "truth"  # the error on lips and eyes falls while KID rises


WITHHELD_METRICS: Mapping[Contradiction, str] = {Contradiction.CLASSIFIER: "domain_success"}
"""The metrics whose figure of translations is not shown."""


def find_contradictions(
    figures: Mapping[str, Value], judges: Sequence[JudgeScores], truth: Mapping[str, Value]
) -> list[Contradiction]:
    """The contradictions to a KID that is surely better or worse than untranslated pictures'."""
    change = _figure(figures.get("kid_change"))
    is_better = change is not None and change.high < 0
    is_worse = change is not None and change.low > 0
    contradictions = []
    if is_worse and _classifier_passes(figures):
        contradictions.append(Contradiction.CLASSIFIER)
    fid, untranslated = _figure(figures.get("fid")), _figure(figures.get("fid_baseline"))
    if fid and untranslated:
        is_nearer, is_farther = fid.high < untranslated.value, fid.low > untranslated.value
        if (is_worse and is_nearer) or (is_better and is_farther):
            contradictions.append(Contradiction.FID)
    if opposing_judges(figures, judges):
        contradictions.append(Contradiction.JUDGES)
    reduction = _figure(truth.get("lip_eye_error_reduction"))
    if is_worse and reduction and reduction.low > 0:
        contradictions.append(Contradiction.TRUTH)
    return contradictions


def opposing_judges(
    figures: Mapping[str, Value], judges: Sequence[JudgeScores]
) -> list[JudgeScores]:
    """The independent judges that surely find the opposite of what KID surely finds."""
    change = _figure(figures.get("kid_change"))
    if change is None or change.low <= 0 <= change.high:
        return []
    opposite = Opinion.WORSE if change.high < 0 else Opinion.BETTER
    return [
        judge
        for judge in judges
        if judge.is_independent and judge.can_see and judge.opinion is opposite
    ]


def _classifier_passes(figures: Mapping[str, Value]) -> bool:
    success = comparison(figures, "domain_success")
    translated, before, real = map(
        _figure, (success.translated, success.untranslated, success.real)
    )
    if translated is None or before is None or real is None:
        return False
    gap = real.value - before.value
    return gap > 0 and translated.value - before.value >= _LEAST_SHARE * gap


def _figure(value: Value | None) -> Figure | None:
    if value is None or isinstance(value, Figure):
        return value
    return Figure(value, value, value)
