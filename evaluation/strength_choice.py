"""The choice of a direction's strength: how many times its trained change a generator applies.

A generator shows a way from each picture, ``x + s·(G(x) − x)``; training chose its direction, and
stopped somewhere on it. Translations of the same inputs are compared with those of strength 1 by
KID to the target's *training* pictures, as ``weights_choice`` compares weights. Another strength is
kept only if it is surely better, and surely better than the inputs themselves too: on a way that
leads nowhere every smaller strength is better than 1, since it is nearer to doing nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from evaluation.arrays import Array
from evaluation.config import EvaluateConfig
from evaluation.figures import Figure, load_figure
from evaluation.metrics.distances import LEAST_FOR_DISTANCES, resampled_kids
from evaluation.metrics.intervals import resampled_figure


@dataclass(frozen=True)
class ComparedStrength:
    """A strength, the KID of its translations to training pictures of the target, and this KID
    minus that of strength 1, by paired pictures.
    """

    strength: float
    kid: Figure
    kid_change: Figure


@dataclass(frozen=True)
class StrengthChoice:
    """The strength of a direction that was measured, and the strengths that it was chosen from."""

    chosen: float = 1.0
    kid: Figure | None = None  # of strength 1; None: nothing was compared
    compared: tuple[ComparedStrength, ...] = ()  # others than 1

    @property
    def best(self) -> ComparedStrength | None:
        """The chosen strength's figures; ``None`` for 1."""
        return next((each for each in self.compared if each.strength == self.chosen), None)

    def to_json(self) -> dict[str, Any]:
        """What ``scores.json`` holds of it."""
        return asdict(self) | {"compared": [asdict(each) for each in self.compared]}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> StrengthChoice:
        """The choice that ``value``, a part of ``scores.json``, describes."""
        kid = value.get("kid")
        return cls(
            float(value.get("chosen", 1.0)),
            None if kid is None else load_figure(kid),
            tuple(
                ComparedStrength(
                    float(each["strength"]),
                    load_figure(each["kid"]),
                    load_figure(each["kid_change"]),
                )
                for each in value.get("compared", ())
            ),
        )


def candidates(config: EvaluateConfig, translated: Array, target_train: Array) -> tuple[float, ...]:
    """The strengths to compare with 1; none for too few pictures.

    ``translated`` and ``target_train`` are features ``[N, D]``, ``[M, D]``, as ``choose_strength``
    takes them.
    """
    if min(len(translated), len(target_train)) < LEAST_FOR_DISTANCES:
        return ()
    return tuple(strength for strength in dict.fromkeys(config.strengths) if strength != 1)


def choose_strength(
    config: EvaluateConfig,
    translated: Array,
    by_strength: Mapping[float, Array],
    target_train: Array,
    untranslated: Array,
) -> StrengthChoice:
    """The strength with the least KID of those that are surely better than 1 and than the inputs,
    else 1.

    ``translated`` are features ``[N, D]`` of translations with strength 1; ``by_strength`` those of
    the same inputs with other strengths, ``untranslated`` of the inputs; ``target_train``
    ``[M, D]`` of real training pictures. Sure is a 95 % interval of the paired change below 0.
    """
    if not by_strength:
        return StrengthChoice()
    paired = [translated, untranslated, *by_strength.values()]
    at_1, before, *kids = resampled_kids(
        paired, [], target_train, config.num_bootstrap, config.seed
    )
    compared = tuple(
        ComparedStrength(strength, resampled_figure(kid), resampled_figure(kid - at_1))
        for strength, kid in zip(by_strength, kids, strict=True)
    )
    better = [
        each
        for each, kid in zip(compared, kids, strict=True)
        if each.kid_change.high < 0 and resampled_figure(kid - before).high < 0
    ]
    best = min(better, key=lambda each: each.kid.value, default=None)
    return StrengthChoice(best.strength if best else 1.0, resampled_figure(at_1), compared)
