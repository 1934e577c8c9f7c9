"""A model runs without Suyan: as a folder for Gradio and onnxruntime, and as one HTML page."""

import html
import io
import json
import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, get_type_hints

import numpy as np
import onnx
import pytest
import torch
import yaml
from model_maker import ModelMaker
from onnx import numpy_helper
from PIL import Image
from typer.testing import CliRunner

from cli.main import app
from cli.translate import translate as translate_command
from core.errors import MissingModelError, SuyanError
from core.files import load_json, write_json
from core.labels.ai_label import DIGITAL_SOURCE_TYPE, is_readable
from core.workspace import Workspace
from scraping.offline.corpus import portrait
from serving.exports import browser_page
from serving.exports.browser_page import export_page
from serving.exports.half_weights import halve_weights
from serving.exports.hub_folder import PICTURE_NAME, write_hub_folder
from serving.exports.portable_settings import portable_settings
from serving.exports.space import REQUIREMENTS, export_space
from serving.face_selection import MAX_PHOTO_STRENGTH
from serving.models import Model, open_model
from serving.translate import Translator

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("chrome")
RUNTIME = os.environ.get("SUYAN_TEST_ORT_WEB", "")
CALL = """
import json, sys
from gradio_client import Client, handle_file
client = Client(sys.argv[1], verbose=False)
eyes = sys.argv[3]
result, note = client.predict(handle_file(sys.argv[2]), 0, 1.0, eyes, api_name="/translate")
print(json.dumps([result if isinstance(result, str) else result["path"], note]))
"""


def opened(make_model: ModelMaker, **changes: Any) -> Model:
    folder = make_model(**changes)
    return open_model(Workspace(folder.parents[2]), folder.parent.name)


