"""Translation of photographs, by the same code as ``suyan translate``."""

from pathlib import Path

import numpy as np
import pytest
from model_maker import ModelMaker
from photo_batch import translate_batch
from PIL import ExifTags, Image
from typer.testing import CliRunner

from cli.main import app
from core.workspace import Workspace
from scraping.offline.corpus import group, portrait
from scraping.offline.landscapes import draw
from serving.face_selection import FaceChoice
from serving.models import open_model
from serving.photo_io import Refusal
from serving.photo_paths import Input
from serving.translate import (
    TranslateOptions,
    Translation,
    Translator,
    translate,
)

PLAIN = TranslateOptions()


@pytest.fixture
def translator(make_model: ModelMaker) -> Translator:
    workspace = make_model().parents[2]
    return Translator(open_model(Workspace(workspace), "makeup"), "A2B")


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photos" / "photo.jpg"
    path.parent.mkdir()
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6  # to be turned by 90 degrees
    exif[ExifTags.Base.Artist] = "Somebody"
    exif.get_ifd(ExifTags.IFD.GPSInfo)[1] = "N"
    lying = np.rot90(portrait("makeup", 3))
    Image.fromarray(np.ascontiguousarray(lying)).save(path, quality=95, exif=exif)
    return path


def test_a_photo_keeps_its_size_and_credits_and_loses_its_place(
    translator: Translator, photo: Path, tmp_path: Path
) -> None:
    (outcome,) = translate_batch([photo], tmp_path / "out", translator, PLAIN, compare=True)
    assert outcome.num_faces == 1
    assert outcome.output == tmp_path / "out" / "photo.jpg"
    with Image.open(photo) as before, Image.open(outcome.output) as after:
        assert after.size == before.size[::-1]  # upright now
        exif = after.getexif()
        assert exif.get(ExifTags.Base.Orientation, 1) == 1
        assert exif[ExifTags.Base.Artist] == "Somebody"
        assert not exif.get_ifd(ExifTags.IFD.GPSInfo)
    with Image.open(tmp_path / "out" / "photo-compare.jpg") as both:
        assert both.size == (2 * after.size[0], after.size[1])


def test_a_twelve_megapixel_portrait_changes_in_the_face_alone(translator: Translator) -> None:
    small = Image.fromarray(portrait("makeup", 3))
    picture = np.asarray(small.resize((3000, 4000), Image.Resampling.BICUBIC))
    done = translator.translate(picture, TranslateOptions())
    assert isinstance(done, Translation)
    assert done.pixels.shape == picture.shape
    (face,) = translator.faces(picture)
    left, top, right, bottom = (round(value) for value in face.box)
    changed = (done.pixels != picture).any(axis=2)
    assert changed[top:bottom, left:right].mean() > 0.5
    margin = round(0.5 * face.side)
    changed[max(0, top - margin) : bottom + margin, max(0, left - margin) : right + margin] = False
    assert not changed.any()


def test_strength_blends_and_zero_keeps_every_pixel(translator: Translator) -> None:
    picture = portrait("makeup", 3)

    def change(strength: float) -> np.ndarray:
        done = translator.translate(picture, TranslateOptions(strength=strength))
        assert isinstance(done, Translation)
        return done.pixels.astype(int) - picture

    assert not change(0).any()
    full = change(1)
    clipped = (picture + 2 * full <= 0) | (picture + 2 * full >= 255)
    assert np.abs(change(0.5) - full / 2)[~clipped].max() <= 1
    assert np.abs(change(2) - 2 * full)[~clipped].max() <= 1


def test_faces_are_chosen(translator: Translator) -> None:
    picture = group("makeup", 40)
    faces = sorted(translator.faces(picture), key=lambda face: face.box[0])
    assert len(faces) == 3

    def changed(choice: str) -> list[bool]:
        done = translator.translate(picture, TranslateOptions(faces=FaceChoice.parse(choice)))
        assert isinstance(done, Translation)
        difference = (done.pixels != picture).any(axis=2)
        return [
            bool(difference[round(top) : round(bottom), round(left) : round(right)].mean() > 0.3)
            for left, top, right, bottom in (face.box for face in faces)
        ]

    assert changed("all") == [True, True, True]
    assert changed("2") == [False, True, False]
    assert sum(changed("largest")) == 1


def test_a_recipe_without_faces_translates_the_whole_picture(make_model: ModelMaker) -> None:
    workspace = make_model(faces=False, recipe="seasons").parents[2]
    translator = Translator(open_model(Workspace(workspace), "seasons"), "B2A")
    picture = draw(1, winter=True)
    for work_px in (0, 100):
        done = translator.translate(picture, TranslateOptions(work_px=work_px))
        assert isinstance(done, Translation)
        assert done.pixels.shape == picture.shape
        assert (done.pixels != picture).any(axis=2).mean() > 0.9


