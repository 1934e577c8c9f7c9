"""Fingerprints for near-duplicate detection: a thumbnail and its perceptual hashes.

Plain borders are trimmed first, so that a framed copy resembles its original. A copy whose edges
were cut off resembles one of the original's *windows*: each window therefore has a hash of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import imagehash
import numpy as np
from numpy.typing import NDArray

THUMB_PX = 48
COARSE_PX = 16
_GREY_BYTES = THUMB_PX**2
THUMBNAIL_BYTES = _GREY_BYTES + 3 * COARSE_PX**2
_HASH_PX = 32  # imagehash.phash: a DCT of 32×32 px, of which 8×8 coefficients make the hash
_COEFFICIENTS_PER_SIDE = 8
# An orthonormal DCT scales its first row and column, imagehash's does not.
_DCT_UNSCALING = np.sqrt(np.outer([2, *[1] * 7], [2, *[1] * 7]))
_MAX_INPUT_PX = 256  # longer side at which borders are searched
_BORDER_GREY_LEVELS = 24  # largest difference of a plain border's pixels
_MIN_PLAIN_SHARE = 0.98  # of a border line's pixels
_MAX_BORDER_SHARE = 0.3  # of a side that is trimmed

WHOLE_PICTURE = -1  # in place of a face's number
QUARTER_TURNS = (1, 2)  # counter-clockwise; three of them turn the other picture of a pair by one

# Shares cut off at the left, top, right and bottom.
WINDOWS = (
    (0.0, 0.0, 0.0, 0.0),
    (0.025, 0.025, 0.025, 0.025),
    (0.05, 0.05, 0.05, 0.05),
    (0.05, 0.05, 0.0, 0.0),
    (0.0, 0.05, 0.05, 0.0),
    (0.05, 0.0, 0.0, 0.05),
    (0.0, 0.0, 0.05, 0.05),
)


@dataclass(frozen=True)
class Fingerprint:
    """The fingerprint of a picture. The cache holds the hashes as JSON by these field names.

    ``thumbnail`` (read it with ``grey_thumbnail`` and ``coarse_colours``) is by far the largest
    part, and only comparisons need it: it is empty elsewhere.
    """

    hashes: tuple[int, ...]  # 64 bits for each window
    mirrored: int  # hash of the whole, mirrored
    turned: tuple[int, ...]  # hashes of the whole turned by ``QUARTER_TURNS``
    thumbnail: bytes = b""

    @property
    def phash(self) -> int:
        """``imagehash.phash`` of the trimmed picture, 64 bits."""
        return self.hashes[0]


def thumbnail_of(thumbnails: bytes, part: int) -> bytes:
    """One of ``Analysis.thumbnails``: an aligned face by its number, ``WHOLE_PICTURE``, or the
    ``context_part`` of a face.
    """
    num_faces = (len(thumbnails) // THUMBNAIL_BYTES - 1) // 2
    place = part + 1 if part >= WHOLE_PICTURE else num_faces + context_part(part) + 1
    return thumbnails[place * THUMBNAIL_BYTES : (place + 1) * THUMBNAIL_BYTES]


def context_part(face: int) -> int:
    """The part that is a face with its surroundings, -2 and less; its own inverse."""
    return -2 - face


def grey_thumbnail(thumbnail: bytes) -> NDArray[np.uint8]:
    """The picture, ``[48, 48]`` uint8 grey."""
    return np.frombuffer(thumbnail, np.uint8, _GREY_BYTES).reshape(THUMB_PX, THUMB_PX)


def coarse_colours(thumbnail: bytes) -> NDArray[np.float32]:
    """The picture's coarse colours in CIELAB, ``[16, 16, 3]`` float32."""
    lab = cv2.cvtColor(coarse_levels(thumbnail) / 255, cv2.COLOR_RGB2LAB)
    return np.asarray(lab, np.float32)


def coarse_levels(thumbnail: bytes) -> NDArray[np.float32]:
    """The picture's coarse colours in RGB, ``[16, 16, 3]`` float32, 0 to 255."""
    rgb = np.frombuffer(thumbnail, np.uint8, offset=_GREY_BYTES).reshape(COARSE_PX, COARSE_PX, 3)
    return rgb.astype(np.float32)


