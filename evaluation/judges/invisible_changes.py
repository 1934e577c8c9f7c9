"""Changes of pictures that nobody sees, so that judges can be told not to hear them.

Rounding and encoding leave traces in single pixels. A translation is rounded once more than a
photograph, and decorrelated features would weigh that as much as a change of colours.
"""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
from PIL import Image

from core.pictures import Picture
from evaluation.judges.judge import JudgedPictures

_JPEG_QUALITY = 95
_SEED = 0


def invisibly_changed(judged: JudgedPictures) -> tuple[JudgedPictures, JudgedPictures]:
    """The same pictures stored as JPEG of quality 95, whose colours have half the resolution; and
    with a random −1, 0 or 1 added to each value.
    """
    noise = np.random.default_rng(_SEED).integers(-1, 2, judged.pictures.shape)
    grained = np.clip(judged.pictures + noise, 0, 255).astype(np.uint8)
    encoded = np.stack([encoded_anew(picture) for picture in judged.pictures])
    return replace(judged, pictures=encoded), replace(judged, pictures=grained)


def encoded_anew(picture: Picture) -> Picture:
    """``picture`` after JPEG of quality 95."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=_JPEG_QUALITY, subsampling="4:2:0")
    with Image.open(file) as decoded:
        return np.asarray(decoded.convert("RGB"))
