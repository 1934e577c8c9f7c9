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
from core.language.messages import localised
from core.workspace import Workspace
from core.workspace_folders import EvaluationFolder
from evaluation.model_registry.model_versions import crown
from evaluation.model_registry.promote import Promotion, not_promoted
from evaluation.report.wording import explanations
from flows.states import set_state
from flows.ui.markdown import Page
from flows.ui.page_words import page_language, say
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


class ChineseDecision(Decision):
    """The same form in Chinese."""

    decision: Literal["approve", "reject"] = Field(
        title="决定", description="approve：批准，成为该配方的冠军；reject：不批准，只保存模型"
    )
    reason: str = Field(
        "", max_length=500, title="理由", description="理由，记入模型的历史；默认不填"
    )


def _form() -> type[Decision]:
    return ChineseDecision if page_language() == "zh" else Decision


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
        run_logger().info(localised("decided before: %s"), saved.reason)
        return saved
    run_logger().info(
        localised(
            "waiting for approval in the Prefect UI (Resume, on this run's page), for %g hours"
        ),
        timeout_h,
    )
    question = _question(evaluation, recipe)
    page = Page(f"decision-{recipe}")
    page.write(say("asks", recipe=recipe), question, say("until", hours=f"{timeout_h:g}"))
    form = _form().with_initial_data(description=question)
    try:
        answer = pause_flow_run(
            wait_for_input=form, timeout=max(1, round(3600 * timeout_h)), poll_interval=_POLL_S
        )
    except FlowPauseTimeout:
        set_state(Running())
        reason = localised(
            "nobody decided within {hours} hours; run again to be asked", hours=f"{timeout_h:g}"
        )
        page.write(say("undecided", recipe=recipe, reason=reason), question)
        return Approval(None, reason)
    _save_decision(evaluation, answer)
    page.write(say(answer.decision, recipe=recipe, reason=_reason(answer)), question)
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
        reason = localised(
            "{name}: a person rejected it ({why}), but it is the champion already and stays so. To "
            "go back to the one before: '{undo}'.",
            name=name,
            why=approval.reason,
            undo=undo,
        )
        return Promotion(promoted=True, reason=reason, model=promotion.model)
    if promotion.promoted:
        return promotion  # the champion already
    if approval.approved:
        crown(workspace, recipe, name, approval.reason)
        reason = localised(
            "{name} is the champion of {recipe}: a person approved ({why}).",
            name=name,
            recipe=recipe,
            why=approval.reason,
        )
        return Promotion(promoted=True, reason=reason, model=promotion.model)
    cause = (
        localised("a person rejected it")
        if approval.approved is False
        else localised("no approval")
    )
    reason = not_promoted(
        localised(
            "{cause} ({why}). It is stored as {model}.",
            cause=cause,
            why=approval.reason,
            model=promotion.model,
        )
    )
    return Promotion(promoted=False, reason=reason, model=promotion.model)


def _question(evaluation: Evaluation, recipe: str) -> str:
    """The verdict, the figures and the path of the report, as markdown."""
    rows = [
        "- "
        + localised(
            "{route}: {kid}; untranslated: {untranslated}",
            route=direction.route,
            kid=_kid(direction.figure("kid")),
            untranslated=_kid(direction.figure("kid_baseline")),
        )
        for direction in evaluation.scores.directions.values()
    ]
    return "\n".join(
        [
            localised("Shall this model be the champion of **{recipe}**?", recipe=recipe),
            "",
            f"{evaluation.verdict}",
            "",
            " ".join(explanations(evaluation.language)),
            "",
            localised("Distance to real pictures (KID, lower is better):"),
            "",
            *rows,
            "",
            localised(
                "Pictures and more figures: *Artifacts*, on this run's page. The whole report:"
            ),
            f"`{evaluation.report}`",
        ]
    )


def _kid(figure: Figure | None) -> str:
    if figure is None:
        return localised("too few pictures to tell")
    return localised(
        "{value:.4f} ({low:.4f} to {high:.4f})",
        value=figure.value, low=figure.low, high=figure.high,
    )  # fmt: skip


def _reason(answer: Decision) -> str:
    return answer.reason or localised("a person decided: {decision}", decision=answer.decision)


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
