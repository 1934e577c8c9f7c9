"""Portraits as a studio takes them: other faces, and the rest of each picture the same."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from preprocessing.analysis.face_detector import Face, FaceDetector
from scraping.offline.portraits import Person, Shot, draw

_MIN_FACE_PX, _MAX_ROLL_DEGREES = 50, 30.0
_NOISE_GREY_LEVELS = 1.5  # standard deviation; the sensor of each shot

Picture = NDArray[np.uint8]


def studio_portraits(photos: Iterable[Picture], detector: FaceDetector) -> Iterator[Picture | None]:
    """The face of each photograph in one drawn portrait, in the light and colours of that;
    ``None`` where no clear face is found.
    """
    portrait = draw(Person.seeded(4), Shot.seeded(7), None)
    (target,) = detector.detect(portrait)
    mask = _mask(portrait, target)
    for number, photo in enumerate(photos):
        faces = detector.detect(photo)[:1]
        if not faces or faces[0].side < _MIN_FACE_PX or abs(faces[0].roll) > _MAX_ROLL_DEGREES:
            yield None
            continue
        face = _toned(_moved(photo, faces[0], target, portrait.shape[:2]), portrait, mask)
        rng = np.random.default_rng(number)
        noise = rng.normal(0, _NOISE_GREY_LEVELS, portrait.shape)
        mixed = face * mask[..., None] + portrait * (1 - mask[..., None]) + noise
        yield np.clip(mixed, 0, 255).astype(np.uint8)


def _mask(portrait: Picture, face: Face) -> NDArray[np.float32]:
    """The share of the other face in each pixel: from the brows to the chin, with a soft edge."""
    eyes, mouth = face.keypoints[:2].mean(axis=0), face.keypoints[3]
    height_px = float(np.hypot(*(mouth - eyes)))
    middle = tuple(int(value) for value in 0.48 * eyes + 0.52 * mouth)
    axes = int(1.02 * height_px), int(1.32 * height_px)
    mask = np.zeros(portrait.shape[:2], np.float32)
    cv2.ellipse(mask, middle, axes, face.roll, 0, 360, 1.0, -1)
    return np.asarray(cv2.GaussianBlur(mask, (0, 0), 0.09 * height_px))


def _moved(photo: Picture, face: Face, target: Face, shape: tuple[int, ...]) -> Picture:
    transform, _ = cv2.estimateAffinePartial2D(
        face.keypoints[:4].astype(np.float32), target.keypoints[:4].astype(np.float32),
        method=cv2.LMEDS,
    )  # fmt: skip
    size = shape[1], shape[0]
    flags, border = cv2.INTER_CUBIC, cv2.BORDER_REPLICATE
    return np.asarray(cv2.warpAffine(photo, transform, size, flags=flags, borderMode=border))


def _toned(face: Picture, portrait: Picture, mask: NDArray[np.float32]) -> NDArray[np.float32]:
    """The face with the mean light and colours of the portrait's: the skin tells no one apart."""
    own, other = (cv2.cvtColor(p.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
                  for p in (face, portrait))  # fmt: skip
    inside = mask > 0.5
    for channel in range(3):
        values, wanted = own[..., channel], other[..., channel][inside]
        gain = wanted.std() / max(float(values[inside].std()), 1e-3)
        gain = gain if channel == 0 else min(1.0, gain)
        own[..., channel] = (values - values[inside].mean()) * gain + wanted.mean()
    return np.asarray(np.clip(255 * cv2.cvtColor(own, cv2.COLOR_LAB2RGB), 0, 255))
