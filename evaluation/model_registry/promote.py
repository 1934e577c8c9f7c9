"""The gate: a measured model becomes its recipe's champion when its figures are better."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from core.commands import suyan_command
from core.errors import SuyanError
from core.language.messages import language, localisable, localised
from core.workspace import Workspace
from core.workspace_folders import EvaluationFolder, ModelFolder
from evaluation.champion_record import ComparedChampion
from evaluation.config import PromoteConfig
from evaluation.figures import Figure
from evaluation.judgement import (
    classifier_share,
    classifier_success,
    closed_forms,
    counting_judges,
)
from evaluation.judges.judge_kinds import judge_name, view_name
from evaluation.judges.judge_scores import Opinion
from evaluation.metrics.metric_meanings import CLOSED_FORM_NAMES
from evaluation.model_registry.model_versions import (
    current,
    locked,
    models_folder,
    move_pointer,
    store,
)
from evaluation.scores import DirectionScores, Scores, load_scores
from evaluation.training_networks import OFFLINE_PRETRAINING, NetworkUse, TrainingNetwork
from evaluation.weights_choice import choice_sentence


@dataclass(frozen=True)
class Promotion:
    """The decision about a model; ``model`` is its folder, stored in any case.

    A person can promote a stored model that failed the gate: ``model_versions.crown``.
    """

    promoted: bool  # whether it is the champion now
    reason: str  # one or two sentences
    model: Path


def not_promoted(objection: str) -> str:
    """The sentence about a model that is no champion."""
    return localised("Not promoted: {objection}", objection=objection)


def promote(
    run: Path,
    evaluation: Path,
    workspace: Workspace,
    recipe: str,
    rule: PromoteConfig = PromoteConfig(),  # noqa: B008 - frozen
) -> Promotion:
    """Store the evaluated checkpoint as a version of ``recipe``; champion if it passes the gate.

    The gate asks of both directions: a KID better than that of untranslated pictures and of every
    closed form, an FID no worse than that of untranslated pictures, a least share of the way by the
    classifier and by each independent judge that can see, none of which may find it surely worse.
    The mean KID must be better than the champion's on the same test pictures.
    Better is beyond the 95 % interval; ``rule`` switches each condition off. A champion that was
    not measured on these pictures stays: a person decides. A repeated call changes nothing. One
    process at a time decides; other processes wait.

    Raises ``ValueError`` for a recipe name that is no plain name, ``SuyanError`` when
    ``evaluation`` holds no scores, ``CheckpointError`` when the evaluated checkpoint is gone.
    """
    models = models_folder(workspace, recipe)
    try:
        scores = load_scores(EvaluationFolder(evaluation).scores)
    except (FileNotFoundError, ValueError) as error:
        raise SuyanError(
            localised(
                "{evaluation}: no whole scores.json ({error}); evaluate first",
                evaluation=evaluation,
                error=error,
            )
        ) from error
    with locked(models):
        model = store(run, evaluation, scores, workspace, models)
        return _decide(model, scores, workspace, models, rule)


def _decide(
    model: Path, scores: Scores, workspace: Workspace, models: Path, rule: PromoteConfig
) -> Promotion:
    champion = current(models)
    if champion == model:
        reason = localised("{model} is the champion already.", model=model.name)
        return Promotion(promoted=True, reason=reason, model=model)
    objection = _objection(scores, champion, rule)
    if objection:
        promotion = suyan_command("promote", model.name, workspace=workspace, recipe=models.name)
        remedy = localised(
            "It is stored as {path}: --model {model} uses it. To make it the champion all the "
            "same: "
            "'{promotion}'.",
            path=workspace.key(model),
            model=model.name,
            promotion=promotion,
        )
        sentences = [not_promoted(objection), remedy, choice_sentence(scores.weights)]
        return Promotion(promoted=False, reason=_joined(sentences), model=model)
    reason = "it passed the gate" + (f" against {champion.name}" if champion else "")
    move_pointer(models, model, by="gate", reason=reason)
    instead = localised(" in place of {champion}", champion=champion.name) if champion else ""
    floors = [localised("untranslated pictures")] * rule.beat_untranslated
    floors += [localised("every translation without a network")] * rule.beat_closed_forms
    better = (
        localised(
            ": both directions are better than {floors}", floors=localised(" and ").join(floors)
        )
        if floors
        else ""
    )
    champion_sentence = localised(
        "{model} is the champion of {recipe}{instead}{better}.",
        model=model.name,
        recipe=models.name,
        instead=instead,
        better=better,
    )
    sentences = [champion_sentence, choice_sentence(scores.weights)]
    return Promotion(promoted=True, reason=_joined(sentences), model=model)


def _joined(sentences: list[str]) -> str:
    return " ".join(filter(None, sentences))


def _objection(scores: Scores, champion: Path | None, rule: PromoteConfig) -> str:
    """The reason why the model may not be champion; ``""`` when it may."""
    if not rule.automatic:
        return localised("only a person promotes (promote.automatic is off).")
    mean = scores.mean_kid
    if mean is None or not math.isfinite(mean):
        return localised(
            "too few held-out pictures to tell whether it is better than doing nothing."
        )
    judge = scores.features.name if scores.features else ""
    loss_networks = [
        network
        for network in scores.training_networks or ()
        if network.use is NetworkUse.LOSS
        and (network.name == judge or network.pretraining == OFFLINE_PRETRAINING)
    ]
    for direction in scores.directions.values():
        for condition in _CONDITIONS:
            objection = condition(direction, rule)
            if objection:
                return objection
        if loss_networks:
            objection = _no_independent_judge(direction, loss_networks[0])
            if objection:
                return objection
    return _no_better_than_champion(scores, mean, champion, rule) if champion else ""


def _no_better_than_untranslated(direction: DirectionScores, rule: PromoteConfig) -> str:
    kid, untranslated = direction.figure("kid"), direction.figure("kid_baseline")
    change = direction.figure("kid_change")
    if kid is None or untranslated is None or change is None:
        return localised(
            "{route} has no KID to compare with that of untranslated pictures.",
            route=direction.route,
        )
    bound = change.high if rule.surely else kid.value - untranslated.value
    if not rule.beat_untranslated or bound < 0:
        return ""
    return localised(
        "{route} has a KID of {kid:.4f}, and untranslated pictures have {untranslated:.4f}{end}",
        route=direction.route,
        kid=kid.value,
        untranslated=untranslated.value,
        end=localised(": better, but not beyond the interval.")
        if kid.value < untranslated.value
        else localised("."),
    )


def _no_better_than_closed_forms(direction: DirectionScores, rule: PromoteConfig) -> str:
    kid = direction.figure("kid")
    if not rule.beat_closed_forms or kid is None:
        return ""
    measured = closed_forms(direction)
    if not measured:
        return localised(
            "{route} was not compared with translations without a network, as in scores of older "
            "versions; remove scores.json and evaluate again, or switch off "
            "promote.beat_closed_forms.",
            route=direction.route,
        )
    for closed in measured:
        change = closed.kid_change
        if (change.high if rule.surely else change.value) >= 0:
            return localised(
                "{route} has a KID of {kid:.4f}, and {other} has {of_other:.4f}{end}",
                route=direction.route,
                kid=kid.value,
                other=CLOSED_FORM_NAMES[closed.form].in_language(language()),
                of_other=closed.kid.value,
                end=localised(": better, but not surely so.")
                if change.value < 0
                else localised("."),
            )
    return ""


def _fid_worse(direction: DirectionScores, rule: PromoteConfig) -> str:
    fid, untranslated = direction.figure("fid"), direction.figure("fid_baseline")
    if not rule.fid_not_worse:
        return ""
    if fid is None or untranslated is None:
        return localised(
            "{route} has no FID to compare with that of untranslated pictures.",
            route=direction.route,
        )
    if fid.value <= untranslated.value:
        return ""
    return localised(
        "{route} has an FID of {fid:.1f}, and leaving pictures as they are has {untranslated:.1f}.",
        route=direction.route,
        fid=fid.value,
        untranslated=untranslated.value,
    )


def _too_short_a_way(direction: DirectionScores, rule: PromoteConfig) -> str:
    """Too small a share by the classifier; one that is blind to the domains does not judge."""
    success = classifier_success(direction)
    if rule.min_classifier_share == 0:
        return ""
    if success is None:
        return localised(
            "{route} was not judged by the classifier, which takes 10 training and 10 held-out "
            "pictures of each domain; promote.min_classifier_share 0 does without it.",
            route=direction.route,
        )
    share = classifier_share(direction)
    if share is None or share >= rule.min_classifier_share:
        return ""
    return localised(
        "{route} goes {share:.1f} % of the way from untranslated to real pictures by {judge}, and "
        "the least is {least:.1f} % ({name}).",
        route=direction.route,
        share=100 * share,
        judge=localised("the classifier"),
        least=100 * rule.min_classifier_share,
        name="promote.min_classifier_share",
    )


def _worse_by_a_judge(direction: DirectionScores, rule: PromoteConfig) -> str:
    if not rule.judges_not_worse:
        return ""
    if direction.judges is None:
        return localised(_NO_JUDGES, route=direction.route)
    for judge in counting_judges(direction):
        for name, view in judge.views.items():
            if view.opinion is Opinion.WORSE:
                return localised(
                    "{route} is surely worse than untranslated pictures by {judge} ({view}): a KID "
                    "of {kid:.4f} against {untranslated:.4f}.",
                    route=direction.route,
                    judge=judge_name(judge.judge, language()),
                    view=view_name(name, language()),
                    kid=view.kid.value,
                    untranslated=view.kid_baseline.value,
                )
    return ""


def _too_short_a_way_by_a_judge(direction: DirectionScores, rule: PromoteConfig) -> str:
    if rule.min_judge_share == 0:
        return ""
    if direction.judges is None:
        return localised(_NO_JUDGES, route=direction.route)
    for judge in counting_judges(direction):
        if judge.share is not None and judge.share.value < rule.min_judge_share:
            return localised(
                "{route} goes {share:.1f} % of the way from untranslated to real pictures by "
                "{judge}, and the least is {least:.1f} % ({name}).",
                route=direction.route,
                share=100 * judge.share.value,
                judge=judge_name(judge.judge, language()),
                least=100 * rule.min_judge_share,
                name="promote.min_judge_share",
            )
    return ""


def _no_independent_judge(direction: DirectionScores, network: TrainingNetwork) -> str:
    """Too few independent judges in place of KID, whose network is of the same pretraining as
    ``network``, which was part of a loss.
    """
    better = [
        judge.judge for judge in counting_judges(direction) if judge.opinion is Opinion.BETTER
    ]
    if len(better) >= _LEAST_INDEPENDENT_JUDGES:
        return ""
    return localised(
        "{network} was part of a loss, and the network that judges KID has the same pretraining "
        "({pretraining}): {least} independent judges must find {route} surely better, and {num} "
        "did.",
        network=network.name,
        pretraining=network.pretraining,
        least=_LEAST_INDEPENDENT_JUDGES,
        route=direction.route,
        num=len(better),
    )


_LEAST_INDEPENDENT_JUDGES = 2  # where KID on the offline features does not count
_NO_JUDGES = localisable(
    "{route} was not shown to the independent judges, as in scores of older versions; remove "
    "scores.json and evaluate again, or switch off promote.judges_not_worse and set "
    "promote.min_judge_share 0."
)
_CONDITIONS = (
    _no_better_than_untranslated,
    _no_better_than_closed_forms,
    _fid_worse,
    _too_short_a_way,
    _worse_by_a_judge,
    _too_short_a_way_by_a_judge,
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
            return localised(
                "the champion {champion} was measured on other pictures ({differing} differ), so "
                "that their figures cannot be compared; evaluate again, with it as the champion.",
                champion=champion.name,
                differing=", ".join(differing) or localised("too few"),
            )
        kids = [direction.figure("kid") for direction in scores.directions.values()]
        change = (mean - champion_scores.mean_kid, _half_width(kids))
    value, margin = change
    if value + (margin if rule.surely else 0.0) < 0:
        return ""
    return localised(
        "its mean KID is {kid:.4f}, the champion {champion} has {of_champion:.4f} on the same "
        "pictures{end}",
        kid=mean,
        champion=champion.name,
        of_champion=mean - value,
        end=localised(" (95 % interval of the difference: ± {margin:.4f}).", margin=margin)
        if rule.surely
        else localised("."),
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
