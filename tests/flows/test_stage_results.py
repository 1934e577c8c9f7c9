from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from prefect.client.schemas.objects import State
from prefect.states import Completed
from prefect.utilities.names import generate_slug

from core.workspace import Workspace
from evaluation.model_registry.promote import Promotion
from flows.recipes import makeup
from flows.stage_results import Status, crawl_result, promote_result
from flows.states import StageLog
from flows.ui.approval import Approval, apply_approval
from flows.ui.run_names import is_random
from scraping.config import CrawlConfig
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
    gap = crawl_result(config, _crawled(partial=True, num_waiting=13), 0, 1)
    assert gap.status is Status.PARTIAL
    assert "13 pictures could not be fetched or read" in gap.reason
    blocked = crawl_result(config, _crawled(partial=True, stopped="blocked: captcha"), 0, 1)
    assert "1 of 2 searches" in blocked.reason
    assert "could not be fetched" not in blocked.reason
    away = crawl_result(config, _crawled(partial=True, stopped="missing: found no faces"), 0, 1)
    assert "1 folder or list was not there" in away.reason
    assert "searches" not in away.reason
    assert crawl_result(config, _crawled(partial=False), 0, 1).status is Status.DONE


def test_a_crawl_without_any_picture_says_what_to_check() -> None:
    config = CrawlConfig(domain="makeup", phrases=("妆",))
    empty = replace(_crawled(partial=False), num_ok=0, num_added=0)
    for stamp in (0, 1):
        result = crawl_result(config, empty, 0, stamp)
        assert result.status is Status.NOTHING_NEW
        assert "check its phrases, and the address of the engine" in result.reason


def test_a_flow_with_a_partial_stage_is_partial() -> None:
    log = StageLog("makeup")
    with log.stage("1/2 crawl"):
        log.record(cast("State[Any]", Completed(name="Partial", message="cut", data=1)))
    with log.stage("2/2 prepare"):
        log.record(cast("State[Any]", Completed(message="fine", data=2)))
    state = cast("State[Any]", log.final_state(3, "done."))
    assert (state.type.value, state.name) == ("COMPLETED", "Partial")
    assert state.message == "done. Partial: cut"


def test_a_rejected_champion_stays_one_and_it_is_said_how_to_take_it_back(tmp_path: Path) -> None:
    already = Promotion(promoted=True, reason="x is the champion already.", model=Path("m/x"))
    workspace = Workspace(tmp_path)
    rejected = apply_approval(already, Approval(False, "blurred"), workspace, "makeup")
    assert rejected.promoted
    assert "rejected it (blurred)" in rejected.reason
    assert "suyan rollback --recipe makeup" in rejected.reason
    assert apply_approval(already, Approval(None, "late"), workspace, "makeup") == already


def test_a_model_that_is_not_promoted_names_the_state_of_its_task_and_flow() -> None:
    kept = Promotion(promoted=False, reason="Not promoted: worse than nothing.", model=Path("m/x"))
    result = promote_result(kept, changed=True)
    assert (result.status.value, result.reason) == ("Not promoted", "worse than nothing.")
    assert promote_result(kept, changed=False).status is Status.NOTHING_NEW
    crowned = Promotion(promoted=True, reason="x is the champion.", model=Path("m/x"))
    assert promote_result(crowned, changed=True).status is Status.DONE
    log = StageLog("makeup")
    for title, name in (("1/2 evaluate", "Completed"), ("2/2 promote", "Not promoted")):
        with log.stage(title):
            log.record(cast("State[Any]", Completed(name=name, message="why", data=1)))
    state = cast("State[Any]", log.final_state(3, "why"))
    assert (state.type.value, state.name, state.message) == ("COMPLETED", "Not promoted", "why")


def test_names_that_prefect_makes_up_are_told_from_those_of_people() -> None:
    assert all(is_random(generate_slug(2)) for _ in range(100))
    people = ("makeup", "first try", "my-run", "makeup 2026-11-28 10:00", "a-b-c", "")
    assert not [name for name in people if is_random(name)]
