from pathlib import Path
from typing import Any, cast

from prefect.client.schemas.objects import State
from prefect.states import Completed

from core.workspace import Workspace
from evaluation.model_registry.promote import Promotion
from flows import tasks
from flows.approval import Approval
from flows.outcomes import of_crawl
from flows.pipeline import StageClock
from flows.recipes import makeup
from scraping.crawl import CrawlSummary


def _crawled(*, partial: bool, num_waiting: int = 0, stopped: str = "exhausted") -> CrawlSummary:
    return CrawlSummary(
        domain="makeup",
        listing=Path("listing.parquet"),
        preview=Path("preview.jpg"),
        num_hits=40,
        num_ok=30,
        num_rejected=10,
        num_added=30,
        reasons={},
        phrases=[{"stopped_because": stopped}, {"stopped_because": "enough"}],
        partial=partial,
        num_waiting=num_waiting,
    )


def test_a_partial_crawl_says_what_it_left_and_why() -> None:
    config = makeup().crawl_a
    gap = of_crawl(config, _crawled(partial=True, num_waiting=13), 0, 1)
    assert gap.work == "Partial"
    assert "13 downloads failed" in gap.why
    blocked = of_crawl(config, _crawled(partial=True, stopped="blocked: captcha"), 0, 1)
    assert "1 of 2 searches" in blocked.why
    assert "failed" not in blocked.why
    assert of_crawl(config, _crawled(partial=False), 0, 1).work == "Done"


def test_a_flow_with_a_partial_stage_is_partial() -> None:
    clock = StageClock()
    with clock.stage("1/2 crawl") as stage:
        stage.result(cast("State[Any]", Completed(name="Partial", message="cut", data=1)))
    with clock.stage("2/2 prepare") as stage:
        stage.result(cast("State[Any]", Completed(message="fine", data=2)))
    told = cast("State[Any]", clock.told(3, "done."))
    assert (told.type.value, told.name) == ("COMPLETED", "Partial")
    assert told.message == "done. Partial: cut"


def test_a_rejected_champion_stays_one_and_it_is_said_how_to_take_it_back(tmp_path: Path) -> None:
    already = Promotion(promoted=True, reason="x is the champion already.", model=Path("m/x"))
    told = tasks._decided(already, Approval(False, "blurred"), Workspace(tmp_path), "makeup")
    assert told.promoted
    assert "rejected it (blurred)" in told.reason
    assert "suyan rollback --recipe makeup" in told.reason
    assert tasks._decided(already, Approval(None, "late"), Workspace(tmp_path), "makeup") == already
