"""The page and the endpoint: limits, privacy, and a real browser that drives them."""

import importlib.util
import io
import os
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
import requests
from model_maker import ModelMaker
from PIL import Image
from web_server import web_server

from core.workspace import Workspace
from scraping.offline.corpus import group, jpeg, portrait
from serving.models import Model, open_model
from serving.translate import TranslateOptions
from serving.web.session import Limits, RefusedError, Session, remove_older
from serving.web.strings import TEXTS

if importlib.util.find_spec("gradio") is None:
    pytest.skip("needs the extra web: pip install -e '.[web]'", allow_module_level=True)

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("chrome")


@pytest.fixture
def model(make_model: ModelMaker) -> Model:
    return open_model(Workspace(make_model().parents[2]), "makeup")


def test_both_languages_say_the_same() -> None:
    assert TEXTS["en"].keys() == TEXTS["zh"].keys()
    for key, text in TEXTS["en"].items():
        fields = {part.split("}")[0].split(":")[0] for part in text.split("{")[1:]}
        other = TEXTS["zh"][key]
        assert fields == {part.split("}")[0].split(":")[0] for part in other.split("{")[1:]}, key


@pytest.mark.slow
def test_the_endpoint_and_its_limits(model: Model, tmp_path: Path) -> None:
    files = tmp_path / "files"
    with web_server(model.folder, files, max_bytes=200_000, max_megapixels=1.0) as url:

        def post(path: str, body: bytes, **fields: object) -> requests.Response:
            return requests.post(
                f"{url}/api/{path}", files={"photo": ("x.jpg", body)}, data=fields, timeout=60
            )

        about = requests.get(f"{url}/api/model", timeout=60).json()
        assert [way["to"] for way in about["ways"]] == ["bare", "makeup"]
        picture = portrait("makeup", 3)
        done = post("translate", jpeg(picture), to="bare", strength=0.5)
        assert done.headers["X-Suyan-Faces"] == "1"
        assert done.headers["Content-Type"] == "image/jpeg"
        with Image.open(io.BytesIO(done.content)) as image:
            assert image.size == picture.shape[1::-1]
        faces = post("faces", jpeg(group("makeup", 40))).json()
        assert [face["number"] for face in faces] == [1, 2, 3]
        grey = jpeg(np.full((200, 200, 3), 128, np.uint8))
        assert post("translate", grey, whole=True).status_code == 200
        wide = io.BytesIO()
        Image.new("RGB", (2000, 1000)).save(wide, "PNG")
        for response, status, kind in (
            (post("translate", grey), 422, "no-face"),
            (post("translate", b"no picture"), 415, "unreadable"),
            (post("translate", wide.getvalue()), 413, "too-large"),
            (post("translate", bytes(400_000)), 413, "too-large"),
            (post("translate", jpeg(picture), to="winter"), 422, "parameter"),
            (post("translate", jpeg(picture), faces="some"), 422, "parameter"),
        ):
            assert response.status_code == status
            assert response.json()["kind"] == kind
        schema = requests.get(f"{url}/api/openapi.json", timeout=60).json()
        assert {"/api/model", "/api/faces", "/api/translate"} == set(schema["paths"])
        answers = schema["paths"]["/api/translate"]["post"]["responses"]
        assert "image/jpeg" in answers["200"]["content"]
        assert post("translate", jpeg(picture), strength=7).status_code == 422
        root = requests.get(url, headers={"Accept-Language": "zh-CN"}, timeout=60)
        assert root.url.endswith("/zh/")
        assert "default-src 'self'" in root.headers["Content-Security-Policy"]
        (served,) = files.glob("suyan-web-*")
        kept = [path.name for path in (served / "visitors").rglob("*") if path.is_file()]
        assert not [name for name in kept if not name.startswith("example-")]  # our drawings
    assert list(files.glob("suyan-web-*")) == []


