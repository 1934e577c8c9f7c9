"""Untrusted image files → RGB arrays, or a short reason why not."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps

_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "MPO", "AVIF")


@dataclass(frozen=True)
class Rejected:
    """Why a file is not used: a short reason for the manifest, e.g. ``undecodable``."""

    reason: str


def decode(path: Path, *, max_pixels: float, min_side_px: int = 1) -> NDArray[np.uint8] | Rejected:
    """``[H, W, 3]`` uint8 sRGB as a viewer would show it, or why not. Raises nothing for bad files.

    EXIF orientation is applied, colour profiles are converted, transparency lies on white, of an
    animation the first frame is taken. The size is judged before any pixel is decoded.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore"
            )  # Pillow warns where it goes on; a bomb is an error below
            with Image.open(path, formats=_FORMATS) as image:
                width, height = image.size
                if width * height > max_pixels:
                    return Rejected("too-many-pixels")
                if min(width, height) < min_side_px:
                    return Rejected("too-small")
                return np.asarray(_to_srgb(image))
    except Image.DecompressionBombError:
        return Rejected("too-many-pixels")
    except MemoryError:
        return Rejected("out-of-memory")
    except Exception:  # Pillow raises a dozen types on hostile files
        return Rejected("undecodable")


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
    if profile and upright.mode in {"RGB", "CMYK", "L"}:
        converted = _by_profile(upright, profile)
        if converted is not None:
            return converted
    return upright.convert("RGB")


def _to_eight_bits(image: Image.Image) -> Image.Image:
    values = np.nan_to_num(np.asarray(image, dtype=np.float64))
    sixteen = image.mode.startswith("I;16") or values.max(initial=0) > 255
    top = 65535.0 if sixteen else 255.0
    return Image.fromarray(np.clip(values * (255.0 / top), 0, 255).astype(np.uint8))


def _by_profile(image: Image.Image, profile: bytes) -> Image.Image | None:
    """The picture in sRGB, or ``None`` when its profile is of no use."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        target = ImageCms.createProfile("sRGB")
        converted: Image.Image | None = ImageCms.profileToProfile(
            image, source, target, outputMode="RGB"
        )
        return converted
    except (ImageCms.PyCMSError, OSError, TypeError, ValueError):
        return None
