"""The gate: a measured model becomes its recipe's champion when its figures are better."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from core.errors import SuyanError
from core.workspace import Workspace
from core.workspace_folders import EvaluationFolder, ModelFolder
from evaluation.champion_record import ComparedChampion
from evaluation.config import PromoteConfig
from evaluation.figures import Figure
from evaluation.model_registry.model_versions import (
    current,
    locked,
    models_folder,
    move_pointer,
    store,
)
from evaluation.scores import DirectionScores, Scores, load_scores
from evaluation.weights_choice import choice_sentence


@dataclass(frozen=True)
class Promotion:
    """The decision about a model; ``model`` is its folder, stored in any case.

    A person can promote a stored model that failed the gate: ``model_versions.crown``.
    """

    promoted: bool  # whether it is the champion now
    reason: str  # one or two sentences
    model: Path


def promote(
    run: Path,
    evaluation: Path,
    workspace: Workspace,
    recipe: str,
    rule: PromoteConfig = PromoteConfig(),  # noqa: B008 - frozen
) -> Promotion:
    """Store the evaluated checkpoint as a version of ``recipe``; champion if it passes the gate.

    The gate: KID better than untranslated pictures in both directions, and a better mean KID than
    the champion's on the same test pictures; both beyond the 95 % interval unless ``rule`` says
    otherwise. A champion that was not measured on these pictures stays: a person decides. A
    repeated call changes nothing. One process at a time decides; other processes wait.

    Raises ``ValueError`` for a recipe name that is no plain name, ``SuyanError`` when
    ``evaluation`` holds no scores, ``CheckpointError`` when the evaluated checkpoint is gone.
    """
    models = models_folder(workspace, recipe)
    try:
        scores = load_scores(EvaluationFolder(evaluation).scores)
    except (FileNotFoundError, ValueError) as error:
        raise SuyanError(f"{evaluation}: no whole scores.json ({error}); evaluate first") from error
    with locked(models):
        model = store(run, evaluation, scores, workspace, models)
        return _decide(model, scores, workspace, models, rule)


def _decide(
    model: Path, scores: Scores, workspace: Workspace, models: Path, rule: PromoteConfig
) -> Promotion:
    champion = current(models)
    if champion == model:
        return Promotion(
            promoted=True, reason=f"{model.name} is the champion already.", model=model
        )
    objection = _objection(scores, champion, rule)
    if objection:
        remedy = (
            f"It is stored as {workspace.key(model)}: give that path to use it, or "
            f"'suyan promote {model.name} --recipe {models.name}' to make it the champion."
        )
        sentences = [f"Not promoted: {objection}", remedy, choice_sentence(scores.weights)]
        return Promotion(promoted=False, reason=_joined(sentences), model=model)
    reason = "it passed the gate" + (f" against {champion.name}" if champion else "")
    move_pointer(models, model, by="gate", reason=reason)
    instead = f" in place of {champion.name}" if champion else ""
    better = ": both directions are better than untranslated pictures" * rule.beat_untranslated
    sentences = [
        f"{model.name} is the champion of {models.name}{instead}{better}.",
        choice_sentence(scores.weights),
    ]
    return Promotion(promoted=True, reason=_joined(sentences), model=model)


def _joined(sentences: list[str]) -> str:
    return " ".join(filter(None, sentences))


def _objection(scores: Scores, champion: Path | None, rule: PromoteConfig) -> str:
    """The reason why the model may not be champion; ``""`` when it may."""
    if not rule.automatic:
        return "only a person promotes (promote.automatic is off)."
    mean = scores.mean_kid
    if mean is None or not math.isfinite(mean):
        return "too few held-out pictures to tell whether it is better than doing nothing."
    for direction in scores.directions.values():
        objection = _no_better_than_untranslated(direction, rule)
        if objection:
            return objection
    return _no_better_than_champion(scores, mean, champion, rule) if champion else ""


def _no_better_than_untranslated(direction: DirectionScores, rule: PromoteConfig) -> str:
    kid, untranslated = direction.figure("kid"), direction.figure("kid_baseline")
    change = direction.figure("kid_change")
    if kid is None or untranslated is None or change is None:
        return f"{direction.route} has no KID to compare with that of untranslated pictures."
    bound = change.high if rule.surely else kid.value - untranslated.value
    if not rule.beat_untranslated or bound < 0:
        return ""
    return (
        f"{direction.route} has a KID of {kid.value:.4f}, and untranslated pictures have "
        f"{untranslated.value:.4f}"
        + (": better, but not beyond the interval." if kid.value < untranslated.value else ".")
    )


def _no_better_than_champion(
    scores: Scores, mean: float, champion: Path, rule: PromoteConfig
) -> str:
    """The reason why the champion stays; ``""`` when the model is better."""
    change = _paired_change(scores, champion)
    if change is None:
        champion_scores = load_scores(ModelFolder(champion).scores)
        differing = [
            field
            for field in ("dataset", "features", "px", "counts")
            if getattr(champion_scores, field) != getattr(scores, field)
        ]
        if differing or champion_scores.mean_kid is None:
            return (
                f"the champion {champion.name} was measured on other pictures "
                f"({', '.join(differing) or 'too few'} differ), so that their figures cannot be "
                "compared; evaluate again, with it as the champion."
            )
        kids = [direction.figure("kid") for direction in scores.directions.values()]
        change = (mean - champion_scores.mean_kid, _half_width(kids))
    value, margin = change
    if value + (margin if rule.surely else 0.0) < 0:
        return ""
    return (
        f"its mean KID is {mean:.4f}, the champion {champion.name} has {mean - value:.4f} on the "
        f"same pictures"
        + (f" (95 % interval of the difference: ± {margin:.4f})." * rule.surely or ".")
    )


def _paired_change(scores: Scores, champion: Path) -> tuple[float, float] | None:
    """Mean KID minus the champion's by paired pictures, and its margin; ``None``: not measured."""
    if not isinstance(scores.champion, ComparedChampion) or scores.champion.model != champion.name:
        return None
    changes = [
        direction.champion.kid_change if direction.champion else None
        for direction in scores.directions.values()
    ]
    values = [change.value for change in changes if change is not None]
    if len(values) < len(changes) or not values:
        return None
    return sum(values) / len(values), _half_width(changes)


def _half_width(figures: list[Figure | None]) -> float:
    """Upper half of the 95 % interval of the figures' mean, directions taken as independent."""
    halves = [figure.high - figure.value for figure in figures if figure is not None]
    return float(sum(half**2 for half in halves) ** 0.5 / len(halves))