def test_time_and_turns_are_limited(model: Model, tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    Image.fromarray(np.full((900, 1600, 3), 90, np.uint8)).save(path)
    hasty = Session(model, Limits(timeout_s=0, max_wait_s=0.05))
    with pytest.raises(RefusedError, match="took longer than 0 s") as slow:
        hasty.translate(path, "A2B", TranslateOptions(mode="whole", work_px=0))
    assert slow.value.kind == "too-slow"
    with hasty._exclusive(), pytest.raises(RefusedError) as busy:
        hasty.translate(path, "A2B", TranslateOptions(mode="whole"))
    assert busy.value.kind == "busy"


def test_old_files_are_removed(tmp_path: Path) -> None:
    old, new = tmp_path / "a" / "old.jpg", tmp_path / "a" / "new.jpg"
    old.parent.mkdir()
    for path in (old, new):
        path.write_bytes(b"x")
    os.utime(old, (time.time() - 100, time.time() - 100))
    assert remove_older(tmp_path, 50, exempt=frozenset({("old.jpg", 1)})) == 0
    assert remove_older(tmp_path, 50, exempt=frozenset({("old.jpg", 2)})) == 1
    assert not old.exists()
    assert new.exists()


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium on the PATH (apt install chromium)")
@pytest.mark.parametrize(
    ("language", "width", "height"), [("en", 1280, 900), ("zh", 390, 844)], ids=["desktop", "phone"]
)
def test_a_browser_translates_a_photo(
    model: Model, tmp_path: Path, language: str, width: int, height: int
) -> None:
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright: '.[dev]'")
    photo, people, broken = (tmp_path / name for name in ("photo.jpg", "people.jpg", "broken.jpg"))
    photo.write_bytes(jpeg(portrait("makeup", 3)))
    people.write_bytes(jpeg(group("makeup", 40)))
    broken.write_bytes(b"\xff\xd8\xff\xe0 no picture")
    words = TEXTS["zh" if language == "zh" else "en"]
    foreign: list[str] = []
    files = tmp_path / "files"
    with web_server(model.folder, files) as url, playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(
            viewport={"width": width, "height": height},
            locale="zh-CN" if language == "zh" else "en-US",
        )
        page.set_default_timeout(60_000)
        page.on("request", lambda request: foreign.append(request.url))
        page.goto(url)  # leads to the browser's language
        page.wait_for_selector("#go")
        assert page.url.endswith(f"/{language}/")
        assert page.inner_text("#go") == words["go"]
        assert page.evaluate("document.documentElement.scrollWidth") <= width

        page.set_input_files("#photo input[type=file]", photo)
        page.wait_for_selector("#photo img")
        page.click("#go")
        page.wait_for_selector("#result img")
        with page.expect_download() as download:
            page.click("#download")
        assert download.value.suggested_filename == "photo-bare.jpg"
        with Image.open(download.value.path()) as image, Image.open(photo) as before:
            assert image.size == before.size
            assert np.abs(np.asarray(image, float) - np.asarray(before, float)).max() > 20
        assert " ".join(page.inner_text("#summary").split()).count(
            "px" if language == "en" else "像素"
        )

        page.click("#photo button[aria-label]")  # away with it, and another one
        page.set_input_files("#photo input[type=file]", people)
        page.wait_for_selector("#faces input[type=checkbox]")
        assert page.locator("#faces input[type=checkbox]").count() == 3
        page.wait_for_timeout(1500)  # the former photograph is cleared at the same time
        for box in page.locator("#faces input[type=checkbox]").all():
            box.uncheck()
        page.click("#go")
        page.get_by_text(words["no_choice"]).wait_for()
        page.locator("#faces input[type=checkbox]").nth(1).check()
        page.click("#go")
        page.get_by_text(words["done_faces"].split("{num}")[0] + "1").wait_for()

        page.click("#photo button[aria-label]")
        page.locator("#examples button:has(img)").first.click()
        page.wait_for_function("document.querySelector('#photo img')?.naturalWidth > 0")

        page.click("#photo button[aria-label]")
        page.set_input_files("#photo input[type=file]", broken)
        page.wait_for_timeout(500)
        page.click("#go")
        page.get_by_text(words["unreadable"]).wait_for()
        browser.close()
    assert not [address for address in foreign if not address.startswith((url, "data:", "blob:"))]
