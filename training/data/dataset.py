"""Unaligned pictures of two folders, in an order that depends only on seed, epoch and position."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import psutil
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.language.messages import localised
from core.pictures import Picture
from core.workspace_folders import DatasetFolder
from preprocessing.analysis.face_windows import load_alignment
from training.config import TrainConfig
from training.data.augment import Augmentation
from training.data.picture_folder import PictureFolder, load_squares
from training.data.tensors import to_floats
from training.models.factory import GENERATORS
from training.runtime.distributed import World

_MEMORY_SHARE = 1 / 4  # of the memory that is free at the start; it holds pictures


@dataclass(frozen=True)
class Batch:
    """One step's pictures of each side, ``[N, H, W, 3]`` uint8."""

    a: Tensor
    b: Tensor

    def to(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """Both sides as ``[N, 3, H, W]`` float32 in [-1, 1] on ``device``, channels-last."""
        return to_floats(self.a, device), to_floats(self.b, device)


class UnalignedPictures:
    """The training pictures of both sides, resized as ``preprocess`` says.

    A quarter of the free memory holds pictures as uint8; the others are read each time. Files that
    cannot be read are left out, and named in the first process's log.

    An epoch has as many pictures as the larger side: A shuffled, B drawn at random (reference:
    ``data/unaligned_dataset.py``); its last batch is filled up with the epoch's first pictures.
    No state passes from one batch to the next, so a run can be resumed at any of them. With
    several processes, each gets its share of every batch. ``held_back`` holds the validation
    pictures of both sides, ``[num_validation, crop, crop, 3]`` uint8, where the configuration
    validates, else ``None``; ``augment`` the random changes of pictures, where they are cropped.
    Raises ``ValueError`` for a folder without a readable picture or with too few for validation.
    """

    def __init__(self, dataset: Path, config: TrainConfig, world: World | None = None) -> None:
        self._config = config
        self.world = world or World()
        if config.batch_size % self.world.size:
            raise ValueError(
                localised(
                    "batch_size: got {batch_size}, needed a multiple of the {size} processes",
                    batch_size=config.batch_size,
                    size=self.world.size,
                )
            )
        self.a, self.b = (
            self._open(DatasetFolder(dataset).split(name)) for name in ("trainA", "trainB")
        )
        self.held_back: tuple[NDArray[np.uint8], NDArray[np.uint8]] | None = None
        if config.validate_every:
            a, b = (side.take_last(config.num_validation) for side in (self.a, self.b))
            self.held_back = load_squares(a, config.crop_px), load_squares(b, config.crop_px)
        self.augment: Augmentation | None = None
        if "crop" in config.preprocess:
            alignment = load_alignment(DatasetFolder(dataset)) if config.face_exposure else None
            self.augment = Augmentation(config, aligned_faces=alignment is not None)
        self.epoch_length = max(len(self.a), len(self.b))  # pictures
        self.num_batches = -(-self.epoch_length // config.batch_size)

    def _open(self, folder: Path) -> PictureFolder:
        config = self._config
        free_bytes = psutil.virtual_memory().available
        pictures = PictureFolder(
            folder,
            functools.partial(training_size, config=config),
            free_bytes * _MEMORY_SHARE / self.world.size / 2,
            is_logging=self.world.is_first,
        )
        if config.validate_every and len(pictures) <= config.num_validation:
            raise ValueError(
                localised(
                    "{folder}: found {num} readable pictures, needed more than the "
                    "num_validation = {num_validation} that are held back; lower it",
                    folder=folder,
                    num=len(pictures),
                    num_validation=config.num_validation,
                )
            )
        return pictures

    def batches(self, epoch: int, first: int = 0) -> Iterator[Batch]:
        """The batches of ``epoch`` from number ``first`` (from 0) on."""
        size, length = self._config.batch_size, self.epoch_length
        rng = np.random.default_rng([self._config.seed, epoch])
        order = rng.permutation(length)
        partners = rng.integers(len(self.b), size=length)
        seeds = rng.integers(2**31, size=(length, 2))
        if self._config.serial_batches:
            order = partners = np.arange(length)
        per_process = size // self.world.size
        for number in range(first, self.num_batches):
            start = number * size + self.world.rank * per_process
            places = [place % length for place in range(start, start + per_process)]
            yield Batch(
                a=self._stack(self.a, order[places], seeds[places, 0]),
                b=self._stack(self.b, partners[places], seeds[places, 1]),
            )

    def _stack(
        self, pictures: PictureFolder, indices: NDArray[np.int64], seeds: NDArray[np.int64]
    ) -> Tensor:
        return torch.from_numpy(
            np.stack(
                [
                    self._augmented(pictures[int(index) % len(pictures)], int(seed))
                    for index, seed in zip(indices, seeds, strict=True)
                ]
            )
        )

    def _augmented(self, picture: Picture, seed: int) -> Picture:
        if self.augment is not None:
            return self.augment(picture, seed)
        mirrored = self._config.flip and np.random.default_rng(seed).random() > 0.5
        return np.ascontiguousarray(picture[:, ::-1]) if mirrored else picture


_Item = TypeVar("_Item")


def prefetch(batches: Iterator[_Item]) -> Iterator[_Item]:
    """The same batches; a thread prepares each one while the training uses the one before it."""
    with ThreadPoolExecutor(1, thread_name_prefix="loader") as executor:
        pending = executor.submit(next, batches, None)
        while (batch := pending.result()) is not None:
            pending = executor.submit(next, batches, None)
            yield batch


def training_size(width: int, height: int, config: TrainConfig) -> tuple[int, int]:
    """Width and height, px, to which ``preprocess`` resizes a picture of ``width`` x ``height``.

    Raises ``ValueError`` when the random crop would not fit.
    Source: ``get_transform`` in ``data/base_dataset.py`` of the reference.
    """
    if config.preprocess == "resize_and_crop":
        size = (config.load_px, config.load_px)
    elif config.preprocess.startswith("scale_width"):
        size = (config.load_px, int(max(config.load_px * height / width, config.crop_px)))
    else:
        size = (width, height)
    if "crop" not in config.preprocess:
        multiple = GENERATORS[config.generator].multiple
        width, height = (max(1, round(side / multiple)) * multiple for side in size)
        return width, height
    if min(size) < config.crop_px:
        raise ValueError(
            localised(
                "a picture of {width}x{height} px leaves {width_left}x{height_left} px with "
                "preprocess={preprocess}, needed {crop_px} px (crop_px) each way",
                width=width,
                height=height,
                width_left=size[0],
                height_left=size[1],
                preprocess=config.preprocess,
                crop_px=config.crop_px,
            )
        )
    return size
