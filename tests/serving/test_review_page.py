"""The review's page in a real browser: keys, clicks, taps, and what is then on disk."""

import importlib.util
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from review_version import names_of, write_version

from core.progress import Progress
from core.workspace import Workspace
from core.workspace_folders import DatasetFolder
from preprocessing.selection.overrides import add_overrides, read_overrides
from serving.review.next_version import NextVersion
from serving.review.review_access import Access
from serving.review.review_app import build_app
from serving.review.review_session import Review
from serving.review.review_words import WORDS

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("chrome")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium on the PATH"),
    pytest.mark.skipif(
        importlib.util.find_spec("playwright") is None, reason="needs playwright: '.[dev]'"
    ),
]
NUM = 400
NAMES = names_of(NUM)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path)


@pytest.fixture
def url(workspace: Workspace) -> Iterator[str]:
    def make(_version: DatasetFolder, progress: Progress) -> NextVersion:
        progress("prepare: crops", 5, 12, "")
        return NextVersion(write_version(workspace, 12, name="makeup-bare-next"), is_new=True)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        access = Access.to("127.0.0.1", listener.getsockname()[1])
        app = build_app(workspace, Review(workspace, write_version(workspace, NUM), make), access)
        server = uvicorn.Server(uvicorn.Config(app, log_level="error"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        yield access.url
        server.should_exit = True
        thread.join()


@pytest.fixture
def open_page(browser: Any, url: str) -> Iterator[Callable[..., Any]]:
    contexts = []

    def open_(language: str = "en", *, phone: bool = False) -> Any:
        size = {"width": 390, "height": 844} if phone else {"width": 1280, "height": 800}
        contexts.append(browser.new_context(viewport=size, is_mobile=phone, has_touch=phone))
        page = contexts[-1].new_page()
        page.set_default_timeout(60_000)
        page.on("pageerror", lambda error: page.close() or pytest.fail(str(error)))
        page.goto(f"{url}{language}/")
        page.wait_for_selector("body.ready .tile.loaded")
        return page

    yield open_
    for context in contexts:
        context.close()


def decisions(workspace: Workspace) -> dict[str, str]:
    path = workspace.overrides("makeup", "bare")
    return dict(read_overrides(path, NAMES))


def shown(page: Any, number: int, state: str) -> None:
    page.wait_for_selector(f'.tile.{state}[data-number="{number}"]', state="attached")


def focused(page: Any) -> int:
    return int(page.get_attribute(".tile.focused", "data-number"))


def test_keys_decide_and_each_decision_is_on_disk_before_the_next_picture(
    open_page: Callable[..., Any], workspace: Workspace
) -> None:
    page = open_page()
    page.keyboard.press("]")  # to the first section of rejected ones
    first = focused(page)
    page.keyboard.press("k")
    page.wait_for_selector(f'.tile.keep[data-number="{first}"]:not(.focused)')
    assert decisions(workspace) == {NAMES[first]: "keep"}
    second = focused(page)
    assert second != first
    for key in "dm":  # faster than the answers: each key applies to the picture then shown
        page.keyboard.press(key)
    page.wait_for_selector(".tile.move")
    shown(page, second, "drop")
    third = int(page.get_attribute(".tile.move", "data-number"))
    assert decisions(workspace) == {
        NAMES[first]: "keep", NAMES[second]: "drop", NAMES[third]: "move",
    }  # fmt: skip
    assert page.inner_text("#pending") == "3"
    page.keyboard.press("u")
    page.wait_for_selector(".tile.move", state="detached")
    assert focused(page) == third
    assert NAMES[third] not in decisions(workspace)
    page.reload()  # what this window did can be undone after it is loaded again
    page.wait_for_selector("body.ready .tile.focused")
    assert focused(page) == third
    page.keyboard.press("u")
    page.wait_for_selector(".tile.drop", state="detached")
    assert decisions(workspace) == {NAMES[first]: "keep"}
    page.keyboard.press("u")
    page.keyboard.press("u")
    page.get_by_text(WORDS["en"]["undo_none"]).wait_for()
    assert decisions(workspace) == {}


def test_many_are_decided_at_once(open_page: Callable[..., Any], workspace: Workspace) -> None:
    page = open_page()
    page.keyboard.press("]")
    tiles = page.locator('.tile:not([class*="group"])')
    slots = [int(page.get_attribute(".tile.focused", "data-slot")) + k for k in range(4)]
    numbers = [int(page.get_attribute(f"#slot-{slot}", "data-number")) for slot in slots]
    page.click(f"#slot-{slots[0]} .picture", position={"x": 20, "y": 20})
    page.click(f"#slot-{slots[3]} .picture", position={"x": 20, "y": 20}, modifiers=["Shift"])
    assert page.inner_text("#selected") == "4 selected"
    page.click(f"#slot-{slots[1]} .picture", position={"x": 20, "y": 20}, modifiers=["Control"])
    page.click("#actions .drop")
    shown(page, numbers[3], "drop")
    kept = {NAMES[numbers[k]]: "drop" for k in (0, 2, 3)}
    assert decisions(workspace) == kept
    page.hover(f"#slot-{slots[1]}")
    page.click(f"#slot-{slots[1]} .quick .move")
    shown(page, numbers[1], "move")
    page.keyboard.press("Control+a")
    assert "selected" in page.inner_text("#selected")
    page.keyboard.press("Escape")
    page.keyboard.press("u")
    page.keyboard.press("u")
    page.wait_for_selector(".tile.drop", state="detached")
    assert decisions(workspace) == {}
    assert tiles.count() < NUM / 2  # only what is on the screen is in the page


def test_copies_stand_side_by_side(open_page: Callable[..., Any], workspace: Workspace) -> None:
    page = open_page()
    assert page.locator(".group").first.is_visible()
    page.keyboard.press("x")
    shown(page, 5, "different")
    assert f"{NAMES[5]},different,{NAMES[6]}" in workspace.overrides("makeup", "bare").read_text()
    assert focused(page) == 15  # the whole group is decided
    page.keyboard.press("Enter")
    page.wait_for_selector("#viewer[open] #view-copies .copy.current")
    page.keyboard.press("ArrowRight")
    page.wait_for_selector(f".copy.current[title^='{NAMES[16][:16]}']")
    page.keyboard.press("d")
    page.wait_for_selector("#view-place:text('5 /')")
    assert decisions(workspace) == {NAMES[16]: "drop"}
    assert not page.locator("script:has-text('alert')").count()
    page.keyboard.press("Enter")
    page.wait_for_selector("#viewer", state="hidden")


def test_what_somebody_else_decided_appears_and_is_not_replaced(
    open_page: Callable[..., Any], workspace: Workspace
) -> None:
    mine, theirs = open_page(), open_page("zh")
    polls = [False]  # this page has not polled yet
    mine.route("**/api/state*", lambda route: route.continue_() if polls[0] else route.abort())
    mine.keyboard.press("]")
    number = focused(mine)
    theirs.keyboard.press("]")
    theirs.keyboard.press("d")
    shown(theirs, number, "drop")
    mine.keyboard.press("k")
    mine.wait_for_selector("#stale[open]")
    shown(mine, number, "drop")
    assert decisions(workspace) == {NAMES[number]: "drop"}
    polls[0] = True
    mine.click("#stale-mine")
    shown(mine, number, "keep")
    assert decisions(workspace) == {NAMES[number]: "keep"}
    shown(theirs, number, "keep")  # by its next poll
    theirs.keyboard.press("u")
    theirs.get_by_text(WORDS["zh"]["undo_stale"]).wait_for()
    add_overrides(workspace.overrides("makeup", "bare"), [NAMES[0]], "move", "a spreadsheet")
    mine.wait_for_selector("#pending:text-is('2')")


def test_a_phone_decides_by_taps_and_makes_the_next_version(
    open_page: Callable[..., Any], workspace: Workspace
) -> None:
    page = open_page("zh", phone=True)
    assert page.evaluate("document.documentElement.lang") == "zh-CN"
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    page.select_option("#section-menu", index=1)
    number = focused(page)
    page.locator(f'.tile[data-number="{number}"]').last.tap()
    page.wait_for_selector("#viewer[open]")
    page.locator("#viewer .act.keep").tap()
    shown(page, number, "keep")
    assert decisions(workspace) == {NAMES[number]: "keep"}
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    page.locator("#view-close").tap()
    page.locator("#select").tap()
    page.locator(".tile.focused").tap()
    page.locator("#actions .drop").tap()
    page.wait_for_selector("#pending:text-is('2')")
    page.evaluate("document.querySelector('#scroller').scrollTop = 1e7")
    page.locator(".end-card button").tap()
    page.locator("#next-start").tap()
    page.get_by_text(WORDS["zh"]["made"].format(version="makeup-bare-next")).wait_for()
    page.locator("#next-open").tap()
    page.wait_for_selector("#version:text-is('makeup-bare-next')", state="attached")
    page.wait_for_selector("body.ready .tile")


def test_a_server_that_is_gone_is_told_and_the_decision_is_not_shown(
    open_page: Callable[..., Any], workspace: Workspace
) -> None:
    page = open_page()
    page.keyboard.press("]")
    page.context.set_offline(True)
    page.keyboard.press("k")
    page.get_by_text("The server does not answer").wait_for()
    assert not page.locator(".tile.keep").count()
    page.context.set_offline(False)
    page.keyboard.press("k")
    page.wait_for_selector(".tile.keep")
    assert list(decisions(workspace).values()) == ["keep"]


def test_the_chinese_page_has_no_english_words(open_page: Callable[..., Any]) -> None:
    page = open_page("zh")
    page.keyboard.press("Enter")
    page.wait_for_selector("#view-facts dd")
    words = page.evaluate("""() => {
      const words = new Set(), isEnglish = (text) => /[A-Za-z]{4}/.test(text ?? "");
      for (const element of document.querySelectorAll("body *")) {
        for (const name of ["aria-label", "title", "placeholder"])
          if (isEnglish(element.getAttribute(name))) words.add(element.getAttribute(name));
        for (const node of element.childNodes)
          if (node.nodeType === Node.TEXT_NODE && isEnglish(node.data)) words.add(node.data.trim());
      }
      return [...words];
    }""")
    allowed = {"Suyan", "English", "Enter", "Ctrl", WORDS["zh"]["key_arrows"]}
    found = {word for word in words if not word.startswith(("makeup-bare-", "<b>", "junk-of"))}
    digits = {name[:16] for name in NAMES} | {"sha256"}
    assert found - allowed - digits == set()
