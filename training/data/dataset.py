"""Unaligned pictures of two folders, in an order that depends on seed, epoch and position alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from training.config import TrainConfig
from training.data.augment import Augmentation
from training.data.tensors import to_floats
from training.runtime.distributed import World

_Picture = NDArray[np.uint8]  # [H, W, 3]
_ROOM = 1 / 4  # share of the memory that is free at the start
_AT_ONCE = 256  # pictures read before the room is looked at again


@dataclass(frozen=True)
class Batch:
    """One step's pictures of each side, ``[N, H, W, 3]`` uint8."""

    a: Tensor
    b: Tensor

    def on(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """Both sides as ``[N, 3, H, W]`` float32 in [-1, 1] on ``device``, channels-last."""
        return to_floats(self.a, device), to_floats(self.b, device)


class UnalignedPictures:
    """The training pictures of both sides, resized as ``preprocess`` says and held as uint8, as far
    as a quarter of the free memory goes; the others are read when their turn comes.

    An epoch has as many pictures as the larger side: A shuffled, B drawn at random (reference:
    ``data/unaligned_dataset.py``); its last batch is filled up with the epoch's first pictures.
    Nothing is remembered between batches, so a run can be resumed at any of them. With several
    processes, each gets its share of every batch. ``held_back`` holds the validation pictures of
    both sides, ``[num_validation, crop, crop, 3]``, when the configuration validates.
    Raises ``ValueError`` when a folder has no picture, or too few for that.
    """

    def __init__(self, dataset: Path, config: TrainConfig, world: World | None = None) -> None:
        self._config = config
        self._world = world or World()
        if config.batch_size % self._world.size:
            raise ValueError(
                f"batch_size: got {config.batch_size}, needed a multiple of the "
                f"{self._world.size} processes"
            )
        num_back = config.num_validation if config.validate_every else 0
        sides, back = [], []
        room = psutil.virtual_memory().available * _ROOM / self._world.size / 2
        for name in ("trainA", "trainB"):
            paths = _paths(dataset / name)
            if len(paths) <= num_back:
                raise ValueError(
                    f"{dataset / name}: found {len(paths)} pictures, needed more than the "
                    f"num_validation = {num_back} that are held back; lower it"
                )
            sides.append(_Side(paths[: len(paths) - num_back], config, room))
            if num_back:
                back.append(_squares(paths[-num_back:], config.crop_px))
        self._a, self._b = sides
        self.held_back = (back[0], back[1]) if back else None
        self._augment = Augmentation(config) if "crop" in config.preprocess else None
        self.epoch_length = max(len(self._a), len(self._b))  # pictures
        self.num_batches = -(-self.epoch_length // config.batch_size)

    def batches(self, epoch: int, first: int = 0) -> Iterator[Batch]:
        """The batches of ``epoch`` from number ``first`` (from 0) on."""
        size, length = self._config.batch_size, self.epoch_length
        rng = np.random.default_rng([self._config.seed, epoch])
        order = rng.permutation(length)
        partners = rng.integers(len(self._b), size=length)
        seeds = rng.integers(2**31, size=(length, 2))
        if self._config.serial_batches:
            order = partners = np.arange(length)
        per_process = size // self._world.size
        for number in range(first, self.num_batches):
            start = number * size + self._world.rank * per_process
            places = [place % length for place in range(start, start + per_process)]
            yield Batch(
                a=self._stack(self._a, order[places], seeds[places, 0]),
                b=self._stack(self._b, partners[places], seeds[places, 1]),
            )

    def _stack(
        self, pictures: _Side, indices: NDArray[np.int64], seeds: NDArray[np.int64]
    ) -> Tensor:
        return torch.from_numpy(
            np.stack(
                [
                    self._changed(pictures[int(index) % len(pictures)], int(seed))
                    for index, seed in zip(indices, seeds, strict=True)
                ]
            )
        )

    def _changed(self, picture: _Picture, seed: int) -> _Picture:
        if self._augment is not None:
            return self._augment(picture, seed)
        mirrored = self._config.flip and np.random.default_rng(seed).random() > 0.5
        return np.ascontiguousarray(picture[:, ::-1]) if mirrored else picture


class _Side:
    """The pictures of a side by number; the first ones in memory, within ``room`` bytes."""

    def __init__(self, paths: Sequence[Path], config: TrainConfig, room: float) -> None:
        self._paths, self._config = paths, config
        self._held = list[_Picture]()
        for start in range(0, len(paths), _AT_ONCE):
            if room <= 0:
                break
            some = _read(paths[start : start + _AT_ONCE], self._resized)
            room -= sum(picture.nbytes for picture in some)
            self._held += some

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, number: int) -> _Picture:
        if number < len(self._held):
            return self._held[number]
        return _read_one(self._paths[number], self._resized)

    def _resized(self, image: Image.Image) -> Image.Image:
        return resized(image, self._config)


def ahead(batches: Iterator[Batch]) -> Iterator[Batch]:
    """The same batches, each made in a thread while the one before it is used."""
    with ThreadPoolExecutor(1, thread_name_prefix="loader") as executor:
        coming = executor.submit(next, batches, None)
        while (batch := coming.result()) is not None:
            coming = executor.submit(next, batches, None)
            yield batch


def resized(image: Image.Image, config: TrainConfig) -> Image.Image:
    """``image`` as the reference's ``preprocess`` of that name resizes it (bicubic).

    Raises ``ValueError`` when the random crop would not fit.
    Source: ``get_transform`` in ``data/base_dataset.py``.
    """
    width, height = image.size
    if config.preprocess == "resize_and_crop":
        size = (config.load_px, config.load_px)
    elif config.preprocess.startswith("scale_width"):
        size = (config.load_px, int(max(config.load_px * height / width, config.crop_px)))
    else:
        size = (width, height)
    if "crop" not in config.preprocess:
        size = (max(4, round(size[0] / 4) * 4), max(4, round(size[1] / 4) * 4))
    elif min(size) < config.crop_px:
        raise ValueError(
            f"a picture of {width}x{height} px leaves {size[0]}x{size[1]} px with preprocess="
            f"{config.preprocess}, needed {config.crop_px} px (crop_px) each way"
        )
    return image if size == image.size else image.resize(size, Image.Resampling.BICUBIC)


def load_pictures(folder: Path, px: int, limit: int | None = None) -> NDArray[np.uint8]:
    """Pictures of a folder in name order, resized (bicubic) to ``[N, px, px, 3]`` uint8 RGB."""
    return _squares(_paths(folder)[:limit], px)


def _paths(folder: Path) -> list[Path]:
    paths = sorted(path for path in folder.glob("*") if path.suffix in {".png", ".jpg", ".jpeg"})
    if not paths:
        raise ValueError(f"{folder}: found no picture, needed at least one .png or .jpg")
    return paths


def _squares(paths: Sequence[Path], px: int) -> NDArray[np.uint8]:
    size = (px, px)
    return np.stack(_read(paths, lambda image: image.resize(size, Image.Resampling.BICUBIC)))


def _read(paths: Sequence[Path], change: Callable[[Image.Image], Image.Image]) -> list[_Picture]:
    """Every picture, RGB, changed. Raises ``ValueError`` that names the file."""
    with ThreadPoolExecutor() as executor:
        return list(executor.map(lambda path: _read_one(path, change), paths))


def _read_one(path: Path, change: Callable[[Image.Image], Image.Image]) -> _Picture:
    try:
        with Image.open(path) as image:
            return np.asarray(change(image.convert("RGB")))
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path}: {error}") from error
