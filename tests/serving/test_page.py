"""The page as its visitors use it: nothing stale, no dead end, its own words.

The kind: something on the page belongs to another photograph than the one shown, a message offers
what the page does not, or words are not the page's. The boundary: results are shown by
``_Page.show`` alone, which compares photographs; each ``Reason`` and ``Note`` has a text in both
languages; ``page.js`` replaces Gradio's own words.
"""

import importlib.util
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from odd_photos import ODD_PHOTOS, encode, photo
from PIL import Image
from web_server import web_server

from preprocessing.analysis.face_detector import Face
from scraping.offline.corpus import group, jpeg, portrait
from serving.annotate import draw_face_numbers

if importlib.util.find_spec("gradio") is None:
    pytest.skip("needs the extra web: pip install -e '.[web]'", allow_module_level=True)

from serving.web.strings import GRADIO_WORDS, TEXTS

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("chrome")
needs_browser = pytest.mark.skipif(
    CHROMIUM is None, reason="needs Chromium on the PATH (apt install chromium)"
)
_ENGLISH = """() => {
  const words = new Set();
  const isEnglish = (text) => /[A-Za-z]{4}/.test(text ?? "");
  for (const element of document.querySelectorAll("body *")) {
    for (const name of ["aria-label", "title", "placeholder"])
      if (isEnglish(element.getAttribute(name))) words.add(element.getAttribute(name));
    if (["SCRIPT", "STYLE"].includes(element.tagName)) continue;
    for (const node of element.childNodes)
      if (node.nodeType === Node.TEXT_NODE && isEnglish(node.data)) words.add(node.data.trim());
  }
  return [...words];
}"""


