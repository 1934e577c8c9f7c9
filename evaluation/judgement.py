"""What a direction's figures say of a translation: how far it goes, what it adds, how sure that is.

The gate, the verdict and the report all take it from here, so that they say the same.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from evaluation.contradictions import Contradiction
from evaluation.figures import Comparison, Figure, Value, comparison
from evaluation.judges.judge_scores import JudgeScores
from evaluation.metrics.metric_meanings import LIKELY_ERRORS, SURE_ERRORS, ClosedForm
from evaluation.scores import DirectionScores

_LEAST_ERRORS_APART = 3  # standard errors between real pictures of both domains, else it is blind


class Judge(StrEnum):
    """The judges by the offline features; ``JudgeKind`` has the independent ones."""

    KID = "kid"
    CLASSIFIER = "classifier"


@dataclass(frozen=True)
class Share:
    """A judge's share of the way from untranslated to real pictures: 0 none, 1 all of it."""

    judge: str  # a ``Judge``, or the key of an independent one (``JudgeKind``)
    value: float


def gap_closed(direction: DirectionScores) -> float | None:
    """Share of the KID from untranslated to real that translation closes, at least 0.

    ``None`` where there is no gap to close, or too few pictures left it out.
    """
    kid, ceiling = direction.figure("kid"), direction.figure("kid_ceiling")
    untranslated = direction.figure("kid_baseline")
    if kid is None or ceiling is None or untranslated is None:
        return None
    gap = untranslated.value - ceiling.value
    return max(0.0, (untranslated.value - kid.value) / gap) if gap > 0 else None


def classifier_share(direction: DirectionScores) -> float | None:
    """Share of the way by the classifier, at least 0; ``None`` where it was not measured or is
    blind to this pair of domains.
    """
    success = classifier_success(direction)
    if success is None or is_blind(success):
        return None
    translated, untranslated, real = (
        _value(each) for each in (success.translated, success.untranslated, success.real)
    )
    return max(0.0, (translated - untranslated) / (real - untranslated))


def classifier_success(direction: DirectionScores) -> Comparison | None:
    """How often the classifier takes translated, untranslated and real pictures for the target."""
    success = comparison(direction.figures, "domain_success")
    if None in (success.translated, success.untranslated, success.real):
        return None
    return success


def is_blind(success: Comparison) -> bool:
    """Whether the classifier cannot tell real pictures of both domains apart by 3 standard errors.

    ``success`` is that of ``classifier_success``.
    """
    apart = _value(success.real) - _value(success.untranslated)
    error = math.hypot(_standard_error(success.real), _standard_error(success.untranslated))
    return apart <= _LEAST_ERRORS_APART * error


def shares(direction: DirectionScores) -> list[Share]:
    """The share of each judge that can say one, without a classifier that KID contradicts."""
    values = {Judge.KID: gap_closed(direction)}
    if Contradiction.CLASSIFIER not in direction.contradictions:
        values[Judge.CLASSIFIER] = classifier_share(direction)
    measured = [Share(judge, value) for judge, value in values.items() if value is not None]
    return measured + [
        Share(each.judge, max(0.0, each.share.value))
        for each in counting_judges(direction)
        if each.share is not None
    ]


def counting_judges(direction: DirectionScores) -> list[JudgeScores]:
    """The independent judges that can see this pair of domains."""
    return [each for each in direction.judges or () if each.is_independent and each.can_see]


def blind_judges(direction: DirectionScores) -> list[str]:
    """The judges that cannot tell the domains apart, and do not count."""
    success = classifier_success(direction)
    is_blind_classifier = success is not None and is_blind(success)
    independent = [each.judge for each in direction.judges or () if not each.can_see]
    return [Judge.CLASSIFIER.value] * is_blind_classifier + independent


def least_share(direction: DirectionScores) -> Share | None:
    """The least of the judges' shares; ``None`` where no judge can say one."""
    return min(shares(direction), key=lambda share: share.value, default=None)


@dataclass(frozen=True)
class ClosedFormScores:
    """A closed form's figures in one direction."""

    form: ClosedForm
    kid: Figure
    kid_change: Figure  # the model's KID minus the closed form's, paired: below 0 is better
    fid: Figure | None


def closed_forms(direction: DirectionScores) -> list[ClosedFormScores]:
    """The closed forms that were measured; none in the scores of older versions."""
    measured = []
    for form in ClosedForm:
        kid, change = direction.figure(f"{form}_kid"), direction.figure(f"{form}_kid_change")
        if kid is not None and change is not None:
            fid = direction.figure(f"{form}_fid")
            measured.append(ClosedFormScores(form, kid, change, fid))
    return measured


def best_closed_form(direction: DirectionScores) -> ClosedFormScores | None:
    """The closed form with the lowest KID; ``None`` where none was measured."""
    return min(closed_forms(direction), key=lambda each: each.kid.value, default=None)


@dataclass(frozen=True)
class Power:
    """How large a change of KID ``num_pictures`` held-out pictures a side can be sure of."""

    num_pictures: int
    sure_change: float  # measured changes beyond it are sure
    likely_change: float  # true changes beyond it are sure 8 times in 10

    def at(self, num_pictures: int) -> Power:
        """The power of so many pictures: standard errors fall as 1 / √n."""
        factor = math.sqrt(self.num_pictures / num_pictures)
        return Power(num_pictures, factor * self.sure_change, factor * self.likely_change)


def power(direction: DirectionScores) -> Power | None:
    """The power of this direction's paired change of KID; ``None`` where it was not measured.

    Older scores hold no standard error: it is taken from the change's 95 % interval.
    """
    change, num = direction.figure("kid_change"), min(direction.num_pictures, direction.num_target)
    if change is None or num < 1:
        return None
    sure, likely = direction.figure("kid_sure_change"), direction.figure("kid_likely_change")
    if sure is not None and likely is not None:
        return Power(num, sure.value, likely.value)
    half = (change.high - change.low) / 2
    return Power(num, half, half * LIKELY_ERRORS / SURE_ERRORS)


def _value(figure: Value | None) -> float:
    assert figure is not None
    return figure.value if isinstance(figure, Figure) else figure


def _standard_error(figure: Value | None) -> float:
    if not isinstance(figure, Figure):
        return 0.0
    return (figure.high - figure.low) / (2 * SURE_ERRORS)
