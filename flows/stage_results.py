"""The outcome of a stage, and its reason: new work, a continuation, a part, or none."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.workspace import Workspace
from evaluation.model_registry.promote import Promotion, not_promoted
from flows.ui.page_words import count, say
from scraping.config import CrawlConfig
from scraping.crawl import CrawlSummary, crawl_name

if TYPE_CHECKING:
    from evaluation.evaluate import Evaluation
    from preprocessing.prepare import PrepareSummary
    from training.train import TrainSummary


class Status(enum.StrEnum):
    """The outcome of a stage, which is also the name of its task's state in the Prefect UI."""

    DONE = "Completed"
    CONTINUED = "Continued"  # from where an earlier run stopped
    PARTIAL = "Partial"
    NOT_PROMOTED = "Not promoted"  # the model was stored, and is not the champion
    NOTHING_NEW = "Nothing new"  # an earlier run had done it all


@dataclass(frozen=True)
class StageResult:
    """A stage's status and the reason for it, a sentence for the Prefect UI."""

    status: Status
    reason: str


def crawl_stamp(config: CrawlConfig, workspace: Workspace) -> int:
    """A number that changes whenever the crawl writes its summary; 0 before the first summary."""
    path = workspace.crawl(crawl_name(config)).summary
    return path.stat().st_mtime_ns if path.exists() else 0


def crawl_result(
    config: CrawlConfig, summary: CrawlSummary, stamp_before: int, stamp_after: int
) -> StageResult:
    """The result of a crawl; the stamps are ``crawl_stamp`` before and after it."""
    total = say("has_originals", domain=config.domain, originals=count(summary.num_ok, "original"))
    if summary.num_ok == 0 and not summary.partial:
        return StageResult(Status.NOTHING_NEW, say("crawl_empty", domain=config.domain))
    if stamp_before == stamp_after:
        due = (
            say("never_again")
            if config.refresh_after_h is None
            else say("again_after", hours=f"{config.refresh_after_h:g}")
        )
        return StageResult(Status.NOTHING_NEW, say("crawled_before", due=due, total=total))
    if summary.partial:
        return StageResult(
            Status.PARTIAL, say("run_again", part=missing_part(summary), total=total)
        )
    if summary.num_added == 0:
        return StageResult(Status.NOTHING_NEW, say("nothing_found", total=total))
    return StageResult(
        Status.DONE, say("added", new=count(summary.num_added, "new original"), total=total)
    )


def missing_part(summary: CrawlSummary) -> str:
    """A sentence about the missing part of a partial crawl, with the reason."""
    reasons = []
    if num_cut := summary.num_cut_short:
        reasons.append(say("cut_short", num=num_cut, total=len(summary.phrases)))
    if num_missing := summary.num_missing:
        reasons.append(say("sources_missing", sources=count(num_missing, "folder or list")))
    if summary.num_waiting:
        reasons.append(say("waiting", pictures=count(summary.num_waiting, "picture")))
    return say("and").join(reasons)


def prepare_result(summary: PrepareSummary) -> StageResult:
    """The result of a preparation."""
    pictures = count(sum(summary.counts.values()), "picture")
    if summary.reused:
        reason = say("prepared_before", version=summary.version, pictures=pictures)
        return StageResult(Status.NOTHING_NEW, reason)
    return StageResult(Status.DONE, say("prepared", version=summary.version, pictures=pictures))


def train_result(summary: TrainSummary) -> StageResult:
    """The result of a training."""
    if summary.resumed_from_step >= summary.steps:
        steps = count(summary.steps, "step")
        reason = say("trained_before", run=summary.run.name, steps=steps)
        return StageResult(Status.NOTHING_NEW, reason)
    if summary.resumed_from_step:
        return StageResult(
            Status.CONTINUED,
            say("went_on", before=summary.resumed_from_step, now=summary.steps),
        )
    return StageResult(Status.DONE, count(summary.steps, "step"))


def evaluate_result(evaluation: Evaluation) -> StageResult:
    """The result of an evaluation."""
    if evaluation.reused:
        reason = say("measured_before", verdict=evaluation.verdict)
        return StageResult(Status.NOTHING_NEW, reason)
    return StageResult(Status.DONE, evaluation.verdict)


def promote_result(promotion: Promotion, *, changed: bool) -> StageResult:
    """The result of a promotion; ``changed``: it stored a new version or changed the champion."""
    if not changed:
        return StageResult(Status.NOTHING_NEW, promotion.reason)
    if promotion.promoted:
        return StageResult(Status.DONE, promotion.reason)
    return StageResult(Status.NOT_PROMOTED, promotion.reason.removeprefix(not_promoted("")))
