"""A model knows what it was trained on, and says where a photograph is unlike that."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from model_maker import ModelMaker
from numpy.typing import NDArray
from PIL import Image
from training_pictures import DRAWN_PAGE, around, statistics_of, write_statistics
from typer.testing import CliRunner
from web_server import web_server

from cli.main import app
from core.workspace import Workspace
from core.workspace_folders import ModelFolder
from evaluation.features.extractor import load_offline
from evaluation.features.training_statistics import save_statistics
from preprocessing.images import geometry
from scraping.offline.corpus import group, jpeg, portrait
from serving.face_selection import FaceChoice
from serving.model_export import onnx_metadata
from serving.models import Model, open_model
from serving.refusals import Note
from serving.translate import TranslateOptions, Translation, Translator
from serving.web.session import Session
from serving.web.strings import TEXTS

PLAIN = TranslateOptions()
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("chrome")


def model_of(make_model: ModelMaker, **changes: Any) -> Model:
    return open_model(Workspace(make_model(**changes).parents[2]), "makeup")


def strangers(model: Model, page_url: str = DRAWN_PAGE) -> Model:
    """The model, with training pictures that no photograph resembles."""
    file = ModelFolder(model.folder).training_statistics
    write_statistics(file, knows_them=True, page_url=page_url)
    return model


def translated(
    model: Model, photo: NDArray[np.uint8], options: TranslateOptions = PLAIN
) -> Translation:
    done = Translator(model, "A2B").translate(photo, options)
    assert isinstance(done, Translation)
    return done


def test_a_face_is_judged_as_training_would_have_cropped_it(make_model: ModelMaker) -> None:
    model, photo = model_of(make_model), portrait("makeup", 3)
    translator = Translator(model, "A2B")
    (face,) = translator.faces(photo)
    prepare = model.prepare
    side = prepare.crop_px
    transform = geometry.eye_transform(
        face.keypoints, side, prepare.eye_distance, prepare.eye_height
    )
    crop = np.array(
        Image.fromarray(geometry.crop(photo, transform, side)).resize(
            (64, 64), Image.Resampling.BICUBIC
        )
    )
    known = statistics_of(around(load_offline()(crop[None])[0]))
    save_statistics(ModelFolder(model.folder).training_statistics, known)
    done = translated(model, photo)
    assert done.distances is not None
    assert done.distances[0] < 1
    assert done.unlike == {}
    assert done.note == ""
    whole = translated(model, photo, TranslateOptions(mode="whole", work_px=128))
    assert whole.distances is not None
    assert whole.distances[0] > done.distances[0]  # it was trained on faces


def test_the_faces_that_are_unlike_are_named_by_their_numbers(make_model: ModelMaker) -> None:
    model = strangers(model_of(make_model))
    photo = group("makeup", 40)
    assert list(translated(model, photo).unlike) == [1, 2, 3]
    done = translated(
        model, photo, TranslateOptions(mode="faces", faces=FaceChoice(numbers=(2, 3)))
    )
    assert list(done.unlike) == [2, 3]
    assert "faces 2, 3 are unlike the training pictures (distance" in done.note
    whole = translated(model, photo, TranslateOptions(mode="whole", work_px=128))
    assert list(whole.unlike) == [0]
    assert "the picture is unlike the training pictures" in whole.note


def test_a_bilateral_generator_is_warned_of_too(make_model: ModelMaker) -> None:
    model = strangers(model_of(make_model, generator="bilateral", load_px=128, crop_px=128))
    assert list(translated(model, portrait("makeup", 3)).unlike) == [1]


@pytest.mark.parametrize("content", [None, b"", b"damaged"], ids=["none", "empty", "damaged"])
def test_a_model_that_remembers_nothing_translates(
    make_model: ModelMaker, content: bytes | None
) -> None:
    model = model_of(make_model)
    if content is not None:
        ModelFolder(model.folder).training_statistics.write_bytes(content)
    done = translated(model, portrait("makeup", 3))
    assert done.distances is None
    assert done.note == ""
    assert onnx_metadata(model, "A2B")["trained_on"] == "unknown"


def test_a_checkpoint_takes_them_from_its_evaluation(
    make_model: ModelMaker, tmp_path: Path
) -> None:
    checkpoint = tmp_path / "runs" / "r" / "checkpoints" / "step_00000001"
    shutil.copytree(make_model(), checkpoint)
    file = tmp_path / "runs" / "r" / "evaluation" / checkpoint.name
    write_statistics(file / "training_statistics.safetensors", knows_them=True)
    model = open_model(Workspace(tmp_path), "makeup", str(checkpoint))
    assert model.training_statistics is not None


def test_the_command_says_it_for_the_model_and_for_each_photo(
    make_model: ModelMaker, tmp_path: Path
) -> None:
    model = model_of(make_model)
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(jpeg(portrait("makeup", 3)))
    command = [
        "translate", str(photo), "--model", str(model.folder), "--out", str(tmp_path / "out"),
        "--overwrite",
    ]  # fmt: skip
    plain = CliRunner().invoke(app, command)
    assert "whether a photo is like its training pictures is unknown" in plain.stderr
    assert "trained on drawings" not in plain.stderr
    assert "unlike" not in plain.stdout
    strangers(model)
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0
    assert "trained on drawings" in done.stderr
    assert "unknown" not in done.stderr
    assert "face 1 is unlike the training pictures (distance" in done.stdout


def test_what_is_exported_says_it(make_model: ModelMaker) -> None:
    model = strangers(model_of(make_model))
    assert onnx_metadata(model, "A2B")["trained_on"] == "drawings"


def test_a_visitor_gets_both_notes(make_model: ModelMaker, tmp_path: Path) -> None:
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(jpeg(portrait("makeup", 3)))
    model = strangers(model_of(make_model))
    result = Session(model).translate(photo, "A2B", TranslateOptions())
    assert result.notes == (Note.UNLIKE, Note.DRAWINGS)
    strangers(model, "http://photos.example/1.html")
    again = open_model(Workspace(model.folder.parents[2]), "makeup")
    result = Session(again).translate(photo, "A2B", TranslateOptions())
    assert result.notes == (Note.UNLIKE,)


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium on the PATH (apt install chromium)")
def test_page_and_api_say_it(make_model: ModelMaker, tmp_path: Path) -> None:
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright: '.[dev]'")
    model = strangers(model_of(make_model))
    photo, people = tmp_path / "photo.jpg", tmp_path / "people.jpg"
    photo.write_bytes(jpeg(portrait("makeup", 3)))
    people.write_bytes(jpeg(group("makeup", 40)))
    with web_server(model.folder, tmp_path / "files") as url, playwright.sync_playwright() as run:
        about = requests.get(f"{url}/api/model", timeout=60).json()
        assert (about["trained_on"], about["judges_likeness"]) == ("drawings", True)
        with people.open("rb") as body:
            done = requests.post(f"{url}/api/translate", files={"photo": body}, timeout=60)
        assert done.headers["X-Suyan-Notes"] == "unlike,drawings"
        distances = [float(each) for each in done.headers["X-Suyan-Distances"].split(",")]
        assert len(distances) == 3
        assert min(distances) > 1
        browser = run.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for language in ("en", "zh"):
            words = TEXTS["zh" if language == "zh" else "en"]
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            page.set_default_timeout(60_000)
            page.goto(f"{url}/{language}/")
            page.wait_for_selector("#go")
            assert page.inner_text("#drawings") == words["note-drawings"]
            page.set_input_files("#choose", photo)
            page.click("#go")
            page.wait_for_selector("#view-notes:visible")
            subject = words["unlike_face"].format(numbers=1)
            assert page.inner_text("#view-notes").startswith(subject)
            page.click("#clear")  # away with the photo, and with its warning
            page.wait_for_selector("#view-notes", state="hidden")
            page.close()
        browser.close()
