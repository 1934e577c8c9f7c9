"""What near duplicates are recognised by: a small grey thumbnail and its perceptual hashes.

Plain borders are trimmed first, so that a framed copy is like its original. A copy whose edges were
cut off is like one of the original's *windows*: hence a hash of each window, besides the whole.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import imagehash
import numpy as np
from numpy.typing import NDArray

THUMB_PX = 48
COARSE_PX = 16
_THUMB_BYTES = THUMB_PX**2
LOOK_BYTES = _THUMB_BYTES + 3 * COARSE_PX**2
_HASHED_PX = 32  # imagehash.phash: a DCT of 32×32 px, of which 8×8 coefficients are kept
_KEPT = 8
_UNSCALED = np.sqrt(
    np.outer([2, *[1] * 7], [2, *[1] * 7])
)  # an orthonormal DCT's first row, column
_SMALL_PX = 256  # longer side of what borders are looked for in
_PLAIN = 24  # grey levels by which a border's pixels may differ
_PLAIN_SHARE = 0.98  # of a border's line that must be that plain
_MOST_BORDER = 0.3  # share of a side that is trimmed at most

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
    """``hashes`` has one 64-bit number a window; ``look`` is what the picture looks like, for
    ``thumbnail`` and ``colours``: needed for a comparison alone, and most of what there is to keep.
    """

    hashes: tuple[int, ...]
    mirrored: int  # hash of the whole, mirrored
    look: bytes = b""

    @property
    def phash(self) -> int:
        """``imagehash.phash`` of the trimmed picture, 64 bits."""
        return self.hashes[0]


def thumbnail(look: bytes) -> NDArray[np.uint8]:
    """The picture, ``[48, 48]`` uint8 grey."""
    return np.frombuffer(look, np.uint8, _THUMB_BYTES).reshape(THUMB_PX, THUMB_PX)


def colours(look: bytes) -> NDArray[np.float32]:
    """Its coarse colours in CIELAB, ``[16, 16, 3]`` float32."""
    rgb = np.frombuffer(look, np.uint8, offset=_THUMB_BYTES).reshape(COARSE_PX, COARSE_PX, 3)
    lab = cv2.cvtColor(rgb.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    return np.asarray(lab, np.float32)


def fingerprint(picture: NDArray[np.uint8], *, trim: bool = True) -> Fingerprint:
    """The fingerprint of ``[H, W, 3]`` uint8 RGB, whose plain borders are trimmed."""
    scale = _SMALL_PX / max(picture.shape[:2])
    if scale < 1:
        size = [max(1, round(side * scale)) for side in picture.shape[1::-1]]
        picture = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
    if trim:
        left, top, right, bottom = content_box(picture)
        picture = picture[top:bottom, left:right]
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    thumb = cv2.resize(grey, (THUMB_PX, THUMB_PX), interpolation=cv2.INTER_AREA)
    coarse = cv2.resize(picture, (COARSE_PX, COARSE_PX), interpolation=cv2.INTER_AREA)
    views = np.stack([_window(thumb, *cut) for cut in WINDOWS])
    *hashes, mirrored = phashes(np.concatenate([views, views[:1, :, ::-1]]))
    return Fingerprint(tuple(hashes), mirrored, thumb.tobytes() + coarse.tobytes())


def phashes(views: NDArray[np.uint8]) -> list[int]:
    """``imagehash.phash`` of each of ``[N, 32, 32]`` uint8 grey pictures, together.

    The transform is OpenCV's: imagehash's own would import SciPy, half of a worker's start.
    """
    kept = np.stack([cv2.dct(view.astype(np.float64))[:_KEPT, :_KEPT] for view in views])
    kept *= _UNSCALED
    above = kept > np.median(kept, axis=(1, 2), keepdims=True)
    return [int(str(imagehash.ImageHash(bits)), 16) for bits in above]


def content_box(picture: NDArray[np.uint8]) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of what lies within plain borders, px."""
    height, width = picture.shape[:2]
    top = _plain_lines(picture)
    bottom = height - _plain_lines(picture[::-1])
    middle = picture[top:bottom].transpose(1, 0, 2)
    return _plain_lines(middle), top, width - _plain_lines(middle[::-1]), bottom


def _plain_lines(picture: NDArray[np.uint8]) -> int:
    """How many lines from the top on have the first one's colour throughout."""
    lines = picture[: int(len(picture) * _MOST_BORDER)].astype(np.int16)
    if len(lines) == 0:
        return 0
    colour = np.median(lines[0], axis=0)
    if _plain_share(lines[:1], colour)[0] < _PLAIN_SHARE:
        return 0  # most photographs
    plain = _plain_share(lines, colour) >= _PLAIN_SHARE
    return int(np.argmin(plain)) if not plain.all() else len(lines)


def _plain_share(lines: NDArray[np.int16], colour: NDArray[np.float64]) -> NDArray[np.float64]:
    near = np.abs(lines - colour).max(axis=2) <= _PLAIN
    return np.asarray(near.mean(axis=1), np.float64)


def _window(
    thumb: NDArray[np.uint8], left: float, top: float, right: float, bottom: float
) -> NDArray[np.uint8]:
    sides = [round(share * THUMB_PX) for share in (left, top, right, bottom)]
    inner = thumb[sides[1] : THUMB_PX - sides[3], sides[0] : THUMB_PX - sides[2]]
    view = cv2.resize(inner, (_HASHED_PX, _HASHED_PX), interpolation=cv2.INTER_AREA)
    return np.asarray(view, np.uint8)
