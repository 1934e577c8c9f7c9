"""What a stage did and why, in words: done, gone on with, done in part, or nothing new."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from core.workspace import Workspace
from evaluation.model_registry.promote import Promotion
from scraping.config import CrawlConfig
from scraping.crawl import CrawlSummary, crawl_name

if TYPE_CHECKING:
    from evaluation.evaluate import Evaluation
    from preprocessing.prepare import PrepareSummary
    from training.train import TrainSummary

Work = Literal["Done", "Continued", "Partial", "Nothing new"]


@dataclass(frozen=True)
class Outcome:
    """``work`` is also the name of the task's state in the Prefect UI, ``why`` its message."""

    work: Work
    why: str


def crawl_stamp(config: CrawlConfig, workspace: Workspace) -> int:
    """Changes whenever a crawl reads or publishes anything; 0 before it ever did."""
    path = workspace / "crawls" / crawl_name(config) / "summary.json"
    return path.stat().st_mtime_ns if path.exists() else 0


def of_crawl(config: CrawlConfig, summary: CrawlSummary, before: int, after: int) -> Outcome:
    """``before`` and ``after`` are the crawl's stamps around the call."""
    held = f"{summary.num_ok} originals of {config.domain} are here"
    if before == after:
        due = (
            "it is never searched again (refresh_after_h is empty)"
            if config.refresh_after_h is None
            else f"it is searched again when older than {config.refresh_after_h:g} hours"
        )
        return Outcome("Nothing new", f"this crawl was finished before, and {due}: {held}")
    if summary.partial:
        return Outcome("Partial", f"{what_is_left(summary)}: run it again. {held}")
    if summary.num_added == 0:
        return Outcome("Nothing new", f"searched, and found nothing new: {held}")
    return Outcome("Done", f"{summary.num_added} new originals: {held}")


def what_is_left(summary: CrawlSummary) -> str:
    """Why a partial crawl has less than there is."""
    cut, num_searches = summary.num_cut_short, len(summary.phrases)
    reasons = [f"the search engine cut {cut} of {num_searches} searches short"] if cut else []
    if summary.num_waiting:
        reasons.append(f"{summary.num_waiting} downloads failed for reasons that may pass")
    return " and ".join(reasons)


def of_prepare(summary: PrepareSummary) -> Outcome:
    """A version is named after its configuration and originals."""
    pictures = sum(summary.counts.values())
    if summary.reused:
        same = "the same originals and settings gave this dataset before"
        return Outcome("Nothing new", f"{same}: {summary.version}, {pictures} pictures")
    return Outcome("Done", f"{summary.version}: {pictures} pictures")


def of_train(summary: TrainSummary) -> Outcome:
    """A run is named after its dataset and settings."""
    if summary.resumed_from_step >= summary.steps:
        same = "this dataset was trained with these settings before"
        return Outcome("Nothing new", f"{same}: {summary.run.name}, {summary.steps} steps")
    if summary.resumed_from_step:
        return Outcome(
            "Continued", f"went on from step {summary.resumed_from_step} to {summary.steps}"
        )
    return Outcome("Done", f"{summary.steps} steps")


def of_evaluate(evaluation: Evaluation) -> Outcome:
    """Figures are stored under a digest of all that they depend on."""
    if evaluation.reused:
        same = "this checkpoint was measured with these settings before"
        return Outcome("Nothing new", f"{same}: {evaluation.verdict}")
    return Outcome("Done", evaluation.verdict)


def of_promote(promotion: Promotion, *, changed: bool) -> Outcome:
    """``changed``: the model is a new version, or the recipe's champion is another one now."""
    return Outcome("Done" if changed else "Nothing new", promotion.reason)
