"""Photographs: reading and writing their files, with the metadata that the result keeps.

The result keeps transparency and the metadata about the shot and its rights (camera, time,
exposure, author, copyright). It never keeps the orientation (which is applied), the embedded
thumbnail (which shows the untranslated photograph) and maker notes (whose content is unknown). The
location (EXIF's GPS block, and the XMP packet, which can hold place names) is kept on request only.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageCms, ImageOps, PngImagePlugin

from core.files import atomic_file
from core.image_formats import BY_NAME, PILLOW_NAMES, ImageFormat
from core.pictures import MAX_PIXELS, Rejected, read_picture

MAX_MEGAPIXELS = MAX_PIXELS / 1e6
JPEG, PNG, WEBP = BY_NAME["JPEG"], BY_NAME["PNG"], BY_NAME["WEBP"]
OUTPUT_FORMATS = (JPEG, PNG, WEBP)
_DROPPED_TAGS = (
    ExifTags.Base.Orientation,
    ExifTags.Base.ImageWidth,
    ExifTags.Base.ImageLength,
    ExifTags.Base.MakerNote,
)
_PNG_XMP = "XML:com.adobe.xmp"
_MAX_XMP_BYTES = 60_000  # a JPEG segment holds 65,533
_SOFTWARE = "Suyan (translated by a CycleGAN)"
_REASONS = {
    "undecodable": "cannot be read as a picture: it is damaged, or no JPEG, PNG, WebP, GIF, BMP, "
    "TIFF or AVIF (convert HEIC to JPEG first)",
    "too-small": "has no pixels",
    "out-of-memory": "does not fit into memory",
}


@dataclass(frozen=True)
class Refusal(Rejected):
    """A photograph that is not translated: ``reason`` is for people, ``kind`` for programs."""

    kind: Literal["unreadable", "too-large", "no-face", "no-fit-face"]


@dataclass(frozen=True)
class Photo:
    """A decoded photograph, upright, and the metadata for the file of the result."""

    pixels: NDArray[np.uint8]  # [H, W, 3], sRGB
    alpha: NDArray[np.uint8] | None = None  # [H, W], 255 is opaque; None: opaque everywhere
    format: ImageFormat = JPEG  # of the result's file, one of OUTPUT_FORMATS
    exif: bytes = b""  # the part of the EXIF block that is kept
    xmp: bytes = b""  # empty unless the location is kept
    num_frames: int = 1  # of the file; pixels are those of the first
    is_metadata_readable: bool = True

    @property
    def note(self) -> str:
        """A note for people, e.g. that the file is animated; "" for none."""
        if not self.is_metadata_readable:
            return "its metadata cannot be read and is left out"
        if self.num_frames > 1:
            return f"animated: only the first of its {self.num_frames} pictures was translated"
        return ""

    def with_pixels(self, pixels: NDArray[np.uint8]) -> Photo:
        """The same photograph with other pixels; transparency is dropped if the size changes."""
        is_same_size = pixels.shape == self.pixels.shape
        return replace(self, pixels=pixels, alpha=self.alpha if is_same_size else None)


def read_photo(
    path: Path, *, max_megapixels: float = MAX_MEGAPIXELS, keep_location: bool = False
) -> Photo | Refusal:
    """The photograph, or the reason why it cannot be read; a bad file raises no error.

    ``max_megapixels``: largest picture that is decoded.
    """
    problem = _file_problem(path)
    if problem:
        return Refusal(problem, "unreadable")
    picture = read_picture(path, max_pixels=max_megapixels * 1e6)
    if isinstance(picture, Rejected):
        if picture.reason == "too-many-pixels":
            return Refusal(_too_large(path, max_megapixels), "too-large")
        return Refusal(_REASONS.get(picture.reason, picture.reason), "unreadable")
    try:
        return _with_metadata(path, picture, keep_location=keep_location)
    except Exception:  # only the metadata is bad, for which Pillow raises a dozen types
        return Photo(picture, is_metadata_readable=False)


def write_photo(path: Path, photo: Photo) -> None:
    """Write ``photo`` in its format, atomically. Raises ``OSError`` if it cannot be written."""
    with atomic_file(path) as file:
        file.write(encode_photo(photo))


def encode_photo(photo: Photo) -> bytes:
    """The bytes of ``photo``'s file; JPEG at quality 95 without chroma subsampling."""
    image = Image.fromarray(photo.pixels)
    if photo.alpha is not None and photo.format is not JPEG:
        image.putalpha(Image.fromarray(photo.alpha))
    options: dict[str, object] = {"icc_profile": _srgb()}
    if photo.format is JPEG:
        options |= {"quality": 95, "subsampling": 0}
    elif photo.format is WEBP:
        options |= {"quality": 95, "method": 4}
    else:
        options |= {"compress_level": 4}
    if photo.exif:
        options["exif"] = photo.exif
    if photo.xmp and photo.format is PNG:
        text = PngImagePlugin.PngInfo()
        text.add_itxt(_PNG_XMP, photo.xmp.decode("utf-8", "replace"))
        options["pnginfo"] = text
    elif photo.xmp:
        options["xmp"] = photo.xmp
    buffer = io.BytesIO()
    image.save(buffer, photo.format.name, **options)
    return buffer.getvalue()


