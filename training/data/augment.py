"""Random changes of training pictures, by albumentations: the only module that imports it.

``reference`` does what junyanz/pytorch-CycleGAN-and-pix2pix does: pictures of load_px (286) px, a
random crop of crop_px (256), a mirror for every other one. ``mild`` turns and scales them a little
before that.

Which other changes are safe depends on the difference between the two domains: a random change that
imitates this difference teaches generators to ignore it. For make-up:

- safe: mirror, crop, small turns and zooms. Faces lie anywhere, with make-up or without.
- not safe: hue, saturation, contrast and colour balance (lipstick, rouge, eye shadow, foundation
  *are* such changes), blur, smoothing and sharpening (skin is smoother with make-up), noise,
  cut-outs over lips and eyes.
- doubtful: brightness. ``colour_jitter``, which also changes contrast, stays 0 for make-up, and
  suits pairs that differ in shape or texture. ``face_exposure`` scales all values of a face, as
  less or more light does: few photographs are dim, and without it generators lighten eyes and
  mouths of those (docs/training.md). Of landscapes it would hide snow.
"""

from __future__ import annotations

import os

os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"  # else albumentations asks a package index at import

import albumentations as A
import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from training.config import TrainConfig

_MAX_TURN_DEG = 4
_ZOOM_RANGE = (0.96, 1.06)
_EXPOSED_SHARE = 0.4  # of all pictures
_NUM_PREVIEWS = 8  # of a picture


class Augmentation:
    """Random crop, mirror and the other configured changes, determined by a seed for each call.

    ``aligned_faces``: whether the pictures are such, and may get ``face_exposure``.
    """

    def __init__(self, config: TrainConfig, *, aligned_faces: bool = False) -> None:
        steps: list[A.BasicTransform] = []
        if config.augmentation == "mild":
            steps.append(
                A.Affine(
                    rotate=(-_MAX_TURN_DEG, _MAX_TURN_DEG),
                    scale=_ZOOM_RANGE,
                    border_mode=cv2.BORDER_REFLECT_101,
                    interpolation=cv2.INTER_CUBIC,
                    p=0.8,
                )
            )
        steps.append(A.RandomCrop(config.crop_px, config.crop_px))
        if config.flip:
            steps.append(A.HorizontalFlip(p=0.5))
        if config.colour_jitter > 0:
            limit = config.colour_jitter
            steps.append(A.RandomBrightnessContrast(limit, limit, p=0.8))
        if aligned_faces and config.face_exposure > 0:
            factors = (1 - config.face_exposure, 1 + config.face_exposure / 3)
            steps.append(
                A.MultiplicativeNoise(
                    factors, per_channel=False, elementwise=False, p=_EXPOSED_SHARE
                )
            )
        self._transform = A.Compose(steps)

    def __call__(self, picture: NDArray[np.uint8], seed: int) -> NDArray[np.uint8]:
        """``[load, load, 3]`` uint8 → ``[crop, crop, 3]`` uint8; equal seeds, equal results."""
        self._transform.set_random_seed(seed)
        return self._transform(image=picture)["image"]  # type: ignore[no-any-return]


def preview(pictures: NDArray[np.uint8], config: TrainConfig) -> Image.Image:
    """A sheet with a row for each of ``[N, load, load, 3]`` uint8: the picture, then 8 changes."""
    augment = Augmentation(config)
    num, side = len(pictures), config.crop_px
    sheet = np.full((num * side, (_NUM_PREVIEWS + 1) * side, 3), 255, np.uint8)
    for row, picture in enumerate(pictures):
        tiles = [cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA)]
        tiles += [augment(picture, row * _NUM_PREVIEWS + seed) for seed in range(_NUM_PREVIEWS)]
        sheet[row * side : (row + 1) * side] = np.concatenate(tiles, axis=1)
    return Image.fromarray(sheet)
