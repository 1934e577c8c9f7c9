"""A dataset's card speaks English and Chinese, each of them whole."""

import html
import re
import shutil
import string
from pathlib import Path

import pytest

from core.workspace import Workspace
from core.workspace_folders import DatasetFolder
from preprocessing.config import PrepareConfig
from preprocessing.selection.reason_words import REASON_WORDS
from preprocessing.selection.rejection_reasons import Reason
from preprocessing.version import card as cards
from preprocessing.version.card import _Card, _write_pages
from preprocessing.version.card_rows import CardRow, CardRows
from preprocessing.version.card_words import CARD_WORDS, on_page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("chrome")
NAMES = {"cc-by", "English"}  # which no language translates


def _row(number: int, reason: str = "", *, side: str = "A", width: int = 40) -> CardRow:
    domain = "makeup" if side == "A" else "bare"
    return CardRow(
        f"{number:064x}", domain, side, "rejected" if reason else "ok", reason, f"{number:064x}",
        "" if reason else "trainA/x.png", width, width, int(bool(width)), [], "口红",
        "https://x/", f"originals/{number}.png",
    )  # fmt: skip


@pytest.fixture(params=["enough", "too few", "whole"])
def folder(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> DatasetFolder:
    """The pages of a card that has every section, and sections of several pages."""
    monkeypatch.setattr(cards, "_PICTURES_PER_PAGE", 1)
    by_reason = {
        reason: [_row(num, reason), _row(num + 1, reason, side="B", width=0)]
        for num, reason in enumerate(REASON_WORDS)
        if reason != Reason.DUPLICATE_OF
    }
    pair = [_row(101), _row(102, "duplicate-of")]
    rejected = {side: dict.fromkeys(REASON_WORDS, 1) for side in "AB"}
    card = _Card(
        version="makeup-bare-1",
        config=PrepareConfig(
            domain_a="makeup", domain_b="bare", faces=request.param != "whole", crop_px=96
        ),
        counts=dict.fromkeys(("trainA", "trainB", "testA", "testB"), 5),
        rejected=rejected,
        before="makeup-bare-0",
        changes=[],
        rows=CardRows(
            accepted={"trainA": [_row(105)], "testB": [_row(106, side="B")]},
            by_reason=by_reason, clusters=[pair, pair],
            doubtful=[(pair[0], pair[1], 0.96)] * 2, unlikely=[_row(103), _row(104)],
            licenses={"A": {"cc-by": 3, "": 2}, "B": {"": 5}},
        ),
        has_enough=request.param != "too few",
        overrides=tmp_path / "datasets" / "overrides-makeup-bare.csv",
        workspace=Workspace(tmp_path),
    )  # fmt: skip
    made = DatasetFolder(tmp_path)
    _write_pages(made, card)
    return made


def _shown(page: str, hidden: str) -> str:
    """What a person reads on a page, without commands and file names."""
    page = re.sub(rf'<span lang="{hidden}">.*?</span>', "", page, flags=re.DOTALL)
    page = re.sub(r"<(style|script|title|pre|code)\b.*?</\1>", "", page, flags=re.DOTALL)
    return html.unescape(re.sub(r"<[^>]+>", " ", page))


def _unlike(text: str, pattern: str) -> set[str]:
    """The words in ``text`` that match ``pattern``, without names that no language translates."""
    text = re.sub(r"`[^`]*`", "", text)
    text = re.sub(r"\S+\.(?:json|csv|html|md)\b|makeup-bare-\d|\b[0-9a-f]{16}\b", "", text)
    return set(re.findall(pattern, text)) - NAMES


def test_the_chinese_card_has_no_english_words(folder: DatasetFolder) -> None:
    pages = sorted(folder.path.glob("*.html"))
    assert len(pages) > 20
    for path in pages:
        shown = _shown(path.read_text(encoding="utf-8"), "en")
        assert _unlike(shown, r"[A-Za-z][A-Za-z-]+") == set(), path.name
        assert "数据集" in shown
    text = folder.card_text("zh").read_text(encoding="utf-8")
    assert _unlike(text, r"[A-Za-z][A-Za-z-]+") == set()
    assert "| A | 化妆 | 5 | 5 |" in text
    assert "| 没有人脸 | 1 | 1 |" in text


def test_the_english_card_has_no_chinese_words(folder: DatasetFolder) -> None:
    for path in folder.path.glob("*.html"):
        shown = _shown(path.read_text(encoding="utf-8"), "zh-CN").replace("口红", "")
        assert _unlike(shown, r"[\u3000-\uffef]+") == {"中文"}, path.name
    text = folder.card_text().read_text(encoding="utf-8")
    assert _unlike(text, r"[\u3000-\uffef]+") == set()
    assert "| no-face | 1 | 1 |" in text
    page = _shown(folder.card_page.read_text(encoding="utf-8"), "zh-CN")
    assert "Rejected: no-face" in page


def test_both_languages_of_a_word_take_the_same_values() -> None:
    fields = string.Formatter().parse
    for key, text in CARD_WORDS.items():
        english, chinese = ({name for _, name, *_ in fields(each) if name} for each in text)
        assert english == chinese, key


def test_what_comes_from_outside_is_escaped() -> None:
    assert on_page("similarity", value="<b>").__html__().count("&lt;b&gt;") == 2


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium")
@pytest.mark.parametrize("folder", ["enough"], indirect=True)
def test_the_card_opens_in_the_language_of_the_browser_and_a_button_changes_it(
    folder: DatasetFolder,
) -> None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for locale, first, second in (
            ("zh-CN", "数据集", "Dataset"),
            ("de-DE", "Dataset", "数据集"),
        ):
            page = browser.new_context(locale=locale).new_page()
            page.goto(folder.card_page.as_uri())
            assert page.inner_text("h1") == f"{first} makeup-bare-1"
            page.click("#language")
            assert page.inner_text("h1") == f"{second} makeup-bare-1"
            page.goto(folder.card_section_page("doubtful", 2).as_uri())
            assert page.inner_text("h1").startswith(second)  # other pages remember it
        browser.close()
