"""The outcome of a stage, and its reason: new work, a continuation, a part, or none."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.language.messages import localised
from core.progress import counted
from core.workspace import Workspace
from evaluation.model_registry.promote import Promotion
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
    total = localised(
        "{domain} has {originals}",
        domain=config.domain,
        originals=counted(summary.num_ok, "original"),
    )
    if stamp_before == stamp_after:
        due = (
            localised("it is never searched again (refresh_after_h is empty)")
            if config.refresh_after_h is None
            else localised(
                "it is searched again when older than {hours:g} hours",
                hours=config.refresh_after_h,
            )
        )
        return StageResult(
            Status.NOTHING_NEW,
            localised("this crawl was finished before, and {due}: {total}", due=due, total=total),
        )
    if summary.partial:
        return StageResult(
            Status.PARTIAL,
            localised(
                "{problem}: run it again. {total}",
                problem=missing_part(summary),
                total=total,
            ),
        )
    if summary.num_added == 0:
        return StageResult(
            Status.NOTHING_NEW, localised("nothing new was found: {total}", total=total)
        )
    return StageResult(Status.DONE, f"{counted(summary.num_added, 'new original')}: {total}")


def missing_part(summary: CrawlSummary) -> str:
    """A sentence about the missing part of a partial crawl, with the reason."""
    reasons = []
    if num_cut := summary.num_cut_short:
        reasons.append(
            localised(
                "the search engine cut {num_cut} of {num} searches short",
                num_cut=num_cut,
                num=len(summary.phrases),
            )
        )
    if num_missing := summary.num_missing:
        reasons.append(
            localised(
                "{sources} was not there",
                sources=counted(num_missing, "folder or list"),
            )
        )
    if summary.num_waiting:
        reasons.append(
            localised(
                "{pictures} could not be fetched or read, for reasons that may pass",
                pictures=counted(summary.num_waiting, "picture"),
            )
        )
    return localised(" and ").join(reasons)


def prepare_result(summary: PrepareSummary) -> StageResult:
    """The result of a preparation."""
    num_pictures = sum(summary.counts.values())
    if summary.reused:
        cause = localised("the same originals and settings gave this dataset before")
        return StageResult(
            Status.NOTHING_NEW, f"{cause}: {summary.version}, {counted(num_pictures, 'picture')}"
        )
    return StageResult(Status.DONE, f"{summary.version}: {counted(num_pictures, 'picture')}")


def train_result(summary: TrainSummary) -> StageResult:
    """The result of a training."""
    if summary.resumed_from_step >= summary.steps:
        cause = localised("this dataset was trained with these settings before")
        return StageResult(
            Status.NOTHING_NEW, f"{cause}: {summary.run.name}, {counted(summary.steps, 'step')}"
        )
    if summary.resumed_from_step:
        return StageResult(
            Status.CONTINUED,
            localised(
                "went on from step {former} to {steps}",
                former=summary.resumed_from_step,
                steps=summary.steps,
            ),
        )
    return StageResult(Status.DONE, counted(summary.steps, "step"))


def evaluate_result(evaluation: Evaluation) -> StageResult:
    """The result of an evaluation."""
    if evaluation.reused:
        cause = localised("this checkpoint was measured with these settings before")
        return StageResult(Status.NOTHING_NEW, f"{cause}: {evaluation.verdict}")
    return StageResult(Status.DONE, evaluation.verdict)


def promote_result(promotion: Promotion, *, changed: bool) -> StageResult:
    """The result of a promotion; ``changed``: it stored a new version or changed the champion."""
    if not changed:
        return StageResult(Status.NOTHING_NEW, promotion.reason)
    if promotion.promoted:
        return StageResult(Status.DONE, promotion.reason)
    return StageResult(Status.NOT_PROMOTED, promotion.reason.removeprefix("Not promoted: "))
