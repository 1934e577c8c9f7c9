"""A photograph's file: its pixels, and the metadata that may go on to the result.

Kept: what describes the shot and its rights (camera, time, exposure, author, copyright), and
transparency. Never kept: the orientation (it is applied), the embedded thumbnail (it shows the
photograph as it was), maker notes (nobody knows what they say). Kept on request alone: location,
that is EXIF's GPS block and the XMP packet, which can hold place names.
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
from core.pictures import Rejected, read_picture

MAX_MEGAPIXELS = 120.0
SUFFIXES = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "PNG": (".png",),
    "WEBP": (".webp",),
}
_READ_TOO = (".bmp", ".gif", ".tif", ".tiff", ".mpo", ".avif")
PICTURE_SUFFIXES = frozenset({*_READ_TOO, *(name for names in SUFFIXES.values() for name in names)})
_LOSSLESS = {"PNG", "GIF", "BMP", "TIFF"}
_DROPPED = (
    ExifTags.Base.Orientation,
    ExifTags.Base.ImageWidth,
    ExifTags.Base.ImageLength,
    ExifTags.Base.MakerNote,
)
_KEPT_IFDS = (ExifTags.IFD.Exif,)
_PNG_XMP = "XML:com.adobe.xmp"
_SOFTWARE = "Suyan (translated by a CycleGAN)"
_REASONS = {
    "undecodable": "cannot be read as a picture: damaged, or no JPEG, PNG, WebP, GIF, BMP, TIFF or "
    "AVIF (convert HEIC to JPEG first)",
    "too-small": "has no pixels",
    "out-of-memory": "does not fit into memory",
}


@dataclass(frozen=True)
class Refusal(Rejected):
    """Why a photograph is not translated: ``reason`` as a sentence, ``kind`` for programs."""

    kind: Literal["unreadable", "too-large", "no-face", "no-fit-face"]


@dataclass(frozen=True)
class Photo:
    """A decoded photograph: ``pixels`` ``[H, W, 3]`` uint8 sRGB, upright; and what goes with it."""

    pixels: NDArray[np.uint8]
    alpha: NDArray[np.uint8] | None  # [H, W], 255 is opaque; None for a format without
    format: str  # what it will be written as: JPEG, PNG or WEBP
    exif: bytes  # what may be kept of it; b"" for nothing
    xmp: bytes  # b"" unless location is kept
    note: str  # what a person should know, e.g. that it was animated; "" for nothing

    def with_pixels(self, pixels: NDArray[np.uint8]) -> Photo:
        """The same photograph with other pixels; transparency stays where the size does."""
        same = pixels.shape == self.pixels.shape
        return replace(self, pixels=pixels, alpha=self.alpha if same else None)


def read(
    path: Path, *, max_megapixels: float = MAX_MEGAPIXELS, keep_location: bool = False
) -> Photo | Refusal:
    """The photograph, or why not, as a sentence. Raises nothing for bad files."""
    try:
        if path.is_dir():
            return Refusal("is a folder", "unreadable")
        with path.open("rb") as file:
            if not file.read(1):
                return Refusal("is empty (0 bytes)", "unreadable")
    except OSError as error:
        return Refusal(f"cannot be read: {error.strerror or error}", "unreadable")
    picture = read_picture(path, max_pixels=max_megapixels * 1e6)
    if isinstance(picture, Rejected):
        large = picture.reason == "too-many-pixels"
        reason = _REASONS.get(picture.reason, picture.reason)
        return Refusal(
            _too_large(path, max_megapixels) if large else reason,
            "too-large" if large else "unreadable",
        )
    try:
        return _with_metadata(path, picture, keep_location=keep_location)
    except Exception:  # pixels are good, metadata is not: Pillow raises a dozen types
        return Photo(picture, None, "JPEG", b"", b"", "its metadata cannot be read and is left out")


def write(path: Path, photo: Photo) -> None:
    """Write ``photo`` in its format, atomically. Raises ``OSError`` where the disk says no."""
    with atomic_file(path) as file:
        file.write(encode(photo))


def encode(photo: Photo) -> bytes:
    """The bytes of ``photo``'s file: JPEG at quality 95 without chroma subsampling, PNG or WebP."""
    image = Image.fromarray(photo.pixels)
    if photo.alpha is not None and photo.format != "JPEG":
        image.putalpha(Image.fromarray(photo.alpha))
    options: dict[str, object] = {"icc_profile": _srgb()}
    if photo.format == "JPEG":
        options |= {"quality": 95, "subsampling": 0}
    elif photo.format == "WEBP":
        options |= {"quality": 95, "method": 4}
    else:
        options |= {"compress_level": 4}
    if photo.exif:
        options["exif"] = photo.exif
    if photo.xmp and photo.format == "PNG":
        text = PngImagePlugin.PngInfo()
        text.add_itxt(_PNG_XMP, photo.xmp.decode("utf-8", "replace"))
        options["pnginfo"] = text
    elif photo.xmp:
        options["xmp"] = photo.xmp
    buffer = io.BytesIO()
    image.save(buffer, photo.format, **options)
    return buffer.getvalue()


def _with_metadata(path: Path, pixels: NDArray[np.uint8], *, keep_location: bool) -> Photo:
    with Image.open(path) as image:
        found = str(image.format)
        frames = int(getattr(image, "n_frames", 1)) if found != "MPO" else 1
        exif = _kept(image.getexif(), keep_location=keep_location)
        xmp = image.info.get("xmp") or image.info.get(_PNG_XMP, b"")
        alpha = _alpha(image, pixels)
    written = "PNG" if found in _LOSSLESS else "WEBP" if found == "WEBP" else "JPEG"
    note = f"animated: only the first of its {frames} pictures was taken" if frames > 1 else ""
    xmp = xmp.encode() if isinstance(xmp, str) else xmp
    kept_xmp = xmp if keep_location and isinstance(xmp, bytes) and len(xmp) < 60_000 else b""
    return Photo(pixels, alpha if written != "JPEG" else None, written, exif, kept_xmp, note)


def _kept(exif: Image.Exif, *, keep_location: bool) -> bytes:
    """EXIF as bytes, with what may be kept alone."""
    kept = Image.Exif()
    for tag, value in exif.items():
        if tag not in {*_DROPPED, *ExifTags.IFD}:
            kept[tag] = value
    ifds = (*_KEPT_IFDS, *([ExifTags.IFD.GPSInfo] if keep_location else []))
    for number in ifds:
        block = {tag: value for tag, value in exif.get_ifd(number).items() if tag not in _DROPPED}
        block = {tag: value for tag, value in block.items() if tag not in set(ExifTags.IFD)}
        if block:
            kept.get_ifd(number).update(block)
    kept[ExifTags.Base.Software] = _SOFTWARE
    return kept.tobytes()


def _alpha(image: Image.Image, pixels: NDArray[np.uint8]) -> NDArray[np.uint8] | None:
    if not (image.mode in {"RGBA", "LA", "PA"} or "transparency" in image.info):
        return None
    image.seek(0)
    alpha = np.asarray(ImageOps.exif_transpose(image).convert("RGBA").getchannel("A"))
    return alpha if alpha.shape == pixels.shape[:2] and alpha.min() < 255 else None


def _too_large(path: Path, max_megapixels: float) -> str:
    try:
        with Image.open(path) as image:
            width, height = image.size
    except Exception:
        return f"has more than {max_megapixels:g} megapixels"
    size = f"{width} × {height} = {width * height / 1e6:.0f} megapixels"
    return f"is too large: {size}; the limit is {max_megapixels:g} (--max-megapixels)"


def _srgb() -> bytes:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    return profile.tobytes()
