"""A person's approval before a model becomes champion: the flow pauses, and the Prefect UI asks.

The decision is saved beside the scores, so that the same scores need only one decision.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from prefect.exceptions import FlowPauseTimeout
from prefect.flow_runs import pause_flow_run
from prefect.input import RunInput
from prefect.states import Running
from pydantic import Field

from core.commands import suyan_command
from core.files import try_load_json, write_json
from core.workspace import Workspace
from core.workspace_folders import EvaluationFolder
from evaluation.model_registry.model_versions import crown
from evaluation.model_registry.promote import Promotion
from flows.states import set_state
from flows.ui.run_progress import run_logger

if TYPE_CHECKING:
    from evaluation.evaluate import Evaluation
    from evaluation.figures import Figure

_POLL_S = 5


class Decision(RunInput):
    """The form that the Prefect UI shows."""

    decision: Literal["approve", "reject"] = Field(
        description="approve: the model becomes the recipe's champion; reject: it is stored only"
    )
    reason: str = Field(
        "", max_length=500, description="Reason, stored with the model's history; default: none"
    )


@dataclass(frozen=True)
class Approval:
    """A person's decision; ``approved`` is ``None`` when there was none in time.

    ``is_new`` is false for a decision that an earlier run saved.
    """

    approved: bool | None
    reason: str
    is_new: bool = False


def ask(evaluation: Evaluation, recipe: str, timeout_h: float) -> Approval:
    """Pause the flow run until a person approves or rejects, or ``timeout_h`` hours have passed.

    Call it in the flow itself, not in a task. A decision that was saved for the same scores is
    returned at once.
    """
    saved = _load_decision(evaluation)
    if saved is not None:
        run_logger().info("decided before: %s", saved.reason)
        return saved
    run_logger().info(
        "waiting for approval in the Prefect UI (Resume, on this run's page), for %g hours",
        timeout_h,
    )
    form = Decision.with_initial_data(description=_question(evaluation, recipe))
    try:
        answer = pause_flow_run(
            wait_for_input=form, timeout=max(1, round(3600 * timeout_h)), poll_interval=_POLL_S
        )
    except FlowPauseTimeout:
        set_state(Running())
        return Approval(None, f"nobody decided within {timeout_h:g} hours; run again to be asked")
    _save_decision(evaluation, answer)
    return Approval(answer.decision == "approve", _reason(answer), is_new=True)


def apply_approval(
    promotion: Promotion, approval: Approval, workspace: Workspace, recipe: str
) -> Promotion:
    """Make the stored model the champion if it was approved; returns the promotion.

    ``promotion`` comes from a rule that makes no new champion.
    """
    name = promotion.model.name
    if promotion.promoted and approval.approved is False:
        undo = suyan_command("rollback", workspace=workspace, recipe=recipe)
        reason = (
            f"{name}: a person rejected it ({approval.reason}), but it is the champion already and "
            f"stays so. To go back to the one before: '{undo}'."
        )
        return Promotion(promoted=True, reason=reason, model=promotion.model)
    if promotion.promoted:
        return promotion  # the champion already
    if approval.approved:
        crown(workspace, recipe, name, approval.reason)
        reason = f"{name} is the champion of {recipe}: a person approved ({approval.reason})."
        return Promotion(promoted=True, reason=reason, model=promotion.model)
    cause = "a person rejected it" if approval.approved is False else "no approval"
    reason = f"Not promoted: {cause} ({approval.reason}). It is stored as {promotion.model}."
    return Promotion(promoted=False, reason=reason, model=promotion.model)


def _question(evaluation: Evaluation, recipe: str) -> str:
    """The verdict, the figures and the path of the report, as markdown."""
    rows = [
        f"- {direction.route}: {_kid(direction.figure('kid'))}; "
        f"untranslated: {_kid(direction.figure('kid_baseline'))}"
        for direction in evaluation.scores.directions.values()
    ]
    return "\n".join(
        [
            f"Shall this model be the champion of **{recipe}**?",
            "",
            f"{evaluation.verdict}",
            "",
            "Distance to real pictures (KID, lower is better):",
            "",
            *rows,
            "",
            "Pictures and more figures: *Artifacts*, on this run's page. The whole report:",
            f"`{evaluation.report}`",
        ]
    )


def _kid(figure: Figure | None) -> str:
    if figure is None:
        return "too few pictures to tell"
    return f"{figure.value:.4f} ({figure.low:.4f} to {figure.high:.4f})"


def _reason(answer: Decision) -> str:
    return answer.reason or f"a person decided: {answer.decision}"


def _load_decision(evaluation: Evaluation) -> Approval | None:
    """The decision that was saved for these scores; ``None`` where there is none."""
    saved = try_load_json(EvaluationFolder(evaluation.folder).decision)
    if saved is None or not {"key", "decision", "reason"} <= saved.keys():
        return None
    if saved["key"] != evaluation.scores.key:
        return None
    return Approval(saved["decision"] == "approve", str(saved["reason"]))


def _save_decision(evaluation: Evaluation, answer: Decision) -> None:
    write_json(
        EvaluationFolder(evaluation.folder).decision,
        {
            "decision": answer.decision,
            "reason": _reason(answer),
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "key": evaluation.scores.key,
        },
    )
