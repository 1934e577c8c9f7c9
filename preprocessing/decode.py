"""Untrusted image files → RGB arrays, or a short reason why not.

What is judged before any pixel is decoded: the format (by content; an allow-list), pixels, sides,
frames, and the size of text chunks. The reasons: ``undecodable``, ``too-many-pixels``,
``too-many-frames``, ``too-small``, ``out-of-memory``.
"""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps, PngImagePlugin

_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "MPO", "AVIF")
_MAX_FRAMES = 2000
_ORIENTATION = 0x0112  # EXIF; 5 to 8 swap width and height
_MAX_TEXT_BYTES = 1 << 20  # of a PNG's text chunks, unpacked, all together
_MAX_PROFILE_BYTES = 4 << 20


@dataclass(frozen=True)
class Rejected:
    """Why a file is not used: a short reason for the manifest, e.g. ``undecodable``."""

    reason: str


@dataclass(frozen=True)
class Decoded:
    """``pixels`` is ``[H, W, 3]`` uint8 sRGB, upright; the file's own picture is ``factor`` times
    as large: ``height`` × ``width`` px, upright too.
    """

    pixels: NDArray[np.uint8]
    height: int
    width: int
    factor: int


def decode(path: Path, *, max_pixels: float, min_side_px: int = 1) -> NDArray[np.uint8] | Rejected:
    """``[H, W, 3]`` uint8 sRGB as a viewer would show it, or why not. Raises nothing for bad files.

    EXIF orientation is applied, colour profiles are converted, transparency lies on white, of an
    animation the first frame is taken. The size is judged before any pixel is decoded.
    """
    decoded = decode_small(path, max_pixels=max_pixels, min_side_px=min_side_px)
    return decoded if isinstance(decoded, Rejected) else decoded.pixels


def decode_small(
    path: Path, *, max_pixels: float, min_side_px: int = 1, enough_px: int | None = None
) -> Decoded | Rejected:
    """Like ``decode``, but a JPEG comes at ½, ¼ or ⅛ where its longer side stays ``enough_px``.

    That is several times as fast: the decoder leaves out the frequencies that would not be seen.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns where it goes on; a bomb is an error
            # both are Pillow's own limits, and the same for everybody in this process
            PngImagePlugin.MAX_TEXT_CHUNK = PngImagePlugin.MAX_TEXT_MEMORY = _MAX_TEXT_BYTES
            with Image.open(path, formats=_FORMATS) as image:
                reason = _refused(image, max_pixels, min_side_px)
                if reason:
                    return Rejected(reason)
                width, height = image.size
                factor = _reduce(image, enough_px)
                turned = image.getexif().get(_ORIENTATION, 1) in range(5, 9)
                pixels = np.asarray(_to_srgb(image))
    except Image.DecompressionBombError:
        return Rejected("too-many-pixels")
    except MemoryError:
        return Rejected("out-of-memory")
    except Exception:  # Pillow raises a dozen types on hostile files
        return Rejected("undecodable")
    return Decoded(pixels, *((width, height) if turned else (height, width)), factor)


def _refused(image: Image.Image, max_pixels: float, min_side_px: int) -> str:
    """Why not to decode a file of which only the header is known; "" if nothing speaks against."""
    if image.width * image.height > max_pixels:
        return "too-many-pixels"
    if min(image.size) < min_side_px:
        return "too-small"
    return "too-many-frames" if _num_frames(image) > _MAX_FRAMES else ""


def _num_frames(image: Image.Image) -> int:
    """How many frames the file has; 1 where what follows the first one is broken."""
    try:
        return int(getattr(image, "n_frames", 1))
    except Exception:  # a viewer shows the first frame whatever follows it
        return 1


def _reduce(image: Image.Image, enough_px: int | None) -> int:
    """Ask the JPEG decoder for a smaller picture; by which factor it will be smaller."""
    if enough_px is None or image.format not in {"JPEG", "MPO"}:
        return 1
    longer = max(image.size)
    factor = max(f for f in (1, 2, 4, 8) if f == 1 or longer // f >= enough_px)
    if factor > 1:
        image.draft(None, (image.width // factor, image.height // factor))
        factor = round(longer / max(image.size))
    return factor


def _to_srgb(image: Image.Image) -> Image.Image:
    profile = image.info.get("icc_profile")
    image.load()
    upright = ImageOps.exif_transpose(image)
    if upright.mode.startswith("I") or upright.mode == "F":
        upright = _to_eight_bits(upright)
    if upright.mode in {"RGBA", "LA", "PA", "RGBa", "La"} or "transparency" in upright.info:
        rgba = upright.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        upright = Image.alpha_composite(white, rgba).convert("RGB")
    elif upright.mode == "P":
        upright = upright.convert("RGB")
    if profile and len(profile) <= _MAX_PROFILE_BYTES and upright.mode in {"RGB", "CMYK", "L"}:
        converted = _by_profile(upright, profile)
        if converted is not None:
            return converted
    return upright.convert("RGB")


def _to_eight_bits(image: Image.Image) -> Image.Image:
    values = np.nan_to_num(np.asarray(image, dtype=np.float32))
    sixteen = image.mode.startswith("I;16") or values.max(initial=0) > 255
    top = 65535.0 if sixteen else 255.0
    return Image.fromarray(np.clip(values * (255.0 / top), 0, 255).astype(np.uint8))


def _by_profile(image: Image.Image, profile: bytes) -> Image.Image | None:
    """The picture in sRGB, or ``None`` when its profile is of no use."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if image.mode == "RGB" and ImageCms.getProfileDescription(source).startswith("sRGB"):
            return image  # the usual case, and the conversion is slow
        target = ImageCms.createProfile("sRGB")
        converted: Image.Image | None = ImageCms.profileToProfile(
            image, source, target, outputMode="RGB"
        )
        return converted
    except (ImageCms.PyCMSError, OSError, TypeError, ValueError):
        return None
