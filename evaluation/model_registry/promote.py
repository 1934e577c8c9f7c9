"""The gate: a measured model becomes its recipe's champion when it has earned it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import SuyanError
from core.workspace import Workspace
from evaluation import weights_choice
from evaluation.config import PromoteConfig
from evaluation.model_registry.model_versions import (
    current,
    locked,
    mean_kid,
    models_folder,
    move_pointer,
    store,
)


@dataclass(frozen=True)
class Promotion:
    """What became of a model: ``model`` is its folder in any case.

    A model that was not promoted can be all the same, by a person: ``registry.crown``.
    """

    promoted: bool  # it is the champion now
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
    repeated call changes nothing. One process at a time decides; others wait.

    Raises ``ValueError`` for a recipe name that is no plain name, ``SuyanError`` when
    ``evaluation`` holds no scores, ``CheckpointError`` when the evaluated checkpoint is gone.
    """
    models = models_folder(workspace, recipe)
    scores = _scores(evaluation)
    with locked(models):
        model = store(run, evaluation, scores, workspace, models)
        return _decide(model, scores, workspace, models, rule)


def _scores(evaluation: Path) -> dict[str, Any]:
    try:
        scores: dict[str, Any] = json.loads((evaluation / "scores.json").read_text("utf-8"))
    except (FileNotFoundError, json.JSONDecodeError) as error:
        raise SuyanError(f"{evaluation}: no whole scores.json ({error}); evaluate first") from error
    return scores


def _decide(
    model: Path, scores: Mapping[str, Any], workspace: Workspace, models: Path, rule: PromoteConfig
) -> Promotion:
    rival = current(models)
    if rival == model:
        return Promotion(
            promoted=True, reason=f"{model.name} is the champion already.", model=model
        )
    objection = _objection(scores, rival, rule)
    if objection:
        use = (
            f"It is kept as {model.relative_to(workspace)}: give that path to use it, or "
            f"'suyan promote {model.name} --recipe {models.name}' to make it champion all the same."
        )
        reason = f"Not promoted: {objection} {use}{weights_choice.told(scores)}"
        return Promotion(promoted=False, reason=reason, model=model)
    reason = "it passed the gate" + (f" against {rival.name}" if rival else "")
    move_pointer(models, model, by="gate", reason=reason)
    instead = f" in place of {rival.name}" if rival else ""
    better = ": both directions are better than untranslated pictures" * rule.beat_untranslated
    reason = f"{model.name} is the champion of {models.name}{instead}{better}."
    reason += weights_choice.told(scores)
    return Promotion(promoted=True, reason=reason, model=model)


def _objection(scores: Mapping[str, Any], rival: Path | None, rule: PromoteConfig) -> str:
    """Why the model may not be champion; ``""`` when it may."""
    if not rule.automatic:
        return "only a person promotes (promote.automatic is off)."
    mean = mean_kid(scores)
    if mean is None or not math.isfinite(mean):
        return "too few held-out pictures to tell whether it is better than doing nothing."
    for direction in scores["directions"].values():
        after, before = direction["kid"]["value"], direction["kid_baseline"]["value"]
        change = direction["kid_change"]["high"] if rule.surely else after - before
        if rule.beat_untranslated and not change < 0:
            return (
                f"{direction['from']} → {direction['to']} has a KID of {after:.4f}, and leaving "
                f"pictures as they are has {before:.4f}"
                + (": better, but not surely so." if after < before else ".")
            )
    return _beaten_by(scores, mean, rival, rule) if rival else ""


def _beaten_by(scores: Mapping[str, Any], mean: float, rival: Path, rule: PromoteConfig) -> str:
    """Why the champion stays; ``""`` when the model is better."""
    change = _change_to(scores, rival)
    if change is None:
        theirs = json.loads((rival / "scores.json").read_text("utf-8"))
        same = ("dataset", "features", "px", "counts")
        differing = [key for key in same if theirs.get(key) != scores.get(key)]
        mean_theirs = mean_kid(theirs)
        if differing or mean_theirs is None:
            return (
                f"the champion {rival.name} was measured on other pictures "
                f"({', '.join(differing) or 'too few'} differ), so that their figures cannot be "
                "compared; evaluate again, with it as the champion."
            )
        change = (mean - mean_theirs, _half_width(scores, "kid"))
    value, margin = change
    if not value + (margin if rule.surely else 0.0) < 0:
        return (
            f"its mean KID is {mean:.4f}, the champion {rival.name} has {mean - value:.4f} on the "
            f"same pictures"
            + (f" (the difference is sure to ± {margin:.4f})." * rule.surely or ".")
        )
    return ""


def _change_to(scores: Mapping[str, Any], rival: Path) -> tuple[float, float] | None:
    """Mean KID less the champion's by paired pictures, and its margin; ``None``: not measured."""
    if scores.get("champion", {}).get("model") != rival.name:
        return None
    paired: dict[str, dict[str, Any]] = {"directions": {}}
    for name, direction in scores["directions"].items():
        if "kid_change" not in direction.get("champion", {}):
            return None
        paired["directions"][name] = {"kid": direction["champion"]["kid_change"]}
    value = mean_kid(paired)
    assert value is not None
    return value, _half_width(paired, "kid")


def _half_width(scores: Mapping[str, Any], key: str) -> float:
    """Upper half of the 95 % interval of a figure's mean over directions, taken as independent."""
    halves = [
        float(direction[key]["high"]) - float(direction[key]["value"])
        for direction in scores["directions"].values()
    ]
    return float(sum(half**2 for half in halves) ** 0.5 / len(halves))