def _file_problem(path: Path) -> str:
    """The reason why the file cannot be read; "" when it can."""
    try:
        if path.is_dir():
            return "is a folder"
        with path.open("rb") as file:
            return "" if file.read(1) else "is empty (0 bytes)"
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"


def _with_metadata(path: Path, pixels: NDArray[np.uint8], *, keep_location: bool) -> Photo:
    with Image.open(path, formats=PILLOW_NAMES) as image:
        source = BY_NAME.get(str(image.format), JPEG)  # MPO is a JPEG with several pictures
        num_frames = int(getattr(image, "n_frames", 1)) if image.format != "MPO" else 1
        exif = _filter_exif(image.getexif(), keep_location=keep_location)
        xmp = image.info.get("xmp") or image.info.get(_PNG_XMP, b"")
        alpha = _alpha(image, pixels)
    output = PNG if source.is_lossless else WEBP if source is WEBP else JPEG
    xmp = xmp.encode() if isinstance(xmp, str) else xmp
    is_xmp_kept = keep_location and isinstance(xmp, bytes) and len(xmp) < _MAX_XMP_BYTES
    return Photo(
        pixels,
        alpha if output is not JPEG else None,
        output,
        exif,
        xmp if is_xmp_kept else b"",
        num_frames,
    )


def _filter_exif(exif: Image.Exif, *, keep_location: bool) -> bytes:
    """The part of the EXIF block that the result keeps, as bytes."""
    result = Image.Exif()
    dropped = {*_DROPPED_TAGS, *ExifTags.IFD}
    for tag, value in exif.items():
        if tag not in dropped:
            result[tag] = value
    blocks = (ExifTags.IFD.Exif, *([ExifTags.IFD.GPSInfo] if keep_location else []))
    for number in blocks:
        block = {tag: value for tag, value in exif.get_ifd(number).items() if tag not in dropped}
        if block:
            result.get_ifd(number).update(block)
    result[ExifTags.Base.Software] = _SOFTWARE
    return result.tobytes()


def _alpha(image: Image.Image, pixels: NDArray[np.uint8]) -> NDArray[np.uint8] | None:
    if not (image.mode in {"RGBA", "LA", "PA"} or "transparency" in image.info):
        return None
    image.seek(0)
    alpha = np.asarray(ImageOps.exif_transpose(image).convert("RGBA").getchannel("A"))
    return alpha if alpha.shape == pixels.shape[:2] and alpha.min() < 255 else None


def _too_large(path: Path, max_megapixels: float) -> str:
    try:
        with Image.open(path, formats=PILLOW_NAMES) as image:
            width, height = image.size
    except Exception:
        return f"has more than {max_megapixels:g} megapixels"
    size = f"{width} × {height} = {width * height / 1e6:.0f} megapixels"
    return f"is too large: {size}; the limit is {max_megapixels:g} (--max-megapixels)"


def _srgb() -> bytes:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    return profile.tobytes()
