"""Translated pictures say so: in the metadata of every format, and visibly on wish."""

import json
import math
import re
from html import unescape
from pathlib import Path

import numpy as np
import pytest
from model_maker import ModelMaker
from PIL import ExifTags, Image
from typer.testing import CliRunner

from cli.main import app
from core.labels.ai_label import AIGC_NAMESPACE, DIGITAL_SOURCE_TYPE, content_id
from core.workspace import Workspace
from scraping.offline.corpus import portrait
from serving.labelling.visible_mark import MARK_TEXTS, VisibleMark
from serving.models import open_model
from serving.photo_io import OUTPUT_FORMATS, Photo, encode_photo, read_photo
from serving.photo_paths import find_photos
from serving.translate import OutputOptions, TranslateOptions, Translator, translate

SUFFIXES = [image_format.suffixes[0] for image_format in OUTPUT_FORMATS]


def _packet(path: Path) -> str:
    """The XMP packet, as any program that reads the file finds it."""
    with Image.open(path) as image:
        xmp = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp", "")
    return xmp.decode() if isinstance(xmp, bytes) else xmp


def _aigc(path: Path) -> dict[str, str]:
    packet = _packet(path)
    assert f'xmlns:TC260="{AIGC_NAMESPACE}"' in packet
    (value,) = re.findall("<TC260:AIGC>(.*?)</TC260:AIGC>", packet)
    aigc = json.loads(unescape(value))
    assert isinstance(aigc, dict)
    return aigc


def _source_types(path: Path) -> list[str]:
    return re.findall(r"<Iptc4xmpExt:DigitalSourceType>(.*?)<", _packet(path))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_metadata_of_every_format_say_that_a_model_edited_the_picture(
    make_model: ModelMaker, tmp_path: Path, suffix: str
) -> None:
    model = open_model(Workspace(make_model().parents[2]), "makeup")
    photo = tmp_path / f"photo{suffix}"
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    exif[ExifTags.Base.Artist] = "Somebody"
    lying = np.ascontiguousarray(np.rot90(portrait("makeup", 3)))
    Image.fromarray(lying).save(photo, exif=exif)
    inputs, out = find_photos([str(photo)], tmp_path / "out"), tmp_path / "out"
    translator = Translator(model, "A2B")

    options = OutputOptions(compare=True, producer="Studio 001191")
    (outcome,) = translate(inputs, out, translator, TranslateOptions(), options)
    assert outcome.output is not None
    for path in (outcome.output, out / f"photo-compare{suffix}"):
        assert _source_types(path) == [DIGITAL_SOURCE_TYPE]
        assert model.name in _packet(path)
        assert _aigc(path)["Label"] == "1"
        assert _aigc(path)["ContentProducer"] == "Studio 001191"
    with Image.open(outcome.output) as image:
        assert image.getexif()[ExifTags.Base.Artist] == "Somebody"
        assert image.getexif().get(ExifTags.Base.Orientation, 1) == 1
        assert image.info["icc_profile"]
        labelled = np.asarray(image)
        if suffix == ".png":  # lossless: the number stands for these pixels
            assert _aigc(outcome.output)["ProduceID"] == content_id(labelled)

    plain = OutputOptions(overwrite=True, producer=None)
    translate(inputs, out, translator, TranslateOptions(), plain)
    assert _packet(outcome.output) == ""
    with Image.open(outcome.output) as image:
        assert np.array_equal(np.asarray(image), labelled)  # a label changes no pixel

    faces = OutputOptions(show_faces=True)
    (numbered,) = translate(inputs, out, translator, TranslateOptions(), faces)
    assert numbered.output is not None
    assert _packet(numbered.output) == ""  # untranslated


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_label_joins_the_metadata_that_are_kept(tmp_path: Path, suffix: str) -> None:
    from core.labels.ai_label import AiLabel

    place = (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
        'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" '
        'xmlns:p="http://ns.adobe.com/photoshop/1.0/" p:City="杭州"/></rdf:RDF></x:xmpmeta>'
    )
    photo = Photo(portrait("makeup", 3), xmp=place.encode(), label=AiLabel("makeup/v1"))
    image_format = next(each for each in OUTPUT_FORMATS if suffix in each.suffixes)
    path = tmp_path / f"a{suffix}"
    path.write_bytes(encode_photo(Photo(**vars(photo) | {"format": image_format})))
    assert 'City="杭州"' in _packet(path)
    assert _source_types(path) == [DIGITAL_SOURCE_TYPE]
    again = read_photo(path, keep_location=True)
    assert isinstance(again, Photo)
    path.write_bytes(encode_photo(Photo(**vars(again) | {"label": AiLabel("makeup/v2")})))
    assert _source_types(path) == [DIGITAL_SOURCE_TYPE]
    assert "makeup/v1" not in _packet(path)


