"""Picture formats are listed once, and Pillow supports each of them."""

import io
from collections import Counter

import pytest
from PIL import Image, features

from core.image_formats import BY_NAME, FORMATS, PILLOW_NAMES, SUFFIXES, ImageFormat, sniff


@pytest.mark.parametrize("image_format", FORMATS, ids=lambda image_format: image_format.name)
def test_a_file_of_each_format_is_recognised(image_format: ImageFormat) -> None:
    if image_format.name == "AVIF" and not features.check("avif"):
        pytest.skip("this Pillow writes no AVIF")
    file = io.BytesIO()
    Image.new("RGB", (16, 16)).save(file, image_format.name)
    assert sniff(file.getvalue()[:16]) is image_format
    assert sniff(file.getvalue()) is image_format


@pytest.mark.parametrize(
    "head", [b"", b"\xff", b"RIFF\0\0\0\0WAVEfmt ", b"<html><body>", b"%PDF-1.7", b"\0" * 16]
)
def test_other_files_are_not(head: bytes) -> None:
    assert sniff(head) is None


def test_pillow_opens_every_name_on_the_list() -> None:
    """A single name that Pillow does not support makes it refuse every file."""
    Image.init()
    assert set(PILLOW_NAMES) - {"AVIF"} <= Image.OPEN.keys()
    file = io.BytesIO()
    Image.new("RGB", (16, 16)).save(file, "PNG")
    with Image.open(file, formats=PILLOW_NAMES) as image:
        image.load()


def test_a_suffix_belongs_to_one_format_and_is_in_lower_case() -> None:
    num = Counter(
        suffix
        for image_format in FORMATS
        for suffix in (*image_format.suffixes, *image_format.read_suffixes)
    )
    assert set(num.values()) == {1}
    assert num.keys() == SUFFIXES
    assert all(suffix == suffix.lower() and suffix.startswith(".") for suffix in SUFFIXES)
    for image_format in FORMATS:
        assert f".{image_format.extension}" in image_format.suffixes
        assert BY_NAME[image_format.name] is image_format
