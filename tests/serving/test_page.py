"""The page as its visitors use it: nothing stale, no dead end, its own words, nothing left behind.

The kind: something on the page belongs to another photograph than the one shown, a message offers
what the page does not, or words are not the page's. The boundary: what is shown follows from the
batch and the photographs in ``page.js``; each ``Reason`` and ``Note`` has a text in both languages.
"""

import importlib.util
import io
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from odd_photos import ODD_PHOTOS, encode, photo
from PIL import Image
from web_server import web_server

from preprocessing.analysis.face_detector import Face
from scraping.offline.corpus import group, jpeg, portrait
from serving.annotate import draw_face_numbers
from serving.refusals import Note, Reason
from serving.web.strings import TEXTS

if importlib.util.find_spec("python_multipart") is None:
    pytest.skip("needs the extra web: pip install -e '.[web]'", allow_module_level=True)

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
    if (["SCRIPT", "STYLE", "OPTION"].includes(element.tagName)) continue;
    for (const node of element.childNodes)
      if (node.nodeType === Node.TEXT_NODE && isEnglish(node.data)) words.add(node.data.trim());
  }
  return [...words];
}"""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("server") / "files"


@pytest.fixture(scope="module")
def url(module_model: Path, files: Path) -> Iterator[str]:
    shutil.copytree(module_model, module_model.parent / "step2-def")
    with web_server(module_model, files, max_bytes=1_000_000, max_photos=7) as address:
        yield address


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    (folder / "one.jpg").write_bytes(jpeg(portrait("makeup", 3)))
    (folder / "people.jpg").write_bytes(jpeg(group("makeup", 40)))
    small = Image.new("RGB", (420, 420), (150, 150, 160))
    small.paste(photo(80), (150, 150))
    (folder / "small.png").write_bytes(encode(small, "PNG"))
    close = Image.fromarray(portrait("makeup", 3)).crop((110, 60, 300, 360))
    (folder / "close.jpg").write_bytes(encode(close, "JPEG"))
    (folder / "heic.jpg").write_bytes(ODD_PHOTOS["heic.jpg"]())
    (folder / "large.jpg").write_bytes(bytes(1_500_000))
    (folder / "坏.jpg").write_bytes(b"\xff\xd8\xff no")
    with zipfile.ZipFile(folder / "trip.zip", "w") as archive:
        for number in range(3):
            archive.writestr(f"旅行/{number}.jpg", jpeg(portrait("makeup", number + 3)))
        archive.writestr("旅行/bad.jpg", b"\xff\xd8\xff no")
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
    foreign: list[str] = []
    faults: list[str] = []

    def open_(language: str, width: int = 1280, locale: str = "en-US") -> Any:
        contexts.append(
            browser.new_context(
                viewport={"width": width, "height": 850}, is_mobile=width < 500, locale=locale
            )
        )
        page = contexts[-1].new_page()
        page.set_default_timeout(60_000)
        page.on("request", lambda request: foreign.append(request.url))
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.goto(f"{url}/{language}/")
        page.wait_for_selector("#examples img")
        return page

    yield open_
    for context in contexts:
        context.close()
    assert not [address for address in foreign if not address.startswith((url, "blob:", "data:"))]
    assert faults == []


def _finish(page: Any) -> None:
    """Translate, and wait for the end."""
    page.click("#go")
    page.wait_for_selector("#status:visible")
    page.wait_for_selector("#cancel", state="hidden")


@needs_browser
@pytest.mark.slow
def test_a_single_photograph_is_compared_and_downloaded(open_page: Any, photos: Path) -> None:
    page = open_page("en")
    page.click("#go")
    page.get_by_text(TEXTS["en"]["no_photo"]).wait_for()
    page.set_input_files("#choose", photos / "one.jpg")
    assert not page.locator("#notice").inner_text()
    _finish(page)
    page.wait_for_selector("#slider:visible")
    assert page.inner_text("#progress") == "1 of 1 photos translated."
    assert page.evaluate("document.querySelector('#after').naturalWidth") == 408
    page.focus("#split")
    page.keyboard.press("End")  # the slider is a range: keys move it
    assert (
        page.locator("#before").evaluate("(each) => each.style.clipPath") == "inset(0px 0% 0px 0px)"
    )
    page.click("#as-pair")
    assert page.locator("#pair img:visible").count() == 2
    assert not page.locator("#slider:visible").count()
    with page.expect_download() as download:
        page.click("#download")
    assert download.value.suggested_filename == "one.jpg"
    with Image.open(download.value.path()) as image, Image.open(photos / "one.jpg") as before:
        assert image.size == before.size
        assert np.abs(np.asarray(image, float) - np.asarray(before, float)).max() > 20
        assert b"TC260:AIGC" in image.info["xmp"]


@needs_browser
@pytest.mark.slow
@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_zip_goes_in_and_a_zip_with_rows_comes_out(
    open_page: Any, photos: Path, language: str
) -> None:
    words = TEXTS["zh" if language == "zh" else "en"]
    page = open_page(language, 390 if language == "zh" else 1280)
    page.set_input_files("#choose", [photos / "trip.zip", photos / "one.jpg"])
    states = page.locator("#rows .state").all_text_contents()
    assert [words["archive_faces"] in state for state in states] == [True, False]
    page.check("#whole")
    assert words["archive_faces"] not in page.inner_text("#rows")
    page.uncheck("#whole")
    _finish(page)
    assert page.inner_text("#progress") == words["finished"].format(done=4, total=5)
    rows = page.locator("#rows li")
    assert rows.count() == 5
    assert rows.nth(3).locator(".state").text_content() == words["unreadable"]
    assert "trip.zip/旅行/2.jpg" in rows.nth(2).text_content()
    rows.nth(2).locator("button").first.click()
    assert page.inner_text("#view-name") == "trip.zip/旅行/2.jpg"
    with page.expect_download() as download:
        page.click("#download-all")
    with zipfile.ZipFile(io.BytesIO(Path(download.value.path()).read_bytes())) as archive:
        assert len(archive.namelist()) == 6
    assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]
    page.reload()  # leaves: nothing is kept
    assert not page.locator("#rows li").count()


@needs_browser
@pytest.mark.slow
def test_faces_are_chosen_with_a_strength_each(open_page: Any, photos: Path) -> None:
    page = open_page("en")
    page.set_input_files("#choose", photos / "people.jpg")
    page.wait_for_selector("#picker-faces li")  # a photograph of several people asks by itself
    checks = page.locator("#picker-faces input[type=checkbox]")
    assert [checks.nth(number).is_checked() for number in range(3)] == [True, True, True]
    assert page.locator("#boxes div").count() == 3
    for _ in range(3):
        page.locator("#picker-faces input[type=checkbox]:checked").first.uncheck()
    page.click("#go")
    page.get_by_text(TEXTS["en"]["no_choice"]).first.wait_for()
    page.locator("#boxes div").nth(1).click()
    page.locator("#boxes div").nth(2).click()
    page.locator("#picker-faces input[type=range]").nth(1).fill("1.75")
    page.locator("#picker-faces input[type=range]").nth(2).fill("0.25")
    page.locator("#rows li").filter(has_text="Faces 2:1.75,3:0.25").wait_for()
    _finish(page)
    assert "done, 2 faces" in page.text_content("#rows li")
    first, second, third = _changes_of_downloaded_thirds(page, photos)
    assert 3 * first < third < second


def _changes_of_downloaded_thirds(page: Any, photos: Path) -> list[float]:
    """The mean change of the left, middle and right third of ``people.jpg``, in grey levels."""
    with page.expect_download() as download:
        page.click("#download")
    with Image.open(download.value.path()) as after, Image.open(photos / "people.jpg") as before:
        change = np.abs(np.asarray(after, float) - np.asarray(before, float)).mean(axis=(0, 2))
    return [float(part.mean()) for part in np.array_split(change, 3)]


@needs_browser
@pytest.mark.slow
@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_photograph_of_an_archive_is_translated_again_with_chosen_faces(
    open_page: Any, photos: Path, tmp_path: Path, language: str
) -> None:
    words = TEXTS["zh" if language == "zh" else "en"]
    with zipfile.ZipFile(tmp_path / "party.zip", "w") as archive:
        archive.write(photos / "people.jpg", "people.jpg")
        archive.write(photos / "small.png", "small.png")
    page = open_page(language, 390 if language == "zh" else 1280)
    page.set_input_files("#choose", tmp_path / "party.zip")
    _finish(page)
    row = page.locator("#rows li").first
    assert words["state_faces"].format(num=3) in row.text_content()
    page.get_by_label(words["edit_faces"].format(name="party.zip/people.jpg")).click()
    page.wait_for_selector("#boxes div")
    assert page.locator("#boxes div").count() == 3
    page.locator("#picker-faces input[type=checkbox]").first.uncheck()
    page.locator("#picker-faces input[type=range]").nth(2).fill("0.25")
    assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]
    page.click("#picker-again")
    page.get_by_text(words["state_faces"].format(num=2)).first.wait_for()
    page.wait_for_selector("#cancel", state="hidden")
    page.wait_for_selector("#comparison:visible")
    first, second, third = _changes_of_downloaded_thirds(page, photos)
    assert 3 * first < third < second
    refused = page.locator("#rows li").nth(1)  # a face that training left out, with no result yet
    assert words["no-fit-face"] in refused.text_content()
    page.get_by_label(words["edit_faces"].format(name="party.zip/small.png")).click()
    page.wait_for_selector("#boxes div")
    page.wait_for_function("document.querySelector('#picker-image').naturalWidth > 0")
    page.locator("#picker-faces input[type=checkbox]").check()
    page.click("#picker-again")
    refused.get_by_text(words["state_face"]).wait_for()


@needs_browser
@pytest.mark.slow
def test_a_single_face_that_training_left_out_is_offered(open_page: Any, photos: Path) -> None:
    page = open_page("en")
    page.set_input_files("#choose", photos / "small.png")
    check = page.locator("#picker-faces input[type=checkbox]")
    check.wait_for()
    assert not check.is_checked()
    assert TEXTS["en"]["face_unfit"] in page.inner_text("#picker-faces")
    _finish(page)
    assert TEXTS["en"]["no-fit-face"] in page.text_content("#rows li")
    page.get_by_label("Faces of small.png").click()
    check.wait_for()
    check.check()
    assert "ready" in page.text_content("#rows li")  # the former outcome is of another choice
    _finish(page)
    assert "done, 1 face" in page.text_content("#rows li")


@needs_browser
@pytest.mark.slow
def test_nothing_of_the_former_photograph_stays(
    open_page: Any, photos: Path, url: str, files: Path
) -> None:
    page = open_page("en")
    page.set_input_files("#choose", photos / "one.jpg")
    with page.expect_response(lambda response: response.status == 202) as started:
        _finish(page)
    page.wait_for_selector("#comparison:visible")
    batch = started.value.json()["batch"]
    page.click("#clear")
    for part in ("#comparison", "#list", "#download-all", "#status"):
        assert not page.locator(f"{part}:visible").count()
    while requests.get(f"{url}/api/batches/{batch}", timeout=60).status_code != 404:
        pass
    page.set_input_files("#choose", photos / "heic.jpg")
    _finish(page)
    assert TEXTS["en"]["heic"] in page.text_content("#rows li")
    page.close(run_before_unload=False)
    (served,) = files.glob("suyan-web-*")
    while list(served.iterdir()):  # a closed page leaves nothing
        pass


@needs_browser
@pytest.mark.slow
def test_a_page_says_its_place_and_is_cancelled(open_page: Any, photos: Path, url: str) -> None:
    large = io.BytesIO()
    Image.effect_noise((3500, 3500), 20).convert("RGB").save(large, "JPEG", quality=20)
    upload = ("photos", ("large.jpg", large.getvalue()))
    others = [
        requests.post(f"{url}/api/batches", files=[upload] * 7, data={"whole": "true"}, timeout=60)
        for _ in range(2)
    ]
    page = open_page("en")
    page.set_input_files("#choose", [photos / "one.jpg", photos / "small.png"])
    page.click("#go")
    page.get_by_text("Photos of others before yours: ").wait_for()
    page.set_input_files("#choose", photos / "people.jpg")
    page.get_by_text(TEXTS["en"]["at_work"]).wait_for()
    page.click("#cancel")
    page.get_by_text("Cancelled. ").first.wait_for()
    assert TEXTS["en"]["cancelled"] in page.text_content("#rows")
    for other in others:
        requests.delete(f"{url}/api/batches/{other.json()['batch']}", timeout=60)


@needs_browser
@pytest.mark.slow
@pytest.mark.parametrize("locale", ["zh-CN", "en-US"])
def test_the_chinese_page_is_chinese(open_page: Any, photos: Path, locale: str) -> None:
    page = open_page("zh", 390, locale)
    assert page.evaluate("document.documentElement.lang") == "zh-CN"
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    page.set_input_files("#choose", photos / "people.jpg")
    page.wait_for_selector("#picker-faces li")
    _finish(page)
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    words = set(page.evaluate(_ENGLISH))
    names = {"English", "people.jpg", TEXTS["zh"]["title"], TEXTS["zh"]["api"]}
    assert {word for word in words - names if "people.jpg" not in word} == set()
    page.click("#clear")
    page.set_input_files("#choose", photos / "large.jpg")
    notice = TEXTS["zh"]["too-many-bytes"].format(megabytes="1.5", limit=1)
    page.get_by_text(notice).wait_for()


@needs_browser
@pytest.mark.slow
@pytest.mark.parametrize("language", ["en", "zh"])
def test_faces_are_not_offered_where_none_can_be_chosen(
    open_page: Any, photos: Path, language: str
) -> None:
    words = TEXTS["zh" if language == "zh" else "en"]
    page = open_page(language)
    page.set_input_files("#choose", photos / "坏.jpg")
    offer = page.get_by_label(words["edit_faces"].format(name="坏.jpg"))
    offer.click()
    page.locator("#picker-hint").get_by_text(words["unreadable"]).wait_for()
    _finish(page)
    assert words["unreadable"] in page.text_content("#rows li")
    assert offer.count() == 0


@needs_browser
@pytest.mark.slow
def test_the_words_on_a_small_photograph_can_be_read(open_page: Any, tmp_path: Path) -> None:
    Image.fromarray(portrait("makeup", 3)).resize((30, 40)).save(tmp_path / "tiny.png")
    page = open_page("en", 390)
    page.check("#whole")
    page.set_input_files("#choose", tmp_path / "tiny.png")
    _finish(page)
    page.wait_for_function("document.querySelector('#after').naturalWidth > 0")
    slider, left, right = (
        page.locator(f"#slider{part}").bounding_box() for part in ("", " .left", " .right")
    )
    assert slider["x"] <= left["x"] < left["x"] + left["width"] < right["x"]
    assert right["x"] + right["width"] <= slider["x"] + slider["width"]
    assert slider["height"] == pytest.approx(slider["width"] * 4 / 3, abs=2)


@needs_browser
@pytest.mark.slow
def test_nothing_is_squeezed_or_cut_off_on_a_phone(open_page: Any, photos: Path) -> None:
    page = open_page("en", 390)
    assert page.locator("#language").bounding_box()["height"] < 30  # one line
    page.set_input_files("#choose", photos / "close.jpg")
    page.get_by_label("Faces of close.jpg").click()
    page.wait_for_selector("#boxes div")
    picture, box, number = (
        page.locator(selector).bounding_box()
        for selector in ("#picker-image", "#boxes div", "#boxes span")
    )
    for inner in (box, number):
        assert inner["x"] >= picture["x"] - 3
        assert inner["x"] + inner["width"] <= picture["x"] + picture["width"] + 3
    _finish(page)
    page.wait_for_selector("#rows li.done")
    assert page.locator("#rows li button").count() == 3
    assert page.locator("#rows .state").bounding_box()["width"] > 390 / 2


@needs_browser
@pytest.mark.slow
def test_the_limits_hold_before_anything_is_sent(open_page: Any, photos: Path) -> None:
    page = open_page("en")
    page.set_input_files("#choose", [photos / "one.jpg"] * 9)
    assert page.inner_text("#notice") == TEXTS["en"]["too_many"].format(num=9, limit=7)
    assert page.locator("#rows li").count() == 7
    page.get_by_label("Remove one.jpg").first.click()
    assert page.locator("#rows li").count() == 6
    page.click("#clear")
    page.locator("#examples button").first.click()
    page.get_by_text("example-1.jpg").first.wait_for()
    page.select_option("#model", "makeup/step2-def")
    with page.expect_response(lambda response: response.status == 202) as started:
        _finish(page)
    assert started.value.json()["model"] == "makeup/step2-def"


def test_every_reason_and_note_has_a_text() -> None:
    only_in_the_command = {
        Reason.FOLDER, Reason.NO_FILE, Reason.EXISTS, Reason.WOULD_REPLACE_INPUT,
        Reason.NOT_WRITTEN,
    }  # fmt: skip
    for words in TEXTS.values():
        assert {reason.value for reason in set(Reason) - only_in_the_command} <= words.keys()
        assert {f"note-{note}" for note in Note} <= words.keys()


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
