"""The pages and outcomes of a run are Chinese where its report is, and English elsewhere."""

import re
import string
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from flows.stage_results import (
    StageResult,
    Status,
    crawl_result,
    evaluate_result,
    prepare_result,
    train_result,
)
from flows.ui import artifacts
from flows.ui.markdown import Page
from flows.ui.page_words import PAGE_WORDS, use_language
from scraping.config import CrawlConfig

NAMES = {"makeup", "bare", "http", "step", "run", "refresh_after_h"}  # of data and parameters


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
        domain="bare", num_ok=7, num_hits=9, num_added=num_added, reasons={"http-404": 2},
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
    prepared = _summary(
        counts={}, dataset=tmp_path, version="makeup-bare-1", reused=False, rejected={}
    )
    artifacts.dataset_card(prepared)
    trained = _summary(run=tmp_path, steps=1, epochs=1)
    measured = _summary(verdict="", report=tmp_path)
    promotion = _summary(model=tmp_path / "step1", reason="")
    artifacts.lineage("makeup", [_crawl()], prepared, trained, measured, promotion)
    stages = ("crawl", "prepare", "train", "evaluate", "promote", "publish")
    results = {"train": [StageResult(status, "") for status in Status]}
    artifacts.stages("makeup", dict.fromkeys(stages, 0.0), results)


@pytest.mark.usefixtures("chinese")
def test_a_chinese_run_has_chinese_pages_and_outcomes(written: list[str], tmp_path: Path) -> None:
    _pages(tmp_path)
    assert "# 数据集" in written
    assert _english(" ".join(written)) == set()
    assert {word for outcome in _outcomes() for word in _english(outcome.reason)} == set()


def test_other_runs_are_english(written: list[str], tmp_path: Path) -> None:
    _pages(tmp_path)
    assert "# Dataset" in written
    texts = [*written, *(outcome.reason for outcome in _outcomes())]
    assert not re.search(r"[\u3000-\uffef]", "".join(texts).replace("素颜", ""))
    assert "7 of 9 hits became originals" in written[0]


def test_both_languages_of_a_word_take_the_same_values() -> None:
    for key, text in PAGE_WORDS.items():
        english, chinese = (
            {name for _, name, *_ in string.Formatter().parse(each) if name} for each in text
        )
        assert english == chinese, key