def mark_inside(thumbnail: bytes, inside: NDArray[np.bool_]) -> bytes:
    """The thumbnail with a mark of the pixels that show the picture, ``[48, 48]``: the lowest bit
    of its grey levels.
    """
    grey = (grey_thumbnail(thumbnail) & 0xFE) | inside
    return np.asarray(grey, np.uint8).tobytes() + thumbnail[_GREY_BYTES:]


def inside_picture(thumbnail: bytes) -> NDArray[np.bool_]:
    """The pixels that ``mark_inside`` marked, ``[48, 48]``."""
    return np.asarray(grey_thumbnail(thumbnail) & 1, np.bool_)


def fingerprint(picture: NDArray[np.uint8], *, trim: bool = True) -> Fingerprint:
    """The fingerprint of ``[H, W, 3]`` uint8 RGB; ``trim`` removes its plain borders first."""
    scale = _MAX_INPUT_PX / max(picture.shape[:2])
    if scale < 1:
        size = [max(1, round(side * scale)) for side in picture.shape[1::-1]]
        picture = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
    if trim:
        left, top, right, bottom = content_box(picture)
        picture = picture[top:bottom, left:right]
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    thumb = cv2.resize(grey, (THUMB_PX, THUMB_PX), interpolation=cv2.INTER_AREA)
    coarse = cv2.resize(picture, (COARSE_PX, COARSE_PX), interpolation=cv2.INTER_AREA)
    windows = np.stack([_window(thumb, *edges) for edges in WINDOWS])
    turns = [np.rot90(windows[0], num) for num in QUARTER_TURNS]
    mirrored, *hashes = phashes(np.stack([windows[0, :, ::-1], *windows, *turns]))
    return Fingerprint(
        hashes=tuple(hashes[: len(WINDOWS)]),
        mirrored=mirrored,
        turned=tuple(hashes[len(WINDOWS) :]),
        thumbnail=thumb.tobytes() + coarse.tobytes(),
    )


def phashes(pictures: NDArray[np.uint8]) -> list[int]:
    """``imagehash.phash`` of each of ``[N, 32, 32]`` uint8 grey pictures, 64 bits each.

    The transform is OpenCV's: imagehash's imports SciPy, half of a worker's start-up time.
    """
    num = _COEFFICIENTS_PER_SIDE
    low = np.stack(
        [cv2.dct(np.ascontiguousarray(picture, np.float64))[:num, :num] for picture in pictures]
    )
    low *= _DCT_UNSCALING
    above = low > np.median(low, axis=(1, 2), keepdims=True)
    return [int(str(imagehash.ImageHash(bits)), 16) for bits in above]


def content_box(picture: NDArray[np.uint8]) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of the part within the plain borders, px."""
    height, width = picture.shape[:2]
    top = _plain_lines(picture)
    bottom = height - _plain_lines(picture[::-1])
    middle = picture[top:bottom].transpose(1, 0, 2)
    return _plain_lines(middle), top, width - _plain_lines(middle[::-1]), bottom


def _plain_lines(picture: NDArray[np.uint8]) -> int:
    """How many lines from the top have the colour of the first line throughout."""
    lines = picture[: int(len(picture) * _MAX_BORDER_SHARE)].astype(np.int16)
    if len(lines) == 0:
        return 0
    colour = np.median(lines[0], axis=0)
    if _plain_share(lines[:1], colour)[0] < _MIN_PLAIN_SHARE:
        return 0  # the usual case
    plain = _plain_share(lines, colour) >= _MIN_PLAIN_SHARE
    return int(np.argmin(plain)) if not plain.all() else len(lines)


def _plain_share(lines: NDArray[np.int16], colour: NDArray[np.float64]) -> NDArray[np.float64]:
    near = np.abs(lines - colour).max(axis=2) <= _BORDER_GREY_LEVELS
    return np.asarray(near.mean(axis=1), np.float64)


def _window(
    thumb: NDArray[np.uint8], left: float, top: float, right: float, bottom: float
) -> NDArray[np.uint8]:
    sides = [round(share * THUMB_PX) for share in (left, top, right, bottom)]
    inner = thumb[sides[1] : THUMB_PX - sides[3], sides[0] : THUMB_PX - sides[2]]
    return np.asarray(
        cv2.resize(inner, (_HASH_PX, _HASH_PX), interpolation=cv2.INTER_AREA), np.uint8
    )