@pytest.mark.parametrize("language", sorted(MARK_TEXTS))
@pytest.mark.parametrize("size", [(120, 400), (1200, 800), (3000, 2000)])
def test_the_letters_of_a_mark_have_a_twentieth_of_the_shorter_side(
    language: str, size: tuple[int, int]
) -> None:
    for corner in ("top-left", "top-right", "bottom-left", "bottom-right"):
        grey = Photo(np.full((*size, 3), 200, np.uint8))
        marked = VisibleMark(language, corner).draw(grey).pixels  # type: ignore[arg-type]
        rows, columns = np.nonzero((marked > 230).all(axis=2))  # the letters
        assert np.ptp(rows) + 1 >= math.floor(0.05 * min(size))
        plate_rows, _ = np.nonzero((marked != 200).any(axis=2))
        assert (plate_rows.mean() < size[0] / 2) == corner.startswith("top")
        assert (columns.mean() < size[1] / 2) == corner.endswith("left")
        assert (marked == 200).all(axis=2).mean() > 0.6  # the picture is still there
        gap = min(plate_rows.min(), size[0] - 1 - plate_rows.max())
        assert 0 <= gap <= 0.05 * size[0]
        assert (grey.pixels == 200).all()


@pytest.mark.parametrize("size", [(1, 1), (4, 60), (60, 4), (16, 16)])
def test_a_mark_fits_into_the_smallest_picture(size: tuple[int, int]) -> None:
    for language in ("en", "zh"):
        grey = Photo(np.full((*size, 3), 200, np.uint8))
        assert VisibleMark(language).draw(grey).pixels.shape == (*size, 3)  # type: ignore[arg-type]


def test_a_mark_is_seen_where_the_picture_is_transparent() -> None:
    clear = Photo(np.full((200, 300, 3), 255, np.uint8), np.zeros((200, 300), np.uint8))
    alpha = VisibleMark("zh", "bottom-right").draw(clear).alpha
    assert alpha is not None
    assert alpha[180:195, 250:290].max() == 255
    assert not alpha[:150, :200].any()


@pytest.mark.slow
def test_the_command_labels_and_marks(make_model: ModelMaker, tmp_path: Path) -> None:
    folder = make_model()
    photo, out = tmp_path / "photo.png", tmp_path / "out"
    Image.fromarray(portrait("makeup", 3)).save(photo)
    command = ["translate", str(photo), "--model", str(folder), "--out", str(out), "--overwrite"]

    def run(*options: str, status: int = 0) -> str:
        done = CliRunner().invoke(app, [*command, *options], env={"SUYAN_PRODUCER": "Studio"})
        assert done.exit_code == status, done.output
        return done.output

    def corner() -> np.ndarray:
        with Image.open(out / "photo.png") as image:
            return np.asarray(image)[:40, -120:]

    run()
    plain = corner()
    assert _aigc(out / "photo.png")["ContentProducer"] == "Studio"
    run("--mark", "zh", "--mark-corner", "top-right", "--producer", "001191")
    assert _aigc(out / "photo.png")["ContentProducer"] == "001191"
    assert (corner() != plain).any()
    run("--no-label")
    assert _packet(out / "photo.png") == ""
    assert np.array_equal(corner(), plain)