def test_what_cannot_be_done_is_said_and_the_rest_goes_on(
    translator: Translator, photo: Path, tmp_path: Path
) -> None:
    broken, empty = tmp_path / "broken.jpg", tmp_path / "empty.png"
    broken.write_bytes(b"\xff\xd8\xff\xe0 no picture")
    Image.new("RGB", (200, 200), "grey").save(empty)
    given, out = [broken, empty, tmp_path / "missing.jpg", photo], tmp_path / "out"
    outcomes = translate_batch(given, out, translator, PLAIN)
    assert [outcome.output is not None for outcome in outcomes] == [False, False, False, True]
    assert "damaged" in outcomes[0].reason
    assert "--whole" in outcomes[1].reason
    assert "No such file" in outcomes[2].reason
    whole = translate_batch([empty], out, translator, TranslateOptions(mode="whole"))
    assert whole[0].output == out / "empty.png"


def test_nothing_is_overwritten_unasked_and_never_a_photo(
    translator: Translator, photo: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    translate_batch([photo], out, translator, PLAIN)
    content = (out / "photo.jpg").read_bytes()
    (again,) = translate_batch([photo], out, translator, TranslateOptions(strength=0))
    assert "--overwrite" in again.reason
    assert (out / "photo.jpg").read_bytes() == content
    (replaced,) = translate_batch(
        [photo], out, translator, TranslateOptions(strength=0), overwrite=True
    )
    assert replaced.output == out / "photo.jpg"
    assert (out / "photo.jpg").read_bytes() != content
    original = photo.read_bytes()
    (itself,) = translate_batch([photo], photo.parent, translator, PLAIN, overwrite=True)
    assert "would replace" in itself.reason
    assert photo.read_bytes() == original


def test_photos_of_one_name_get_different_results(translator: Translator, tmp_path: Path) -> None:
    picture = Image.fromarray(portrait("makeup", 3))
    inputs = []
    for folder, name in (("a", "x.jpg"), ("b", "x.jpg"), ("a", "x.bmp"), ("a", "x.png")):
        path = tmp_path / folder / name
        path.parent.mkdir(exist_ok=True)
        picture.save(path)
        inputs.append(Input(path, Path(name)))
    outcomes = translate(inputs, tmp_path / "out", translator, TranslateOptions())
    names = [outcome.output.name for outcome in outcomes if outcome.output]
    assert names == ["x.jpg", "x-2.jpg", "x.png", "x-2.png"]


def test_faces_can_be_shown_before_choosing(translator: Translator, tmp_path: Path) -> None:
    path = tmp_path / "people.png"
    Image.fromarray(group("makeup", 40)).save(path)
    (outcome,) = translate_batch([path], tmp_path / "out", translator, PLAIN, show_faces=True)
    assert outcome.num_faces == 3
    assert outcome.output == tmp_path / "out" / "people-faces.png"


def test_an_output_that_cannot_be_written_is_said_first(
    translator: Translator, photo: Path, tmp_path: Path
) -> None:
    taken = tmp_path / "file"
    taken.write_text("")
    with pytest.raises(ValueError, match="is a file; needed a folder"):
        translate_batch([photo], taken, translator, PLAIN)
    with pytest.raises(OSError, match="cannot write into"):
        translate_batch([photo], taken / "below", translator, PLAIN)


def test_no_face_is_a_refusal_with_a_way_out(translator: Translator) -> None:
    refusal = translator.translate(np.full((100, 100, 3), 90, np.uint8), TranslateOptions())
    assert isinstance(refusal, Refusal)
    assert refusal.kind == "no-face"


def test_the_command(make_model: ModelMaker, photo: Path, tmp_path: Path) -> None:
    workspace, out = make_model().parents[2], tmp_path / "results"
    command = ["translate", str(photo.parent), "--workspace", str(workspace), "--out", str(out)]
    done = CliRunner().invoke(app, [*command, "--to", "bare", "--strength", "0.5"])
    assert done.exit_code == 0, done.output
    assert "makeup/step1-abc: makeup → bare" in done.output
    assert "(1 face)" in done.output
    assert (out / "photo.jpg").is_file()
    again = CliRunner().invoke(app, command)
    assert again.exit_code == 1
    assert "--overwrite replaces it" in again.output
    for more, wanted in (
        (["--to", "winter"], "this model translates to bare"),
        (["--faces", "some"], "needed 'all', 'largest' or numbers"),
        (["--whole", "--faces", "1"], "exclude each other"),
        (["--model", "none"], "no version of 'makeup'"),
        (["--recipe", "seasons"], "suyan run --small --recipe seasons"),
    ):
        refused = CliRunner().invoke(app, [*command, *more])
        assert wanted in str(refused.exception)


@pytest.mark.slow
def test_starting_the_command_imports_nothing_slow(make_model: ModelMaker, photo: Path) -> None:
    import subprocess
    import sys

    workspace = make_model().parents[2]
    code = (
        "import sys; from cli.main import app\n"
        f"app(['translate', '{photo}', '--workspace', '{workspace}'], standalone_mode=False)\n"
        "slow = {'prefect', 'albumentations', 'torchvision', 'scipy', 'pyarrow', 'matplotlib',"
        " 'fastapi', 'gradio', 'onnx', 'sqlalchemy', 'torch._dynamo', 'sympy'}\n"
        "print(sorted(slow & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=photo.parent, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"