@pytest.fixture(scope="module")
def url(module_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    files = tmp_path_factory.mktemp("server") / "files"
    with web_server(module_model, files, max_bytes=1_000_000) as address:
        yield address


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    (folder / "one.jpg").write_bytes(jpeg(portrait("makeup", 3)))
    (folder / "people.jpg").write_bytes(jpeg(group("makeup", 40)))
    small = Image.new("RGB", (420, 420), (150, 150, 160))
    small.paste(photo(80), (150, 150))
    (folder / "small.png").write_bytes(encode(small, "PNG"))
    (folder / "hdr.jpg").write_bytes(ODD_PHOTOS["ultra-hdr.jpg"]())
    (folder / "heic.jpg").write_bytes(ODD_PHOTOS["heic.jpg"]())
    (folder / "large.jpg").write_bytes(bytes(1_500_000))
    return folder


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright: '.[dev]'")
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def open_page(browser: Any, url: str) -> Iterator[Any]:
    contexts = []

    def open_(language: str, width: int = 1280, locale: str = "en-US") -> Any:
        contexts.append(
            browser.new_context(
                viewport={"width": width, "height": 850}, is_mobile=width < 500, locale=locale
            )
        )
        page = contexts[-1].new_page()
        page.set_default_timeout(60_000)
        page.goto(f"{url}/{language}/")
        page.wait_for_selector("#go")
        page.wait_for_selector("#examples img")
        return page

    yield open_
    for context in contexts:
        context.close()


def _choose(page: Any, path: Path) -> None:
    if page.locator("#photo button[aria-label]").count() and page.locator("#photo img").count():
        page.locator("#photo button[aria-label]").first.click()
    page.set_input_files("#photo input[type=file]", path)
    page.wait_for_selector("#photo img")


@needs_browser
@pytest.mark.slow
def test_nothing_of_the_former_photograph_stays(open_page: Any, photos: Path) -> None:
    page = open_page("en")
    _choose(page, photos / "people.jpg")
    page.wait_for_selector("#faces input[type=checkbox]")
    page.click("#go")
    page.wait_for_selector("#result img")
    assert "make-up → bare face, strength 1." in page.inner_text("#summary")
    page.click("#photo button[aria-label]")
    page.wait_for_selector("#result img", state="detached")
    page.wait_for_selector("#faces input", state="detached")
    assert not page.locator("#download:visible").count()
    assert not page.locator("#face-numbers:visible").count()
    assert not page.locator("#summary").inner_text().strip()

    _choose(page, photos / "people.jpg")  # a result on its way, and then another photograph
    page.wait_for_selector("#faces input[type=checkbox]")
    page.click("#go")
    page.click("#photo button[aria-label]")
    page.wait_for_timeout(3000)
    assert not page.locator("#result img").count()
    assert not page.locator("#download:visible").count()
    _choose(page, photos / "heic.jpg")  # refused at once, in words that stay
    page.get_by_text(TEXTS["en"]["heic"]).first.wait_for()
    page.click("#go")
    page.locator("#summary").get_by_text(TEXTS["en"]["heic"]).wait_for()
    assert not page.get_by_text("Error", exact=True).count()


@needs_browser
@pytest.mark.slow
def test_a_single_face_that_training_left_out_is_offered(open_page: Any, photos: Path) -> None:
    page = open_page("en")
    _choose(page, photos / "small.png")
    box = page.locator("#faces input[type=checkbox]")
    box.wait_for()
    assert box.count() == 1
    assert not box.is_checked()
    assert "1: small (37 px)" in page.inner_text("#faces")
    assert TEXTS["en"]["no-fit-face"] in page.inner_text("#hint")
    page.click("#go")
    page.locator("#summary").get_by_text(TEXTS["en"]["no-fit-face"]).wait_for()
    box.check()
    page.click("#go")
    page.wait_for_selector("#result img")
    page.get_by_text("Faces translated: 1").wait_for()
    _choose(page, photos / "hdr.jpg")
    page.wait_for_selector("#faces input", state="detached")
    page.click("#go")
    page.get_by_text("The HDR gain map of the photo is left out").wait_for()


@needs_browser
@pytest.mark.slow
@pytest.mark.parametrize("locale", ["zh-CN", "en-US"])
def test_the_chinese_page_is_chinese(open_page: Any, photos: Path, locale: str) -> None:
    page = open_page("zh", 390, locale)
    assert page.evaluate("document.documentElement.lang") == "zh-CN"
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    _choose(page, photos / "people.jpg")
    page.wait_for_selector("#faces input[type=checkbox]")
    page.click("#go")
    page.wait_for_selector("#result img")
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    words = set(page.evaluate(_ENGLISH)) - {"English", TEXTS["zh"]["title"]}
    assert words == set()
    page.click("#photo button[aria-label]")
    page.set_input_files("#photo input[type=file]", photos / "large.jpg")
    notice = TEXTS["zh"]["too-many-bytes"].format(megabytes="1.5", limit=1)
    page.get_by_text(notice).wait_for()
    assert set(page.evaluate(_ENGLISH)) - {"English", TEXTS["zh"]["title"], notice} == set()


@needs_browser
@pytest.mark.slow
@pytest.mark.parametrize("width", [1280, 390])
def test_the_examples_are_shown_whole(open_page: Any, width: int) -> None:
    page = open_page("en", width)
    outside = page.evaluate("""() => {
      const frame = document.querySelector("#examples").getBoundingClientRect();
      const label = document.querySelector("#examples label").getBoundingClientRect();
      return [...document.querySelectorAll("#examples img")].filter((image) => {
        const box = image.getBoundingClientRect();
        return box.top < label.bottom || box.bottom > frame.bottom || box.right > frame.right;
      }).length;
    }""")
    assert outside == 0
    assert page.locator("#examples img").count() == 2


def test_numbers_on_small_faces_can_be_read() -> None:
    picture = np.full((1000, 2000, 3), 90, np.uint8)
    keypoints = np.zeros((6, 2))
    faces = [Face((x, 500.0, x + 20, 520.0), keypoints, 0.9) for x in (0.0, 900.0, 1980.0)]
    view = draw_face_numbers(picture, faces, 1600)
    assert view.shape == (800, 1600, 3)
    yellow = (view == (255, 214, 10)).all(axis=2)
    for x in (0, 720, 1500):  # a label above each face, inside the picture
        label = yellow[320:398, x : x + 100]
        assert label.any(axis=1).sum() >= 1600 / 28
    assert draw_face_numbers(picture, faces).shape == picture.shape


def test_the_patterns_of_foreign_words_are_of_javascript_too() -> None:
    for words in GRADIO_WORDS.values():
        json.dumps(words)
        assert all(pattern.startswith("^") and pattern.endswith("$") for pattern, _ in words)
