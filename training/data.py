"""Unaligned pictures of two folders, in an order that depends on seed, epoch and position alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from training.augment import Augmentation
from training.config import TrainConfig


@dataclass(frozen=True)
class Batch:
    """One step's pictures of each side, ``[N, 3, crop, crop]`` float32 in [-1, 1]."""

    a: Tensor
    b: Tensor


class UnalignedPictures:
    """The training pictures of both sides, resized to ``load_px`` and held as uint8.

    An epoch has as many pictures as the larger side: A shuffled, B drawn at random (reference:
    ``data/unaligned_dataset.py``). Nothing is remembered between batches, so a run can be resumed
    at any of them. Raises ``ValueError`` when a folder has no picture.
    """

    def __init__(self, dataset: Path, config: TrainConfig) -> None:
        self._config = config
        self._a = load_pictures(dataset / "trainA", config.load_px)
        self._b = load_pictures(dataset / "trainB", config.load_px)
        self._augment = Augmentation(config)
        self.epoch_length = max(len(self._a), len(self._b))  # pictures
        self.num_batches = -(-self.epoch_length // config.batch_size)

    def batches(self, epoch: int, first: int = 0) -> Iterator[Batch]:
        """The batches of ``epoch`` from number ``first`` (from 0) on; the last may be smaller."""
        size = self._config.batch_size
        rng = np.random.default_rng([self._config.seed, epoch])
        order = rng.permutation(self.epoch_length)
        partners = rng.integers(len(self._b), size=self.epoch_length)
        seeds = rng.integers(2**31, size=(self.epoch_length, 2))
        for start in range(first * size, self.epoch_length, size):
            places = range(start, min(start + size, self.epoch_length))
            yield Batch(
                a=self._stack(self._a, [order[i] % len(self._a) for i in places], seeds[places, 0]),
                b=self._stack(self._b, [partners[i] for i in places], seeds[places, 1]),
            )

    def _stack(
        self, pictures: NDArray[np.uint8], indices: list[int], seeds: NDArray[np.int64]
    ) -> Tensor:
        return to_tensor(
            np.stack(
                [self._augment(pictures[i], int(s)) for i, s in zip(indices, seeds, strict=True)]
            )
        )


def load_pictures(folder: Path, px: int, limit: int | None = None) -> NDArray[np.uint8]:
    """Pictures of a folder in name order, resized (bicubic) to ``[N, px, px, 3]`` uint8 RGB."""
    paths = sorted(path for path in folder.glob("*") if path.suffix in {".png", ".jpg", ".jpeg"})
    if not paths:
        raise ValueError(f"{folder}: found no picture, needed at least one .png or .jpg")
    pictures = []
    for path in paths[:limit]:
        with Image.open(path) as image:
            resized = image.convert("RGB").resize((px, px), Image.Resampling.BICUBIC)
            pictures.append(np.asarray(resized))
    return np.stack(pictures)


def to_tensor(pictures: NDArray[np.uint8]) -> Tensor:
    """``[N, H, W, 3]`` uint8 → ``[N, 3, H, W]`` float32 in [-1, 1]."""
    tensor = torch.from_numpy(np.ascontiguousarray(pictures.transpose(0, 3, 1, 2)))
    return tensor.float().div_(127.5).sub_(1)


def to_pictures(tensor: Tensor) -> NDArray[np.uint8]:
    """``[N, 3, H, W]`` in [-1, 1] → ``[N, H, W, 3]`` uint8; values outside are clipped."""
    scaled = tensor.detach().float().add(1).mul(127.5).round().clamp(0, 255)
    return scaled.to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
