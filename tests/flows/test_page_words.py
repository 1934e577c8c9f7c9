"""The pages and outcomes of a run are Chinese where its report is, and English elsewhere."""

import contextlib
import logging
import re
import string
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image
from prefect.exceptions import ParameterTypeError

from core.errors import SuyanError, TooFewImagesError
from core.files import write_json
from core.language.messages import localised
from core.workspace import Workspace
from evaluation.config import EvaluateConfig
from evaluation.figures import Figure
from flows import model
from flows.forms.run_parameters import _choose_language, _lines
from flows.parameters import EvaluateParameters
from flows.stage_results import (
    StageResult,
    Status,
    crawl_result,
    evaluate_result,
    prepare_result,
    train_result,
)
from flows.states import StageLog
from flows.ui import approval, artifacts
from flows.ui.markdown import Page
from flows.ui.page_words import PAGE_WORDS, page_language, use_language
from preprocessing.config import PrepareConfig
from scraping.config import CrawlConfig

NAMES = {"makeup", "bare", "http", "step", "run", "refresh_after_h", "Retry"}  # of data and buttons


@pytest.fixture
def chinese() -> None:
    use_language("zh")


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts of the pages that are written."""
    texts: list[str] = []
    monkeypatch.setattr(Page, "write", lambda _self, *parts: texts.extend(parts))
    return texts


def _english(text: str) -> set[str]:
    without_paths = re.sub(r"`[^`]*`|data:\S+|makeup-bare\S*", "", text)
    return set(re.findall(r"[A-Za-z_]{3,}", without_paths)) - NAMES


def _summary(**values: Any) -> Any:
    return SimpleNamespace(**values)


def _crawl(*, partial: bool = True, num_added: int = 2) -> Any:
    phrase = {"phrase": "素颜", "stopped_because": "", "rejected": {}} | dict.fromkeys(
        ("pages", "hits", "new", "stored", "duplicates"), 3
    )
    return _summary(
        domain="bare", num_ok=7, num_hits=9, num_duplicates=0, num_added=num_added,
        reasons={"http-404": 2},
        partial=partial, num_cut_short=1, num_missing=2, num_waiting=1, phrases=[phrase, phrase],
        preview=Path("none.jpg"), listing=Path("crawls/bare/listing.parquet"),
    )  # fmt: skip


def _outcomes() -> list[StageResult]:
    search, never = (CrawlConfig(domain="bare", phrases=("素颜",), refresh_after_h=hours)
                     for hours in (24, None))  # fmt: skip
    made = {"counts": {"trainA": 3}, "version": "makeup-bare-1"}
    trained = {"run": Path("run"), "steps": 9}
    return [
        crawl_result(search, _crawl(), 1, 1),
        crawl_result(never, _crawl(), 1, 1),
        crawl_result(search, _crawl(), 1, 2),
        crawl_result(search, _crawl(partial=False), 1, 2),
        crawl_result(search, _crawl(partial=False, num_added=0), 1, 2),
        prepare_result(_summary(**made, reused=True)),
        prepare_result(_summary(**made, reused=False)),
        *(train_result(_summary(**trained, resumed_from_step=step)) for step in (0, 4, 9)),
        evaluate_result(_summary(reused=True, verdict="")),
    ]


def _pages(tmp_path: Path) -> None:
    """Write every page whose words are those of ``PAGE_WORDS``."""
    artifacts.crawl_yields(_crawl())
    (tmp_path / "card.zh.md").write_text("# 数据集", encoding="utf-8")
    (tmp_path / "card.md").write_text("# Dataset", encoding="utf-8")
    config = PrepareConfig(domain_a="makeup", domain_b="bare")
    write_json(tmp_path / "config.json", config.model_dump(mode="json"))
    for sheet in ("contact-trainA", "contact-testB", "rejected-no-face", "duplicates", "doubtful",
                  "unlikely"):  # fmt: skip
        Image.new("RGB", (8, 8)).save(tmp_path / f"{sheet}.jpg")
    counts = {"trainA": 5, "testA": 1, "trainB": 4, "testB": 2}
    prepared = _summary(
        counts=counts, dataset=tmp_path, version="makeup-bare-1", reused=False, rejected={}
    )
    artifacts.dataset_card(prepared)
    trained = _summary(run=tmp_path, steps=1, epochs=1)
    measured = _summary(verdict="", report=tmp_path)
    promotion = _summary(model=tmp_path / "step1", reason="")
    artifacts.lineage("makeup", [_crawl()], config, prepared, trained, measured, promotion)
    stages = ("crawl", "prepare", "train", "evaluate", "promote", "publish")
    results = {"train": [StageResult(status, "") for status in Status]}
    artifacts.stages("makeup", dict.fromkeys(stages, 0.0), results, "")
    error = TooFewImagesError(localised("a person rejected it"))
    artifacts.failure("makeup", "prepare", error, {"crawl": 2.0}, {"crawl": results["train"]})


@pytest.mark.usefixtures("chinese")
def test_a_chinese_run_has_chinese_pages_and_outcomes(written: list[str], tmp_path: Path) -> None:
    _pages(tmp_path)
    assert "# 数据集" in written
    assert "化妆：训练 5，留出 1; 素颜：训练 4，留出 2 · makeup-bare-1" in written
    assert "化妆，用于训练" in " ".join(written)
    assert "**makeup** 在“预处理”阶段失败：人工未批准" in " ".join(written)
    assert _english(" ".join(written)) == set()
    assert {word for outcome in _outcomes() for word in _english(outcome.reason)} == set()


@pytest.mark.parametrize(("worker", "report", "pages"), [
    ("zh", None, "zh"), ("en", None, "en"), ("zh", "en", "en"), ("en", "zh", "zh"),
])  # fmt: skip
def test_a_run_without_a_report_speaks_the_language_of_its_worker(
    monkeypatch: pytest.MonkeyPatch, worker: str, report: str | None, pages: str
) -> None:
    monkeypatch.setenv("SUYAN_LANG", worker)
    _choose_language(_summary(evaluate=_summary(language=report)) if report else _summary())
    assert page_language() == pages


@pytest.mark.usefixtures("chinese")
def test_a_chinese_run_lists_what_it_was_given_in_chinese() -> None:
    effective = _summary(recipe_values={("train", "seed"): 0})
    assert _lines(effective, {("train", "seed"): 7}) == ["train.seed 7（配方：0）"]


def test_other_runs_are_english(written: list[str], tmp_path: Path) -> None:
    _pages(tmp_path)
    assert "# Dataset" in written
    texts = [*written, *(outcome.reason for outcome in _outcomes())]
    assert not re.search(r"[\u3000-\uffef]", "".join(texts).replace("素颜", ""))
    assert "7 of 9 hits became originals" in written[0]
    assert "makeup: 5 to train on, 1 held out; bare: 4 to train on, 2 held out" in " ".join(written)
    assert "makeup, to train on" in " ".join(written)


def test_a_failed_stage_writes_a_page_with_the_error_and_what_to_do(written: list[str]) -> None:
    log = StageLog("makeup")
    with pytest.raises(TooFewImagesError), log.stage("2/5 prepare"):
        raise TooFewImagesError("too few usable pictures:\n  domain 'bare': 3 found")
    first, *parts = written
    assert first == "**makeup** failed at the stage prepare: too few usable pictures"
    assert "> domain 'bare': 3 found" in "".join(parts)
    assert "Retry, at the top of the run's page" in "".join(parts)


def test_a_run_that_finds_no_training_has_a_page_of_its_failure_too(
    written: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(model, "one_at_a_time", lambda _limit: contextlib.nullcontext())
    parameters = EvaluateParameters(recipe="makeup", evaluate=EvaluateConfig())
    with pytest.raises(SuyanError):
        model._evaluate("nothere", parameters, Workspace(tmp_path))
    assert written[0].startswith("**evaluate-makeup** failed at the stage evaluate: ")


def test_a_log_has_the_message_of_our_own_errors_without_a_traceback(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    logger = logging.getLogger("prefect.task_runs")
    # where Prefect's logging is set up already, its handler would ask for a run
    monkeypatch.setattr(logger, "handlers", [caplog.handler])
    monkeypatch.setattr(logger, "propagate", False)
    caplog.set_level(logging.INFO, logger.name)
    known = TooFewImagesError("too few:\n  50 % of them")
    refused = ParameterTypeError("refused:\n - parameters: Value error, train.sed: no parameter")
    for error, line in (
        (known, "Task run failed with exception: ..."),
        (KeyError("a bug"), "Task run failed with exception: ..."),
        (known, "Engine execution exited with unexpected exception"),
        (refused, "Engine execution exited with unexpected exception"),
    ):
        try:
            raise error
        except (SuyanError, KeyError, ParameterTypeError):
            logger.exception(line)
    ours, bug, parameters = caplog.records
    text = "refused:\n - parameters: train.sed: no parameter"
    assert (parameters.getMessage(), parameters.exc_info) == (text, None)
    assert (ours.getMessage(), ours.exc_info) == ("too few:\n  50 % of them", None)
    assert bug.exc_info


@pytest.mark.usefixtures("chinese")
def test_the_question_of_an_approval_is_in_one_language_and_has_a_page(
    written: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked = []

    def answer(wait_for_input: Any, **_times: Any) -> Any:
        asked.append(wait_for_input)
        return approval.Decision(decision="approve", reason="")

    monkeypatch.setattr(approval, "pause_flow_run", answer)
    kid = Figure(0.1, 0.05, 0.2)
    direction = _summary(route="化妆 → 素颜", figure=lambda _key: kid)
    (tmp_path / "decision.json").unlink(missing_ok=True)
    evaluation = _summary(
        verdict="", report=tmp_path / "report.html", folder=tmp_path, language="zh",
        scores=_summary(directions={"AB": direction}),
    )  # fmt: skip
    monkeypatch.setattr(approval, "_load_decision", lambda _evaluation: None)
    monkeypatch.setattr(approval, "_save_decision", lambda *_arguments: None)
    given = approval.ask(evaluation, "makeup", 24.0)
    assert given.approved
    assert _english(given.reason) <= {"approve"}
    first, question, until, decided, again = written
    assert "Resume" in first
    assert (decided, again) == ("makeup：**已批准**（人工决定：approve）", question)
    assert "24 小时" in until
    for word in ("KID 表示", "95 % 置信区间是", "门槛（gate）是"):
        assert word in question
    assert _english(f"{first} {question} {until}") <= {"Resume", "KID", "gate", "Artifacts"}
    fields = asked[0].model_fields
    assert all(re.search("[\u4e00-\u9fff]", field.description) for field in fields.values())


def test_both_languages_of_a_word_take_the_same_values() -> None:
    for key, text in PAGE_WORDS.items():
        english, chinese = (
            {name for _, name, *_ in string.Formatter().parse(each) if name} for each in text
        )
        assert english == chinese, key