@pytest.fixture
def space_app(make_model: ModelMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The app as a module, with a network that brightens by 10 grey levels."""
    pytest.importorskip("gradio", reason="needs gradio: pip install -e '.[dev]'")
    model = opened(make_model)
    folder = tmp_path / "app"
    folder.mkdir()
    source = (ROOT / "serving" / "exports" / "space_app.py").read_text(encoding="utf-8")
    settings = portable_settings(model, {"A2B": Path("makeup2bare.onnx")}, 1024)
    write_json(folder / "settings.json", settings)
    module = ModuleType("app")
    module.__file__ = str(folder / "app.py")
    exec(compile(source, module.__file__, "exec"), module.__dict__)
    return module


class Brighter:
    """A network as onnxruntime runs it: it adds 10 grey levels, and records what it got."""

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []

    def run(self, _names: None, inputs: dict[str, Any]) -> list[Any]:
        self.shapes.append(inputs["image"].shape)
        return [inputs["image"] + 10 / 127.5]


def test_the_app_of_a_space_needs_no_suyan_and_four_packages(space_app: Any) -> None:
    source = (ROOT / "serving" / "exports" / "space_app.py").read_text(encoding="utf-8")
    imported = set(re.findall(r"^(?:import|from) (\w+)", source, re.MULTILINE))
    packages = {"gradio", "onnxruntime", "numpy", "PIL"}
    assert imported - sys.stdlib_module_names == packages
    names = [re.split(r"[<>=]", line)[0] for line in REQUIREMENTS]
    assert names == ["gradio", "onnxruntime", "numpy", "pillow"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = {*project["dependencies"], *(
        package for extra in project["optional-dependencies"].values() for package in extra
    )}  # fmt: skip
    assert set(REQUIREMENTS) <= declared
    assert space_app.WORDS["en"].keys() == space_app.WORDS["zh"].keys()


def test_what_is_exported_takes_the_strengths_that_suyan_takes() -> None:
    exports = ROOT / "serving" / "exports"
    app, page = (
        (exports / name).read_text(encoding="utf-8")
        for name in ("space_app.py", "browser_page.html")
    )
    most = f"{MAX_PHOTO_STRENGTH:g}"
    assert f"gr.Slider(0, {most}, value=1" in app
    assert f'id="strength" min="0" max="{most}"' in page
    (option,) = get_type_hints(translate_command, include_extras=True)["strength"].__metadata__
    assert option.max == MAX_PHOTO_STRENGTH


def test_the_app_translates_a_whole_picture_of_any_size(space_app: Any) -> None:
    network = Brighter()
    small = np.full((30, 41, 3), 100, np.uint8)
    assert (space_app.translate_whole(small, network, 1.0) == 110).all()
    large = np.full((700, 2050, 3), 100, np.uint8)
    assert (space_app.translate_whole(large, network, 0.5) == 105).all()
    assert (space_app.translate_whole(np.full_like(small, 240), Brighter(), 2.0) == 255).all()
    assert network.shapes == [(1, 3, 32, 44), (1, 3, 352, 1024)]


def test_the_app_finds_the_crop_as_training_did(space_app: Any) -> None:
    """Its crop of the eyes is that of Suyan, and a change of one colour is a cast."""
    from preprocessing.images import geometry

    picture = portrait("makeup", 3)
    eyes = np.array([[60.0, 70.0], [100.0, 78.0]])
    side = space_app.SETTINGS["crop_px"]
    matrix = space_app.eye_transform(eyes)
    expected = geometry.eye_transform(
        np.vstack([eyes, np.zeros((4, 2))]), side,
        space_app.SETTINGS["eye_distance"], space_app.SETTINGS["eye_height"],
    )  # fmt: skip
    assert np.allclose(matrix[:2], expected)
    crop = space_app._crop(picture, np.linalg.inv(matrix), side)
    difference = crop.astype(int) - geometry.crop(picture, expected, side)
    assert np.abs(difference).mean() < 3
    assert (space_app.translate_face(picture, eyes, Brighter(), 1.0) == picture).mean() > 0.99

    class Redder(Brighter):
        def run(self, _names: None, inputs: dict[str, Any]) -> list[Any]:
            output = inputs["image"].copy()
            mask = space_app.face_mask(inputs["image"].shape[2])
            output[:, 0] += 40 / 127.5 * mask
            return [output]

    result = space_app.translate_face(picture, eyes, Redder(), 1.0).astype(int) - picture
    mouth = (expected[:, :2].T @ (np.array([side / 2, 0.7 * side]) - expected[:, 2])) / (
        np.linalg.det(expected[:, :2])
    )
    x, y = mouth.round().astype(int)
    assert result[y, x, 0] > 10
    assert abs(result[y, x, 1]) <= 1
    assert (result[:5] == 0).all()


def test_the_eyes_may_be_typed_or_missing(space_app: Any) -> None:
    assert space_app.read_eyes("10,20 30.5,40").tolist() == [[10, 20], [30.5, 40]]
    assert space_app.read_eyes("10,20") is None
    assert space_app.read_eyes("10,20 10,20") is None
    assert space_app.translate(None, 0, 1.0, "", "zh")[1] == "请先选择一张照片。"
    huge = Image.new("1", (10_000, 5_001))
    assert "50 megapixels" in space_app.translate(huge, 0, 1.0, "", "en")[1]


@contextmanager
def started(folder: Path, python: str) -> Iterator[str]:
    """The app in ``folder``, started as its card says, on a port of its own."""
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    environment |= {"PORT": str(port), "GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_OFFLINE": "1"}
    process = subprocess.Popen([python, "app.py"], cwd=folder, env=environment)
    try:
        import requests

        for _ in range(600):
            try:
                requests.get(f"http://127.0.0.1:{port}/config", timeout=5).raise_for_status()
                break
            except requests.RequestException:
                assert process.poll() is None, "the app ended"
                time.sleep(0.5)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


@pytest.mark.slow
def test_a_space_starts_and_translates(make_model: ModelMaker, tmp_path: Path) -> None:
    """Over its API, in an environment that need not have Suyan (SUYAN_TEST_SPACE_PYTHON)."""
    pytest.importorskip("gradio", reason="needs gradio: pip install -e '.[dev]'")
    pytest.importorskip("onnxscript", reason="needs the extra export")
    folder = make_model(faces=False, recipe="seasons")
    out = tmp_path / "space"
    arguments = ["--out", str(out), "--recipe", "seasons", "--workspace", str(folder.parents[2])]
    done = CliRunner().invoke(app, ["export", "--as", "space", *arguments])
    assert done.exit_code == 0, done.output
    assert {path.name for path in out.iterdir()} == {
        "README.md", "app.py", "requirements.txt", "settings.json", "summer2winter.onnx",
        "winter2summer.onnx",
    }  # fmt: skip
    front = yaml.safe_load((out / "README.md").read_text(encoding="utf-8").split("---\n")[1])
    assert (front["sdk"], front["app_file"]) == ("gradio", "app.py")
    picture = portrait("makeup", 3)[:60, :80]
    photo = tmp_path / "photo.png"
    Image.fromarray(picture).save(photo)
    python = os.environ.get("SUYAN_TEST_SPACE_PYTHON", sys.executable)
    with started(out, python) as url:
        call = subprocess.run(
            [sys.executable, "-c", CALL, url, str(photo), ""],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert call.returncode == 0, call.stderr
        path, note = json.loads(call.stdout.splitlines()[-1])
        with Image.open(path) as image:
            found = np.asarray(image.convert("RGB")).astype(int)
    assert note == "Done."
    model = open_model(Workspace(folder.parents[2]), "seasons")
    batch = torch.from_numpy(picture.transpose(2, 0, 1)[None].copy()).float() / 127.5 - 1
    with torch.inference_mode():
        network = model.network("A2B")(batch)[0].permute(1, 2, 0).numpy()
    assert np.abs(found - np.clip((network + 1) * 127.5, 0, 255)).max() <= 1
    again = CliRunner().invoke(app, ["export", "--as", "space", *arguments])
    assert "--overwrite" in str(again.exception)


def test_halved_weights_compute_nearly_the_same(tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime", reason="needs the extra export")
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(16, 32)).astype(np.float32)
    bias = rng.normal(size=32).astype(np.float32)
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Gemm", ["image", "w", "b"], ["translation"])], "g",
        [onnx.helper.make_tensor_value_info("image", 1, ["n", 16])],
        [onnx.helper.make_tensor_value_info("translation", 1, ["n", 32])],
        [numpy_helper.from_array(weights, "w"), numpy_helper.from_array(bias, "b")],
    )  # fmt: skip
    opset = [onnx.helper.make_opsetid("", 20)]
    onnx.save(
        onnx.helper.make_model(graph, opset_imports=opset, ir_version=10), tmp_path / "m.onnx"
    )
    content = halve_weights(tmp_path / "m.onnx")
    assert len(content) < 0.7 * (tmp_path / "m.onnx").stat().st_size
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    batch = rng.normal(size=(3, 16)).astype(np.float32)
    (output,) = session.run(None, {"image": batch})
    half = weights.astype(np.float16).astype(np.float32)
    assert np.allclose(output, batch @ half + bias, atol=1e-5)


@pytest.fixture
def runtime(tmp_path: Path) -> Path:
    """Files with the names of onnxruntime-web's."""
    folder = tmp_path / "dist"
    folder.mkdir()
    for name in browser_page._RUNTIME_FILES.values():
        (folder / name).write_bytes(b"not run")
    return folder


@pytest.mark.remedy(", needed the folder 'dist' of the npm package onnxruntime-web")
@pytest.mark.slow
def test_a_page_holds_runtime_settings_and_weights(
    make_model: ModelMaker, tmp_path: Path, runtime: Path
) -> None:
    pytest.importorskip("onnxscript", reason="needs the extra export")
    model = opened(make_model)
    with pytest.raises(MissingModelError, match=r"has no ort\.wasm.*npm install onnxruntime-web"):
        export_page(model, tmp_path / "out", tmp_path)
    assert not (tmp_path / "out").exists()
    exports = export_page(model, tmp_path / "out", runtime)
    assert [each.direction for each in exports] == ["A2B", "B2A"]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"index.html", "README.md"}
    page = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert not re.search(r"https?://", page), "the page asks no network for anything"
    ids = re.findall(r'id="part-([^"]+)"', page)
    assert ids == ["script", "program", "settings", "makeup2bare.onnx", "bare2makeup.onnx"]
    with pytest.raises(ValueError, match="--overwrite replaces it"):
        export_page(model, tmp_path / "out", runtime)


