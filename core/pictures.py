"""The one picture reader of every stage, so that training and translation see the same pixels.

A picture file → ``[H, W, 3]`` uint8 sRGB as a viewer shows it, or a short reason why not. Files are
untrusted: format (by content; an allow-list), pixels, sides, frames and the size of text chunks are
judged before any pixel is decoded. EXIF orientation is applied, colour profiles are converted,
transparent pictures are put on white, 16-bit and floating-point levels are scaled to 8 bits, and an
animation gives its first frame.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import functools
import io
import logging
import os
import warnings
from collections.abc import Callable, Container, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps, PngImagePlugin

from core.image_formats import PILLOW_NAMES, SUFFIXES
from core.language.messages import localised

MAX_PIXELS = 120e6
"""Most pixels of a file that a person chose; a crawl has a limit of its own."""

Picture = NDArray[np.uint8]
"""``[H, W, 3]`` uint8 sRGB."""

MAX_FRAMES = 2000
"""Most pictures of an animation."""

UNREADABLE = "unreadable"
"""The reason of a file that the system does not let us read; it says nothing about the file."""

_ORIENTATION = 0x0112  # EXIF; 5 to 8 swap width and height
_MAX_TEXT_BYTES = 1 << 20  # of a PNG's text chunks, unpacked, all together
_MAX_PROFILE_BYTES = 4 << 20
_MAX_FLOAT_HIGHLIGHT = 2.0  # where white is 1: a sharpened picture exceeds it at its edges

_NUM_THREADS = min(8, os.cpu_count() or 1)

Result = TypeVar("Result")

_logger = logging.getLogger(__name__)
logging.getLogger("PIL").addHandler(logging.NullHandler())  # otherwise it writes to the terminal


def map_in_threads(function: Callable[..., Result], *columns: Iterable[Any]) -> Iterator[Result]:
    """``map(function, *columns)`` on all cores, in the same order.

    Pillow, OpenCV, NumPy and onnxruntime release Python's lock while they work. After an error, or
    when the caller leaves, no other item is begun.
    """
    pool = ThreadPoolExecutor(_NUM_THREADS)
    try:
        yield from pool.map(function, *columns)
    finally:
        pool.shutdown(cancel_futures=True)


@dataclass(frozen=True)
class Rejected:
    """A file that cannot be used; ``reason`` is a short code, e.g. ``undecodable``."""

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


def read_picture(
    path: Path, *, max_pixels: float = MAX_PIXELS, min_side_px: int = 1
) -> Picture | Rejected:
    """``[H, W, 3]`` uint8 sRGB, upright; a ``Rejected`` with the reason for a bad file.

    The reasons: ``undecodable``, ``too-many-pixels``, ``too-many-frames``, ``too-small``,
    ``out-of-memory``, and ``UNREADABLE``.
    """
    decoded = read_reduced(path, max_pixels=max_pixels, min_side_px=min_side_px)
    return decoded if isinstance(decoded, Rejected) else decoded.pixels


def read_reduced(
    path: Path,
    *,
    max_pixels: float = MAX_PIXELS,
    min_side_px: int = 1,
    enough_px: int | None = None,
    max_factor: int = 8,
) -> Decoded | Rejected:
    """Like ``read_picture``, but a JPEG is decoded at ½, ¼ or ⅛ of its size as long as its longer
    side keeps ``enough_px``, and at 1 / ``max_factor`` at least.

    That is several times as fast: the decoder skips the frequencies that the size cannot show.
    """
    try:
        with silent_decoders():
            # both are Pillow's own limits, and hold for the whole process
            PngImagePlugin.MAX_TEXT_CHUNK = PngImagePlugin.MAX_TEXT_MEMORY = _MAX_TEXT_BYTES
            with Image.open(path, formats=PILLOW_NAMES) as image:
                reason = _refused(image, max_pixels, min_side_px)
                if reason:
                    return Rejected(reason)
                width, height = image.size
                factor = _reduce(image, enough_px, max_factor)
                turned = image.getexif().get(_ORIENTATION, 1) in range(5, 9)
                pixels = np.asarray(_to_srgb(image))
    except Image.DecompressionBombError:
        return Rejected("too-many-pixels")
    except MemoryError:
        return Rejected("out-of-memory")
    except OSError as error:
        return Rejected(UNREADABLE if _is_of_the_system(error) else "undecodable")
    except Exception:  # Pillow raises a dozen types on hostile files
        return Rejected("undecodable")
    return Decoded(pixels, *((width, height) if turned else (height, width)), factor)


def _is_of_the_system(error: OSError) -> bool:
    """Whether the system could not read the file. Pillow's own errors have no number, and hostile
    files make it seek to places that do not exist.
    """
    return error.errno not in {None, errno.EINVAL}


@contextlib.contextmanager
def silent_decoders() -> Iterator[None]:
    """During the block Pillow and libtiff write no warnings about damaged files to the terminal.

    A decompression bomb stays an error.
    """
    _silence_libtiff()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@functools.cache
def _silence_libtiff() -> None:
    """Remove libtiff's handlers of messages: it prints them itself, past Python's ``warnings``."""
    try:
        maps = Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace")
        library = next(line.split()[-1] for line in maps.splitlines() if "libtiff" in line)
        libtiff = ctypes.CDLL(library)
        for set_handler in (libtiff.TIFFSetErrorHandler, libtiff.TIFFSetWarningHandler):
            set_handler.argtypes, set_handler.restype = [ctypes.c_void_p], ctypes.c_void_p
            set_handler(None)
    except (OSError, StopIteration, AttributeError):  # a Pillow without libtiff
        return


def load_picture(path: Path, *, max_pixels: float = MAX_PIXELS) -> Picture:
    """Like ``read_picture``. Raises ``ValueError`` that names the file and the reason."""
    picture = read_picture(path, max_pixels=max_pixels)
    if isinstance(picture, Rejected):
        raise ValueError(  # noqa: TRY004 - the file is wrong, not a type
            localised(
                "{path}: not a readable picture ({reason}); remove or replace it",
                path=path,
                reason=picture.reason,
            )
        )
    return picture


def find_pictures(folder: Path, suffixes: Container[str] = SUFFIXES) -> list[Path]:
    """Picture files in ``folder`` and its subfolders by suffix, in the order of their names.

    Upper-case suffixes count too. Hidden files and folders (names that begin with a dot) are
    skipped. Links are followed; one that leads nowhere is returned, so that whoever reads it says
    so. A subfolder that cannot be listed is named in the log.
    """
    return sorted(
        path
        for path in _visible_files(folder)
        if path.suffix.lower() in suffixes and (path.is_file() or path.is_symlink())
    )


def _visible_files(folder: Path) -> Iterator[Path]:
    """All that is no folder, of each folder once: a link may lead to a folder above it. Links come
    last, so that a file has the path without one.
    """
    walked, starts = set[str](), [folder]
    for start in starts:
        for place, folders, names in os.walk(start, onerror=_log_unlisted):
            real = os.path.realpath(place)
            is_new = real not in walked
            walked.add(real)
            folders[:] = [n for n in sorted(folders) if is_new and not n.startswith(".")]
            starts += [path for name in folders if (path := Path(place) / name).is_symlink()]
            yield from (Path(place) / name for name in names if is_new and not name.startswith("."))


def _log_unlisted(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):  # the folder itself may be missing
        _logger.warning(
            localised(
                "{folder}: cannot be listed ({reason}); left out",
                folder=error.filename,
                reason=error.strerror,
            )
        )


def resize(picture: Picture, width: int, height: int) -> Picture:
    """``[height, width, 3]`` uint8: bicubic, anti-aliased; untouched when it has that size."""
    if picture.shape[:2] == (height, width):
        return picture
    resized = Image.fromarray(picture).resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(resized)


def _refused(image: Image.Image, max_pixels: float, min_side_px: int) -> str:
    """The reason to reject a file by its header alone; "" if there is none."""
    if image.width * image.height > max_pixels:
        return "too-many-pixels"
    if min(image.size) < min_side_px:
        return "too-small"
    return "too-many-frames" if _num_frames(image) > MAX_FRAMES else ""


def _num_frames(image: Image.Image) -> int:
    """Number of frames in the file; 1 if the frames after the first one are broken."""
    try:
        return int(getattr(image, "n_frames", 1))
    except Exception:  # a viewer shows the first frame even if the rest is broken
        return 1


def _reduce(image: Image.Image, enough_px: int | None, max_factor: int) -> int:
    """Ask the JPEG decoder for a smaller picture; returns the factor by which it is smaller."""
    if enough_px is None or image.format not in {"JPEG", "MPO"}:
        return 1
    longer = max(image.size)
    factors = (f for f in (2, 4, 8) if f <= max_factor and longer // f >= enough_px)
    factor = max(factors, default=1)
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
    """White is 65,535 for 16 bits, 1 for floating-point levels up to ``_MAX_FLOAT_HIGHLIGHT``; else
    the first of 255, 65,535 and the highest level that is at least as high as that.

    Infinite levels become white, NaN becomes black.
    """
    levels = np.asarray(image, dtype=np.float64)
    highest = levels.max(initial=0, where=np.isfinite(levels))
    levels = np.nan_to_num(levels, nan=0.0, posinf=highest, neginf=0.0)
    if image.mode.startswith("I;16"):
        white = 65535.0
    elif image.mode == "F" and highest <= _MAX_FLOAT_HIGHLIGHT:
        white = 1.0
    else:
        white = next(top for top in (255.0, 65535.0, np.inf) if highest <= top)
        white = max(highest, 1.0) if np.isinf(white) else white
    return Image.fromarray(np.clip(levels * (255.0 / white), 0, 255).astype(np.uint8))


def _by_profile(image: Image.Image, profile: bytes) -> Image.Image | None:
    """The picture in sRGB, or ``None`` when its profile cannot be used."""
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
