"""Augmentation by albumentations: the only module that knows the library."""

from __future__ import annotations

import os

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # it would ask a package index at import

import albumentations as A
import numpy as np
from numpy.typing import NDArray

from training.config import TrainConfig


class Augmentation:
    """Random crop, mirror and jitter, each call decided by its own seed."""

    def __init__(self, config: TrainConfig) -> None:
        steps: list[A.BasicTransform] = [A.RandomCrop(config.crop_px, config.crop_px)]
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
