"""Reading and writing photographs: the metadata that is kept, and the messages for bad files."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image, PngImagePlugin

from serving.photo_io import Photo, Refusal, encode_photo, read_photo, write_photo

BAD = Path(__file__).resolve().parents[3] / "shared" / "data" / "bad"
GPS = ExifTags.IFD.GPSInfo


def _exif() -> Image.Exif:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    exif[ExifTags.Base.Make] = "Camera"
    exif[ExifTags.Base.Copyright] = "Somebody"
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = "2026:01:02 03:04:05"
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.MakerNote] = b"secret place"
    exif.get_ifd(GPS)[1] = "N"
    exif.get_ifd(GPS)[2] = (30.0, 15.0, 0.0)
    return exif


def _read(path: Path, **options: object) -> Photo:
    photo = read_photo(path, **options)  # type: ignore[arg-type]
    assert isinstance(photo, Photo), photo
    return photo


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
def test_what_describes_the_shot_stays_and_the_place_goes(tmp_path: Path, suffix: str) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    path, out = tmp_path / f"a.{suffix}", tmp_path / f"b.{suffix}"
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/">Place</x:xmpmeta>'
    text = PngImagePlugin.PngInfo()
    text.add_itxt("XML:com.adobe.xmp", xmp.decode())
    more = {"pnginfo": text} if suffix == "png" else {"xmp": xmp}
    Image.fromarray(picture).save(path, exif=_exif(), **more)
    photo = _read(path)
    assert photo.pixels.shape == (30, 20, 3)  # upright
    write_photo(out, photo)
    with Image.open(out) as image:
        exif = image.getexif()
        assert image.size == (20, 30)
        assert exif.get(ExifTags.Base.Orientation, 1) == 1
        assert exif[ExifTags.Base.Make] == "Camera"
        assert exif[ExifTags.Base.Copyright] == "Somebody"
        block = exif.get_ifd(ExifTags.IFD.Exif)
        assert block[ExifTags.Base.DateTimeOriginal] == "2026:01:02 03:04:05"
        assert ExifTags.Base.MakerNote not in block
        assert not exif.get_ifd(GPS)
    content = out.read_bytes()
    assert b"secret place" not in content
    assert b"Place" not in content
    write_photo(out, _read(path, keep_location=True))
    with Image.open(out) as image:
        assert image.getexif().get_ifd(GPS)[1] == "N"
    assert b"Place" in out.read_bytes()


def test_transparency_stays_in_formats_that_have_it(tmp_path: Path) -> None:
    rgba = np.random.default_rng(1).integers(0, 256, (9, 7, 4), np.uint8)
    path = tmp_path / "a.png"
    Image.fromarray(rgba).save(path)
    with Image.open(io.BytesIO(encode_photo(_read(path)))) as image:
        assert image.mode == "RGBA"
        assert np.array_equal(np.asarray(image)[..., 3], rgba[..., 3])


@pytest.mark.parametrize(
    ("name", "kind"),
    [("a.jpg", "JPEG"), ("a.png", "PNG"), ("a.webp", "WEBP"), ("a.bmp", "PNG"), ("a.tif", "PNG")],
)
def test_a_format_stays_where_it_can(tmp_path: Path, name: str, kind: str) -> None:
    Image.new("RGB", (8, 8), "teal").save(tmp_path / name)
    photo = _read(tmp_path / name)
    assert photo.format.name == kind
    with Image.open(io.BytesIO(encode_photo(photo))) as image:
        assert image.format == kind


def test_cmyk_grey_and_animation(tmp_path: Path) -> None:
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(tmp_path / "cmyk.jpg")
    red = _read(tmp_path / "cmyk.jpg").pixels[4, 4]
    assert red[0] > 200
    assert max(red[1:]) < 60
    Image.new("L", (8, 8), 100).save(tmp_path / "grey.png")
    assert _read(tmp_path / "grey.png").pixels[4, 4].tolist() == [100, 100, 100]
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("white", "black", "red")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    moving = _read(tmp_path / "a.gif")
    assert moving.note == "animated: only the first of its 3 pictures was translated"
    assert moving.pixels.min() > 250


def test_bad_files_are_named_in_words(tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "text.jpg").write_text("no picture")
    Image.new("RGB", (300, 200)).save(tmp_path / "large.png")
    cut = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (90, 90, 3), np.uint8)).save(
        cut, "JPEG"
    )
    (tmp_path / "cut.jpg").write_bytes(cut.getvalue()[:600])

    def reason(name: str, max_megapixels: float = 1) -> str:
        refusal = read_photo(tmp_path / name, max_megapixels=max_megapixels)
        assert isinstance(refusal, Refusal)
        return refusal.reason

    assert "0 bytes" in reason("empty.jpg")
    assert "HEIC" in reason("text.jpg")
    assert "damaged" in reason("cut.jpg")
    assert reason("missing.jpg") == "cannot be read: No such file or directory"
    assert reason(".") == "is a folder"
    assert reason("large.png", 0.05).startswith("is too large: 300 × 200")


@pytest.mark.skipif(not BAD.is_dir(), reason="needs ../shared/data/bad, which is not part of Suyan")
def test_hostile_files_end_as_a_photo_or_a_reason() -> None:
    for path in sorted(BAD.rglob("*"))[::4]:
        if path.is_file():
            photo = read_photo(path, max_megapixels=20)
            if isinstance(photo, Photo) and photo.pixels.size < 3e6:
                encode_photo(photo)
