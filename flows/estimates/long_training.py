"""No training of many hours starts unasked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from core.errors import SuyanError
from core.language.messages import localisable, localised
from flows.estimates.stage_durations import Estimate, estimate_training
from training.config import TrainConfig
from training.runtime.launcher import Torchrun

_HOUR_S = 3600.0
_LONG_S = 4 * _HOUR_S


def announce_training(
    config: TrainConfig,
    dataset: Path,
    run: Path,
    torchrun: Torchrun,
    *,
    max_hours: float,
    say: Callable[[str], None],
    warn: Callable[[str], None] | None = None,
    ask: Callable[[str], bool] | None = None,
) -> None:
    """Say how long the training will take; one of more than ``max_hours`` needs a yes.

    ``ask`` puts the question to a person; ``None`` where there is none: then ``warn`` gets a
    warning, also of a long training that ``max_hours`` allows. Raises ``SuyanError``
    without a yes. Says nothing about a finished training.
    """
    estimate = estimate_training(config, dataset, run, torchrun)
    if estimate is None:
        return
    say(localised("train takes {estimate}", estimate=estimate))
    if estimate.seconds > _LONG_S and ask is None:
        (warn or say)(
            localised(
                "a long training: {estimate}. The preset hour would take about an hour",
                estimate=estimate,
            )
        )
    require_yes(estimate, max_hours, ask=ask)


def require_yes(
    estimate: Estimate,
    max_hours: float,
    *,
    ask: Callable[[str], bool] | None,
) -> None:
    """Raise ``SuyanError`` for a training of more than ``max_hours`` to which nobody says yes."""
    if estimate.seconds <= max_hours * _HOUR_S:
        return
    limit = localised("more than {hours:g} hours (max_training_h)", hours=max_hours)
    if ask is not None:
        if ask(
            localised(
                "That is {limit}; the preset hour would take about an hour. Train all the same?",
                limit=limit,
            )
        ):
            return
        raise SuyanError(localised("the training was not started"), remedy=localised(_REMEDY))
    raise SuyanError(
        localised("the training would take {estimate}, {limit}", estimate=estimate, limit=limit),
        remedy=localised(_REMEDY),
    )


_REMEDY = localisable(
    "Choose the preset hour, which takes about an hour on two cores (train --preset hour, or "
    "the field preset of the run's form), or raise max_training_h (train --yes)"
)
