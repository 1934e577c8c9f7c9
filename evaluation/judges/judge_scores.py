"""What a judge says of one direction, and its form in ``scores.json``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from evaluation.figures import Figure, load_figure

ERRORS_TO_SEE = 3.0  # standard errors between real pictures of both domains, else it is blind
ERRORS_TO_OBJECT = 3.0  # with fifteen figures a direction, one in two would be worse by 1.96
_FIGURES = ("kid", "kid_baseline", "kid_ceiling", "kid_change")


class Opinion(StrEnum):
    """A judge's verdict on a translation, against the untranslated pictures."""

    BETTER = "better"
    UNSURE = "unsure"
    WORSE = "worse"


@dataclass(frozen=True)
class ViewScores:
    """A judge's KID of one view to real held-out pictures of the target."""

    kid: Figure
    kid_baseline: Figure  # untranslated
    kid_ceiling: Figure  # real training pictures of the target
    kid_change: Figure  # translated − untranslated, paired: below 0 is better
    change_error: float  # standard error of ``kid_change``
    errors_apart: float  # (baseline − ceiling) in standard errors
    share: Figure | None  # of the way from untranslated to real; None: blind

    @property
    def can_see(self) -> bool:
        """Whether the judge tells real pictures of both domains apart in this view."""
        return self.errors_apart >= ERRORS_TO_SEE

    @property
    def opinion(self) -> Opinion:
        """Better beyond the 95 % interval; worse by 3 standard errors; a blind one is unsure."""
        if not self.can_see:
            return Opinion.UNSURE
        if self.kid_change.high < 0:
            return Opinion.BETTER
        margin = ERRORS_TO_OBJECT * self.change_error
        is_worse = self.kid_change.low > 0 and self.kid_change.value > margin
        return Opinion.WORSE if is_worse else Opinion.UNSURE

    def to_json(self) -> dict[str, Any]:
        """What ``scores.json`` holds of the view."""
        values = asdict(self)
        return {name: value for name, value in values.items() if value is not None}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> ViewScores:
        """The view that ``value``, a part of ``scores.json``, describes."""
        share = value.get("share")
        return cls(
            **{name: load_figure(value[name]) for name in _FIGURES},
            change_error=float(value["change_error"]),
            errors_apart=float(value["errors_apart"]),
            share=None if share is None else load_figure(share),
        )


@dataclass(frozen=True)
class JudgeScores:
    """A judge's figures of one direction, by view."""

    judge: str  # a ``JudgeKind``; scores of a later version may hold others
    pretraining: str  # the data that its network was trained on before; "": none
    views: dict[str, ViewScores]
    share: Figure | None  # of the way, over the views that it can see; None: blind to all
    is_independent: bool = True  # of all that trained the model; others are shown and do not count

    @property
    def can_see(self) -> bool:
        """Whether the judge can see this pair of domains in any view."""
        return any(view.can_see for view in self.views.values())

    @property
    def opinion(self) -> Opinion:
        """Worse if any view is; else better if any view is; else unsure."""
        opinions = {view.opinion for view in self.views.values()}
        for opinion in (Opinion.WORSE, Opinion.BETTER):
            if opinion in opinions:
                return opinion
        return Opinion.UNSURE

    def to_json(self) -> dict[str, Any]:
        """What ``scores.json`` holds of the judge."""
        views = {name: view.to_json() for name, view in self.views.items()}
        share = {} if self.share is None else {"share": asdict(self.share)}
        return {
            "judge": self.judge,
            "pretraining": self.pretraining,
            "is_independent": self.is_independent,
            "views": views,
        } | share

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> JudgeScores:
        """The judge that ``value``, a part of ``scores.json``, describes."""
        share = value.get("share")
        return cls(
            judge=str(value["judge"]),
            pretraining=str(value.get("pretraining", "")),
            views={name: ViewScores.from_json(view) for name, view in value["views"].items()},
            share=None if share is None else load_figure(share),
            is_independent=bool(value.get("is_independent", True)),
        )