@pytest.mark.remedy(": not written: with weights of 16 bits its output differs by ")
@pytest.mark.slow
def test_a_model_that_16_bits_change_too_much_is_exported_as_a_space(
    make_model: ModelMaker, tmp_path: Path, runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnxscript", reason="needs the extra export")
    model = opened(make_model)
    monkeypatch.setattr(browser_page, "_MAX_DIFFERENCE", 0.0)
    with pytest.raises(SuyanError, match=r"16 bits its output differs .*Use --as space"):
        export_page(model, tmp_path / "out", runtime)
    assert list((tmp_path / "out").iterdir()) == []
    export_space(model, tmp_path / "out")
    settings = load_json(tmp_path / "out" / "settings.json")
    assert settings["directions"][0]["from_zh"] == model.prepare.chinese_names[0]


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium on the PATH (apt install chromium)")
@pytest.mark.skipif(not RUNTIME, reason="needs SUYAN_TEST_ORT_WEB: dist of npm's onnxruntime-web")
@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_browser_translates_a_photograph_from_a_file(
    make_model: ModelMaker, tmp_path: Path, language: str
) -> None:
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright: '.[dev]'")
    model = opened(make_model)
    export_page(model, tmp_path / "out", Path(RUNTIME))
    picture = portrait("makeup", 3)
    photo = tmp_path / "photo.png"
    Image.fromarray(picture).save(photo)
    requested: list[str] = []
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(locale="zh-CN" if language == "zh" else "en-US")
        page.on("request", lambda request: requested.append(request.url))
        page.set_default_timeout(120_000)
        page.goto((tmp_path / "out" / "index.html").as_uri())
        page.wait_for_selector("#status:text-matches('Choose|请选择')")
        page.set_input_files("#photo", photo)
        page.wait_for_selector("#go:enabled")
        page.click("#go")
        page.wait_for_selector("#save:visible")
        with page.expect_download() as download:
            page.click("#save")
        whole = np.asarray(Image.open(download.value.path()).convert("RGB")).astype(int)
        words = {"en": "Done in", "zh": "完成，用时"}[language]
        assert words in page.inner_text("#status")
        frame = page.locator("#before").bounding_box()
        scale = frame["width"] / picture.shape[1]
        for x, y in ((60, 80), (110, 80)):
            page.locator("#before").click(position={"x": x * scale, "y": y * scale})
        page.click("#go")
        page.wait_for_selector(f"#status:text-matches('{words}')")
        with page.expect_download() as download:
            page.click("#save")
        face = np.asarray(Image.open(download.value.path()).convert("RGB")).astype(int)
        browser.close()
    assert {url.partition(":")[0] for url in requested} <= {"file", "blob", "data"}
    translator = Translator(model, "A2B")
    from serving.translate import TranslateOptions, Translation

    expected = translator.translate(picture, TranslateOptions(mode="whole", work_px=512))
    assert isinstance(expected, Translation)
    assert np.abs(whole - expected.pixels).mean() < 1
    assert (face[:4] == picture[:4]).all()
    assert (face != picture).any()


def test_what_the_app_of_a_space_returns_is_labelled_in_its_png(
    space_app: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    processing = pytest.importorskip("gradio.processing_utils", reason="needs gradio: '.[space]'")
    monkeypatch.setattr(space_app, "session", lambda _file: Brighter())
    photo = Image.fromarray(np.full((30, 41, 3), 100, np.uint8))
    image, _ = space_app.translate(photo, 0, 1.0, "", "en")
    png = processing.encode_pil_to_bytes(image, "png")
    with Image.open(io.BytesIO(png)) as read:
        _assert_labelled(read.info["xmp"])
        assert (np.asarray(read) == 110).all()


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium on the PATH (apt install chromium)")
def test_what_a_browser_page_saves_is_labelled_in_its_png(make_model: ModelMaker) -> None:
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright: '.[dev]'")
    source = (ROOT / "serving" / "exports" / "browser_page.js").read_text(encoding="utf-8")
    file = io.BytesIO()
    Image.fromarray(portrait("makeup", 3)).save(file, "PNG")
    label = portable_settings(opened(make_model), {}, 512)["label"]
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page()
        page.add_script_tag(content=source[: source.index("(async () =>")])
        script = (
            "async ([png, label]) => [...new Uint8Array(await "
            "labelledPng(new Uint8Array(png), label).arrayBuffer())]"
        )
        saved = bytes(page.evaluate(script, [list(file.getvalue()), label]))
        browser.close()
    with Image.open(io.BytesIO(saved)) as image:
        _assert_labelled(image.info["xmp"])
        assert (np.asarray(image) == portrait("makeup", 3)).all()


def test_the_picture_of_a_hub_card_is_labelled(make_model: ModelMaker, tmp_path: Path) -> None:
    model = opened(make_model)
    write_hub_folder(model, tmp_path, portrait("makeup", 3), licence="mit")
    with Image.open(tmp_path / PICTURE_NAME) as image:
        _assert_labelled(image.info["xmp"])


def _assert_labelled(packet: bytes) -> None:
    text = packet.decode()
    assert is_readable(packet)
    assert DIGITAL_SOURCE_TYPE in text
    assert re.search('"ProduceID":"[0-9a-f]{32}"', html.unescape(text))
