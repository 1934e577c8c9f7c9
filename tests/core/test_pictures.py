"""Untrusted files give RGB arrays as a viewer shows them, or short reasons.

The kind: two stages read one file differently (levels, orientation, transparency, profile, formats,
suffixes), so that a model is trained on other pixels than it is used on; or a decoder raises what
nobody expects. The boundary: ``core.pictures`` alone decodes pictures, for every stage. It
turns each pixel format into 8 bits by one rule, and returns ``Rejected`` with a documented reason
for anything else; a file that the system does not let us read has a reason of its own.
"""

import io
import os
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, features

from core.pictures import (
    UNREADABLE,
    Decoded,
    Rejected,
    find_pictures,
    load_picture,
    map_in_threads,
    read_picture,
    read_reduced,
    resize,
)

ROOT = Path(__file__).resolve().parents[2]
BAD = Path(__file__).resolve().parents[3] / "shared" / "data" / "bad"
REASONS = {"undecodable", "too-many-pixels", "too-small", "out-of-memory"}  # of wrong files


def test_threads_give_results_in_the_order_of_the_items_and_raise_their_errors() -> None:
    assert list(map_in_threads(lambda a, b: (a, b), range(40), range(40, 80))) == [
        (number, number + 40) for number in range(40)
    ]
    results = map_in_threads(lambda number: 1 // (7 - number), range(40))
    assert [next(results) for _ in range(7)] == [1 // (7 - number) for number in range(7)]
    with pytest.raises(ZeroDivisionError):
        next(results)


def saved(folder: Path, image: Image.Image, name: str, **options: object) -> Path:
    path = folder / name
    image.save(path, **options)
    return path


def decoded(path: Path) -> np.ndarray:
    pixels = read_picture(path, max_pixels=1e6)
    assert not isinstance(pixels, Rejected)
    assert pixels.dtype == np.uint8
    assert pixels.ndim == 3
    assert pixels.shape[2] == 3
    return pixels


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.gif", "a.webp", "a.tiff", "a.jpg"])
def test_each_allowed_format_decodes(tmp_path: Path, name: str) -> None:
    pixels = decoded(saved(tmp_path, Image.new("RGB", (40, 30), (200, 30, 60)), name))
    assert pixels.shape == (30, 40, 3)
    assert np.abs(pixels.astype(int) - (200, 30, 60)).max() <= 4


def test_the_name_of_a_file_means_nothing(tmp_path: Path) -> None:
    path = saved(tmp_path, Image.new("RGB", (8, 8), "red"), "a.png")
    assert (decoded(path.rename(tmp_path / "a.exe")) == (255, 0, 0)).all()


@pytest.mark.parametrize("name", ["a.pcx", "a.ppm", "a.ico", "a.tga"])
def test_other_formats_are_not_opened(tmp_path: Path, name: str) -> None:
    path = saved(tmp_path, Image.new("RGB", (16, 16)), name)
    assert read_picture(path, max_pixels=1e6) == Rejected("undecodable")


def test_exif_orientation_is_applied(tmp_path: Path) -> None:
    image = Image.new("RGB", (20, 10), "white")
    image.paste((0, 0, 0), (0, 0, 10, 10))  # the left half is black
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned by 90° clockwise: left becomes top
    pixels = decoded(saved(tmp_path, image, "a.png", exif=exif))
    assert pixels.shape == (20, 10, 3)
    assert pixels[:10].max() == 0
    assert pixels[10:].min() == 255


def test_transparency_lies_on_white(tmp_path: Path) -> None:
    image = Image.new("RGBA", (8, 8), (255, 0, 0, 0))
    image.paste((0, 0, 255, 255), (0, 0, 4, 8))
    pixels = decoded(saved(tmp_path, image, "a.png"))
    assert (pixels[:, :4] == (0, 0, 255)).all()
    assert (pixels[:, 4:] == 255).all()


def test_a_palette_with_a_transparent_entry_lies_on_white(tmp_path: Path) -> None:
    image = Image.new("P", (8, 8), 1)
    image.putpalette([10, 20, 30, 90, 80, 70])
    assert (decoded(saved(tmp_path, image, "a.png", transparency=1)) == 255).all()
    assert (decoded(saved(tmp_path, image, "b.png")) == (90, 80, 70)).all()


@pytest.mark.parametrize("value", [0, 100, 32768, 65535])
def test_sixteen_bits_become_eight(tmp_path: Path, value: int) -> None:
    image = Image.fromarray(np.full((8, 8), value, np.uint16))
    pixels = decoded(saved(tmp_path, image, "a.png"))
    assert np.abs(pixels.astype(float) - value / 257).max() <= 1


def test_cmyk_and_bilevel_become_rgb(tmp_path: Path) -> None:
    assert decoded(saved(tmp_path, Image.new("CMYK", (8, 8)), "a.jpg")).min() >= 250
    assert (decoded(saved(tmp_path, Image.new("1", (8, 8), 1), "a.png")) == 255).all()


def test_colour_profiles_are_converted(tmp_path: Path) -> None:
    image = Image.new("RGB", (8, 8), (90, 120, 150))
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    same = decoded(saved(tmp_path, image, "a.png", icc_profile=profile))
    assert np.abs(same.astype(int) - (90, 120, 150)).max() <= 1
    broken = decoded(saved(tmp_path, image, "b.png", icc_profile=b"not a profile"))
    assert (broken == (90, 120, 150)).all()
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()  # of another space
    assert (decoded(saved(tmp_path, image, "c.png", icc_profile=lab)) == (90, 120, 150)).all()


def test_of_an_animation_the_first_frame_is_taken(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    path = saved(tmp_path, frames[0], "a.gif", save_all=True, append_images=frames[1:])
    assert (decoded(path) == (255, 0, 0)).all()


def test_the_size_is_judged_before_pixels_are_decoded(tmp_path: Path) -> None:
    path = saved(tmp_path, Image.new("RGB", (100, 50)), "a.png")
    assert read_picture(path, max_pixels=4999) == Rejected("too-many-pixels")
    assert read_picture(path, max_pixels=5000, min_side_px=51) == Rejected("too-small")
    header = path.read_bytes()[:60]  # torn after its header: the reason is still its size
    path.write_bytes(header)
    assert read_picture(path, max_pixels=4999) == Rejected("too-many-pixels")
    assert read_picture(path, max_pixels=5000) == Rejected("undecodable")


def test_a_file_that_cannot_be_read_is_not_a_file_that_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    assert read_picture(tmp_path / "empty", max_pixels=1e6) == Rejected("undecodable")
    (tmp_path / "folder").mkdir()
    (tmp_path / "loop").symlink_to("loop")
    for name in ("missing", "folder", "loop"):  # errors of the system, for root too
        assert read_picture(tmp_path / name, max_pixels=1e6) == Rejected(UNREADABLE)


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow reads no AVIF")
def test_avif_decodes(tmp_path: Path) -> None:
    pixels = decoded(saved(tmp_path, Image.new("RGB", (40, 30), (200, 30, 60)), "a.avif"))
    assert pixels.shape == (30, 40, 3)
    assert np.abs(pixels.astype(int) - (200, 30, 60)).max() <= 4


def test_of_a_stereo_photo_the_first_picture_is_taken(tmp_path: Path) -> None:
    left, right = (Image.new("RGB", (32, 32), colour) for colour in ("red", "blue"))
    path = saved(tmp_path, left, "a.mpo", format="MPO", save_all=True, append_images=[right])
    assert np.abs(decoded(path).astype(int) - (255, 0, 0)).max() <= 4


def test_a_sixteen_bit_grey_ramp_keeps_its_levels(tmp_path: Path) -> None:
    ramp = np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16)
    pixels = decoded(saved(tmp_path, Image.fromarray(ramp), "a.png"))
    assert np.abs(pixels[..., 0].ravel().astype(int) - np.arange(256)).max() <= 1
    assert (pixels == pixels[..., :1]).all()


@pytest.mark.parametrize("white", [1.0, 255.0])
def test_floating_point_levels_are_scaled(tmp_path: Path, white: float) -> None:
    ramp = np.linspace(0, white, 256, dtype=np.float32).reshape(16, 16)
    pixels = decoded(saved(tmp_path, Image.fromarray(ramp), "a.tiff"))
    assert np.abs(pixels[..., 0].ravel().astype(int) - np.arange(256)).max() <= 1


def test_single_extreme_levels_blacken_no_picture(tmp_path: Path) -> None:
    levels = np.full((8, 8), 0.5, np.float32)
    levels[0, :4] = (1.03, np.inf, np.nan, -np.inf)
    grey = decoded(saved(tmp_path, Image.fromarray(levels), "a.tiff"))[..., 0]
    assert grey[0, 0] == 255
    assert np.abs(grey[1:].astype(int) - 127).max() <= 1
    assert list(grey[0, 2:4]) == [0, 0]


def test_a_turned_jpeg_that_is_read_at_half_its_size_keeps_its_own(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    path = saved(tmp_path, Image.new("RGB", (400, 200), "white"), "a.jpg", exif=exif)
    half = read_reduced(path, enough_px=150)
    assert isinstance(half, Decoded)
    assert (half.height, half.width, half.factor) == (400, 200, 2)
    assert half.pixels.shape == (200, 100, 3)
    whole = read_reduced(path, enough_px=201)
    assert isinstance(whole, Decoded)
    assert (whole.pixels.shape, whole.factor) == ((400, 200, 3), 1)


def test_pictures_are_resized_without_aliasing_and_left_alone_at_their_size() -> None:
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 255
    assert resize(stripes, 64, 64) is stripes
    small = resize(stripes, 16, 8)
    assert small.shape == (8, 16, 3)
    assert np.abs(small[:, 2:-2].astype(int) - 128).max() <= 2


def test_cmyk_keeps_its_colours(tmp_path: Path) -> None:
    image = Image.new("RGB", (16, 16), (200, 30, 60)).convert("CMYK")
    assert np.abs(decoded(saved(tmp_path, image, "a.jpg")).astype(int) - (200, 30, 60)).max() <= 4


# Columns are the primaries' XYZ under D50, as colour profiles hold them.
SRGB = np.array([[0.4361, 0.3851, 0.1431], [0.2225, 0.7169, 0.0606], [0.0139, 0.0971, 0.7142]])
DISPLAY_P3 = np.array(
    [[0.5151, 0.2920, 0.1571], [0.2412, 0.6922, 0.0666], [-0.0011, 0.0419, 0.7841]]
)


def display_p3_profile() -> bytes:
    """The sRGB profile with another name and the primaries of Display P3."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    for number in range(struct.unpack_from(">I", profile, 128)[0]):
        tag, start, size = struct.unpack_from(">4sII", profile, 132 + 12 * number)
        if tag in {b"rXYZ", b"gXYZ", b"bXYZ"}:
            primary = DISPLAY_P3[:, b"rgb".index(tag[:1])]
            struct.pack_into(">3i", profile, start + 8, *(round(v * 65536) for v in primary))
        elif tag == b"desc":
            name, other = ("sRGB".encode("utf-16-be"), "Wide".encode("utf-16-be"))
            profile[start : start + size] = profile[start : start + size].replace(name, other)
    return bytes(profile)


def test_a_wide_gamut_becomes_srgb(tmp_path: Path) -> None:
    image = Image.new("RGB", (8, 8), (180, 100, 100))
    pixels = decoded(saved(tmp_path, image, "a.png", icc_profile=display_p3_profile()))
    linear = ((np.array([180, 100, 100]) / 255 + 0.055) / 1.055) ** 2.4
    expected = np.linalg.solve(SRGB, DISPLAY_P3 @ linear)
    assert np.abs(pixels - 255 * (1.055 * expected ** (1 / 2.4) - 0.055)).max() <= 3
    assert pixels[0, 0, 0] > 185  # a visible difference


def broken_apng(folder: Path) -> Path:
    """An animation whose first frame goes on with a chunk that has no name."""
    rng = np.random.default_rng(0)
    frames = [Image.fromarray(rng.integers(0, 255, (300, 300, 3), np.uint8)) for _ in range(2)]
    path = saved(folder, frames[0], "a.png", save_all=True, append_images=frames[1:])
    content = bytearray(path.read_bytes())
    assert b"acTL" in content
    second = content.index(b"IDAT", content.index(b"IDAT") + 4)
    content[second : second + 4] = b"\1\2\3\4"
    path.write_bytes(content)
    return path


def test_a_broken_animation_is_an_outcome(tmp_path: Path) -> None:
    path = broken_apng(tmp_path)
    with pytest.raises(SyntaxError), Image.open(path) as image:  # as Pillow does
        image.load()
    assert read_picture(path, max_pixels=1e6) == Rejected("undecodable")
    with pytest.raises(ValueError, match=rf"{path}: not a readable picture \(undecodable\)"):
        load_picture(path)


def test_pictures_are_found_by_suffix_in_any_case_and_in_subfolders(tmp_path: Path) -> None:
    names = [
        "a.JPG", "b/c/d.jpeg", "b/e.WebP", "f.jfif", "g.tif", "h.bmp", "i.avif",
        ".hidden.jpg", ".thumbnails/a.jpg", "b/.cache/c.png", "notes.txt", "jpg",
    ]  # fmt: skip
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "folder.png").mkdir()
    found = [str(path.relative_to(tmp_path)) for path in find_pictures(tmp_path)]
    assert found == sorted(names[:7])


def test_pictures_behind_links_are_found_once(tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "mine", tmp_path / "disk"
    for path in (folder / "z" / "own.png", elsewhere / "far.png"):
        path.parent.mkdir(parents=True)
        path.touch()
    (folder / "a-link-inside").symlink_to("z")
    (folder / "b-link").symlink_to(elsewhere)
    (folder / "c-link-again").symlink_to(elsewhere)
    (folder / "d-loop").symlink_to(folder)
    (folder / "nowhere.jpg").symlink_to(tmp_path / "unmounted" / "1.jpg")
    os.mkfifo(folder / "pipe.jpg")
    found = [path.relative_to(folder).as_posix() for path in find_pictures(folder)]
    assert found == ["b-link/far.png", "nowhere.jpg", "z/own.png"]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs another user, for whom a folder is closed")
def test_a_folder_that_cannot_be_listed_is_named() -> None:
    lines = (
        "import os, pathlib, sys; from core.pictures import find_pictures; os.setuid(65534); "
        "print([path.name for path in find_pictures(pathlib.Path(sys.argv[1]))])"
    )
    with tempfile.TemporaryDirectory() as folder:  # pytest's own are closed to other users
        Path(folder).chmod(0o755)
        (Path(folder) / "closed").mkdir(mode=0o700)
        (Path(folder) / "1.png").touch()
        done = subprocess.run(
            [sys.executable, "-c", lines, folder],
            cwd=ROOT, capture_output=True, text=True, check=True,
        )  # fmt: skip
    assert done.stdout == "['1.png']\n"
    assert f"{folder}/closed: cannot be listed (Permission denied); left out" in done.stderr


def test_pictures_are_found_below_a_hidden_folder_that_was_named(tmp_path: Path) -> None:
    (tmp_path / ".mine").mkdir()
    (tmp_path / ".mine" / "a.png").touch()
    assert [path.name for path in find_pictures(tmp_path / ".mine")] == ["a.png"]


def seeds() -> list[bytes]:
    pixels = np.random.default_rng(0).integers(0, 255, (24, 24, 3), np.uint8)
    files = []
    for kind in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"):
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, kind)
        files.append(file.getvalue())
    return files


SEEDS = seeds()


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.sampled_from(SEEDS), st.data())
def test_damaged_files_never_raise(tmp_path: Path, seed: bytes, data: st.DataObject) -> None:
    content = bytearray(seed)
    places = st.lists(st.tuples(st.integers(0, len(seed) - 1), st.integers(0, 255)), max_size=12)
    for place, value in data.draw(places):
        content[place] = value
    path = tmp_path / "file"
    path.write_bytes(bytes(content[: data.draw(st.integers(0, len(content)))]))
    outcome = read_picture(path, max_pixels=1e6)
    if isinstance(outcome, Rejected):
        assert outcome.reason in REASONS
    else:
        assert outcome.shape[2] == 3
        assert outcome.dtype == np.uint8


@pytest.mark.skipif(not BAD.is_dir(), reason="the collection of bad files (shared/data) is absent")
def test_no_file_of_the_bad_collection_raises() -> None:
    outcomes = [
        read_picture(path, max_pixels=4e6) for path in sorted(BAD.rglob("*")) if path.is_file()
    ]
    assert len(outcomes) > 500
    assert all(isinstance(o, Rejected) or o.dtype == np.uint8 for o in outcomes)
