"""A person decides before a model becomes champion: the flow pauses, and the Prefect UI asks.

What was decided lies beside the figures, in ``decision.json``, so that nobody is asked twice.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.exceptions import FlowPauseTimeout
from prefect.flow_runs import pause_flow_run
from prefect.input import RunInput
from prefect.runtime import flow_run
from prefect.states import Running
from pydantic import Field

from core.files import write_json
from flows.ui.run_progress import run_logger

if TYPE_CHECKING:
    from evaluation.evaluate import Evaluation
    from evaluation.figures import Figure

_POLL_S = 5


class Decision(RunInput):
    """The form that the Prefect UI shows."""

    decision: Literal["approve", "reject"] = Field(
        description="approve: the model becomes the recipe's champion; reject: it is kept only"
    )
    reason: str = Field("", max_length=500, description="Why; kept with the model's history")


@dataclass(frozen=True)
class Approval:
    """What a person said; ``approved`` is None when nobody did in time."""

    approved: bool | None
    reason: str
    said_now: bool = False  # not in an earlier run


def ask(evaluation: Evaluation, recipe: str, timeout_h: float) -> Approval:
    """Pause the flow run until a person approves or rejects, or ``timeout_h`` hours are over.

    Call it in the flow itself. What was decided on the same figures before is not asked again.
    """
    known = _known(evaluation)
    if known is not None:
        run_logger().info("decided before: %s", known.reason)
        return known
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
        _go_on()
        return Approval(None, f"nobody decided within {timeout_h:g} hours; run again to be asked")
    _remember(evaluation, answer)
    return Approval(
        answer.decision == "approve",
        answer.reason or f"a person said {answer.decision}",
        said_now=True,
    )


def _go_on() -> None:
    """Set the run, which Prefect still calls paused, to running: its tasks would not start."""
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(UUID(str(flow_run.id)), Running(), force=True)


def _question(evaluation: Evaluation, recipe: str) -> str:
    """The verdict, the figures and the way to the report, as markdown."""
    rows = [
        f"- {direction.route}: {_kid(direction.figure('kid'))}; "
        f"left as it is: {_kid(direction.figure('kid_baseline'))}"
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


def _file(evaluation: Evaluation) -> Path:
    return evaluation.folder / "decision.json"


def _known(evaluation: Evaluation) -> Approval | None:
    try:
        found = json.loads(_file(evaluation).read_text(encoding="utf-8"))
        if found["key"] != evaluation.scores.key:
            return None
        return Approval(found["decision"] == "approve", str(found["reason"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _remember(evaluation: Evaluation, answer: Decision) -> None:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    write_json(
        _file(evaluation),
        {
            "decision": answer.decision,
            "reason": answer.reason or f"a person said {answer.decision}",
            "at": now,
            "key": evaluation.scores.key,
        },
    )
