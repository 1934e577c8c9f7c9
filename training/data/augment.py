"""Augmentation by albumentations: the only module that knows the library.

``reference`` is what junyanz/pytorch-CycleGAN-and-pix2pix does: pictures of load_px (286) px, a
random crop of crop_px (256), a mirror for every other one. ``mild`` turns and scales them a little
before that.

What else is safe depends on what tells the two domains apart, for a change that imitates this
difference teaches the generators that it means nothing, and they leave it alone. For make-up:

- safe: mirror, crop, small turns and zooms. Faces are met in every position, made up or not.
- not safe: hue, saturation, contrast and colour balance (lipstick, rouge, eye shadow, foundation
  *are* such changes), blur, smoothing and sharpening (skin is smoother with make-up), noise,
  cut-outs over lips and eyes.
- doubtful: brightness. Light varies on both sides, but powder lightens: ``colour_jitter`` (which
  also changes contrast) stays 0 for make-up, and suits pairs that differ in shape or texture.
"""

from __future__ import annotations

import os

os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"  # it would ask a package index at import

import albumentations as A
import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from training.config import TrainConfig

_TURN_DEG = 4
_ZOOM = (0.96, 1.06)
_PREVIEWED = 8  # augmentations of a picture


class Augmentation:
    """Random crop, mirror and what else is configured, each call decided by its own seed."""

    def __init__(self, config: TrainConfig) -> None:
        steps: list[A.BasicTransform] = []
        if config.augmentation == "mild":
            steps.append(
                A.Affine(
                    rotate=(-_TURN_DEG, _TURN_DEG),
                    scale=_ZOOM,
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
        self._transform = A.Compose(steps)

    def __call__(self, picture: NDArray[np.uint8], seed: int) -> NDArray[np.uint8]:
        """``[load, load, 3]`` uint8 → ``[crop, crop, 3]`` uint8; equal seeds, equal results."""
        self._transform.set_random_seed(seed)
        return self._transform(image=picture)["image"]  # type: ignore[no-any-return]


def preview(pictures: NDArray[np.uint8], config: TrainConfig) -> Image.Image:
    """A row for each of ``[N, load, load, 3]`` uint8 pictures: as it is, then augmented anew."""
    augment = Augmentation(config)
    num, side = len(pictures), config.crop_px
    sheet = np.full((num * side, (_PREVIEWED + 1) * side, 3), 255, np.uint8)
    for row, picture in enumerate(pictures):
        tiles = [cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA)]
        tiles += [augment(picture, row * _PREVIEWED + seed) for seed in range(_PREVIEWED)]
        sheet[row * side : (row + 1) * side] = np.concatenate(tiles, axis=1)
    return Image.fromarray(sheet)
