"""Photographs as people have them: oversized or broken metadata, appended parts, odd sizes."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable

import numpy as np
from PIL import ExifTags, Image, PngImagePlugin

from scraping.offline.corpus import portrait

GAIN_MAP_XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/" '
    b'xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/" hdrgm:Version="1.0"/>'
)
_MP4 = b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + b"\0\0\0\x10mdat" + bytes(range(8))
_BROKEN_EXIF = b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + b"\x01\x02\x00\x0c\xff\xff\xff\xff" * 30


def encode(image: Image.Image, image_format: str, **options: object) -> bytes:
    """The bytes of a picture file."""
    buffer = io.BytesIO()
    image.save(buffer, image_format, **options)
    return buffer.getvalue()


_PORTRAIT = Image.fromarray(portrait("makeup", 3))


def photo(width: int = 160) -> Image.Image:
    """A drawn portrait, ``width`` px wide."""
    return _PORTRAIT.resize((width, round(width * _PORTRAIT.height / _PORTRAIT.width)))


def _cut(content: bytes, share: float) -> bytes:
    return content[: int(share * len(content))]


def with_transparency(image: Image.Image) -> Image.Image:
    """The picture with a transparent and a half transparent edge."""
    alpha = np.full((image.height, image.width), 255, np.uint8)
    alpha[:20], alpha[20:40] = 0, 128
    rgba = image.convert("RGBA")
    rgba.putalpha(Image.fromarray(alpha))
    return rgba


def _app1(content: bytes) -> bytes:
    return b"\xff\xe1" + struct.pack(">H", len(content) + 2) + content


def exif_in_two_segments() -> bytes:
    """A JPEG whose EXIF block is longer than a segment; cameras write the rest into a second."""
    exif = Image.Exif()
    exif[ExifTags.Base.Artist] = "Somebody"
    exif[ExifTags.Base.ImageDescription] = "x" * 100_000
    block = exif.tobytes()[6:]
    plain = encode(photo(), "JPEG")
    parts = (block[:60_000], block[60_000:])
    return plain[:2] + b"".join(_app1(b"Exif\0\0" + part) for part in parts) + plain[2:]


def _description(length: int) -> Image.Exif:
    exif = Image.Exif()
    exif[ExifTags.Base.ImageDescription] = "x" * length
    return exif


def _text(length: int) -> PngImagePlugin.PngInfo:
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", "y" * length, zip=True)
    return text


def _frames(image_format: str) -> bytes:
    first = photo()
    return encode(
        first, image_format, save_all=True, append_images=[first.rotate(9), first.rotate(20)]
    )


def _ultra_hdr() -> bytes:
    gain_map = encode(photo(64).convert("L"), "JPEG", xmp=GAIN_MAP_XMP)
    return encode(photo(), "JPEG", xmp=GAIN_MAP_XMP) + gain_map


ODD_PHOTOS: dict[str, Callable[[], bytes]] = {
    "exif-65k.jpg": lambda: encode(photo(), "JPEG", exif=_description(65_400)),
    "exif-two-segments.jpg": exif_in_two_segments,
    "exif-300k.png": lambda: encode(photo(), "PNG", exif=_description(300_000)),
    "exif-300k.webp": lambda: encode(photo(), "WEBP", exif=_description(300_000)),
    "exif-broken.png": lambda: encode(with_transparency(photo()), "PNG", exif=_BROKEN_EXIF),
    "exif-broken.webp": lambda: encode(
        with_transparency(photo()), "WEBP", exif=_BROKEN_EXIF, lossless=True
    ),
    "profile-9mb.png": lambda: encode(photo(), "PNG", icc_profile=b"\x5a\xa5" * 4_500_000),
    "profile-broken.jpg": lambda: encode(photo(), "JPEG", icc_profile=b"nothing"),
    "text-3mb.png": lambda: encode(photo(), "PNG", pnginfo=_text(3_000_000)),
    "xmp-broken.jpg": lambda: encode(photo(), "JPEG", xmp=b"<x:xmpmeta \xff\xfe<<<"),
    "ultra-hdr.jpg": _ultra_hdr,
    "motion.jpg": lambda: encode(photo(), "JPEG") + _MP4,
    "several.jpg": lambda: _frames("MPO"),
    "animated.webp": lambda: _frames("WEBP"),
    "animated.png": lambda: _frames("PNG"),
    "animated.avif": lambda: _frames("AVIF"),
    "pages.tif": lambda: _frames("TIFF"),
    "no-end.jpg": lambda: encode(photo(), "JPEG")[:-2],
    "cut-off.jpg": lambda: _cut(encode(photo(), "JPEG"), 0.9),
    "cut-off.png": lambda: _cut(encode(photo(), "PNG"), 0.9),
    "cut-early.jpg": lambda: _cut(encode(photo(), "JPEG"), 0.25),
    "cmyk.jpg": lambda: encode(photo().convert("CMYK"), "JPEG"),
    "16-bit.png": lambda: encode(
        Image.fromarray((np.asarray(photo().convert("L")).astype(np.uint16)) * 257), "PNG"
    ),
    "1-bit.png": lambda: encode(photo().convert("1"), "PNG"),
    "palette.png": lambda: encode(photo().quantize(64), "PNG"),
    "1x1.png": lambda: encode(Image.new("RGB", (1, 1), "teal"), "PNG"),
    "3x300.png": lambda: encode(Image.new("RGB", (3, 300), "teal"), "PNG"),
    "12x5000.png": lambda: encode(Image.new("RGB", (12, 5000), "teal"), "PNG"),
    "70000x3.png": lambda: encode(Image.new("RGB", (70_000, 3), "teal"), "PNG"),
    "named-jpg.jpg": lambda: encode(photo(), "PNG"),
    "empty.jpg": lambda: b"",
    "heic.jpg": lambda: b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(500),
    "drawing.svg": lambda: b'<svg xmlns="http://www.w3.org/2000/svg"/>',
    "text.png": lambda: b"no picture",
}
