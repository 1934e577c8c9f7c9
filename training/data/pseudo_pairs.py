"""Pairs of one picture in both domains, made by closed forms from unpaired training pictures.

In each pair one picture is real, and the other is the same with the appearance of a real picture of
the other domain. A generator that first learns from such pairs starts its adversarial training with
about the right change in about the right place. Pairs whose *target* is the real picture stay true
afterwards: a generator that restores real pictures from their renderings cannot drift to colours
that the target domain does not have.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from core.pictures import Picture
from preprocessing.analysis.face_finder import FaceFinder
from preprocessing.analysis.face_mesh import Points
from training.algorithm.cyclegan import RealTargets
from training.config import TrainConfig
from training.data.appearance_transfer import transfer_colours, transfer_makeup
from training.data.augment import Augmentation
from training.data.dataset import Batch, UnalignedPictures
from training.data.picture_folder import PictureFolder
from training.data.tensors import to_floats

_NUM_PAIRS = 150  # of each side's pictures
_LEAST_FACES = 0.5  # share of pictures with a face, from which pairs are made by make-up transfer
_STREAM = 7  # of random numbers, beside those of the unaligned pictures


@dataclass(frozen=True)
class Pair:
    """A real picture, and the same with the appearance of the other domain."""

    real: Picture
    rendered: Picture


@dataclass(frozen=True)
class PairBatch:
    """One step's pairs with real targets, ``[N, H, W, 3]`` uint8 each, as in ``RealTargets``."""

    rendered_a: Tensor
    real_b: Tensor
    rendered_b: Tensor
    real_a: Tensor

    def to(self, device: torch.device) -> RealTargets:
        """The same as ``[N, 3, H, W]`` float32 in [-1, 1] on ``device``, channels-last."""
        parts = (self.rendered_a, self.real_b, self.rendered_b, self.real_a)
        return RealTargets(*(to_floats(part, device) for part in parts))


@dataclass(frozen=True)
class _Side:
    pictures: list[Picture]
    meshes: list[Points | None]


class PseudoPairs:
    """The pairs of a dataset's training pictures.

    Where at least half of the pictures show a face, pairs are made of faces by make-up transfer,
    else of whole pictures by colour transport. Pairs, order and augmentation depend only on seed
    and position; no state passes from one batch to the next. With several processes, each gets its
    share of every batch.

    Raises ``MissingModelError`` without the face models.
    """

    def __init__(self, config: TrainConfig, pictures: UnalignedPictures) -> None:
        self._config, self._world = config, pictures.world
        self._augment = Augmentation(config)
        rng = np.random.default_rng([config.seed, _STREAM])
        finder = FaceFinder()
        sides = [_sample(folder, rng, finder) for folder in (pictures.a, pictures.b)]
        meshes = [mesh for side in sides for mesh in side.meshes]
        has_faces = sum(mesh is not None for mesh in meshes) >= _LEAST_FACES * len(meshes)
        if has_faces:
            sides = [_faces(side) for side in sides]
        a, b = sides
        self._a_pairs = list(_pairs(a, b, rng, has_faces=has_faces))
        self._b_pairs = list(_pairs(b, a, rng, has_faces=has_faces))

    def batches(self, first: int, end: int) -> Iterator[Batch]:
        """Aligned batches from number ``first`` (from 0) up to ``end``, ``batch_size`` pairs each.

        Pairs of a real picture of A and of a real picture of B take turns.
        """
        for number in range(first, end):
            a_pairs, b_pairs = self._draw(0, number)
            turns = [
                (a_pairs[place].real, a_pairs[place].rendered)
                if place % 2 == 0
                else (b_pairs[place].rendered, b_pairs[place].real)
                for place in range(len(a_pairs))
            ]
            yield Batch(a=_stack([a for a, _ in turns]), b=_stack([b for _, b in turns]))

    def targets(self, epoch: int, number: int) -> PairBatch:
        """``batch_size`` pairs of each direction whose target is real, for batch ``number``.

        They stay uint8: this runs in the loader's thread, where a parallel operation of torch would
        start threads that slow down those of the training.
        """
        a_pairs, b_pairs = self._draw(epoch, number)
        return PairBatch(
            rendered_a=_stack([pair.rendered for pair in b_pairs]),
            real_b=_stack([pair.real for pair in b_pairs]),
            rendered_b=_stack([pair.rendered for pair in a_pairs]),
            real_a=_stack([pair.real for pair in a_pairs]),
        )

    def _draw(self, epoch: int, number: int) -> tuple[list[Pair], list[Pair]]:
        """This process's share of a batch of pairs of A and of B, both pictures augmented alike."""
        size = self._config.batch_size
        rng = np.random.default_rng([self._config.seed, _STREAM, epoch, number])
        draws = rng.integers(2**31, size=(2, size, 2))
        per_process = size // self._world.size
        share = slice(self._world.rank * per_process, (self._world.rank + 1) * per_process)
        a_pairs, b_pairs = (
            [
                self._augmented(pairs[index % len(pairs)], seed)
                for index, seed in side[share].tolist()
            ]
            for pairs, side in zip((self._a_pairs, self._b_pairs), draws, strict=True)
        )
        return a_pairs, b_pairs

    def _augmented(self, pair: Pair, seed: int) -> Pair:
        return Pair(self._augment(pair.real, seed), self._augment(pair.rendered, seed))


def _stack(pictures: Sequence[Picture]) -> Tensor:
    return torch.from_numpy(np.stack(pictures))


def _sample(folder: PictureFolder, rng: np.random.Generator, finder: FaceFinder) -> _Side:
    """At most ``_NUM_PAIRS`` random pictures of a side, and their meshes."""
    numbers = rng.permutation(len(folder))[:_NUM_PAIRS].tolist()
    pictures = [folder[number] for number in numbers]
    return _Side(pictures, [finder.mesh(picture) for picture in pictures])


def _faces(side: _Side) -> _Side:
    chosen = [number for number, mesh in enumerate(side.meshes) if mesh is not None]
    return _Side(
        [side.pictures[number] for number in chosen], [side.meshes[number] for number in chosen]
    )


def _pairs(
    side: _Side, other: _Side, rng: np.random.Generator, *, has_faces: bool
) -> Iterator[Pair]:
    """Each picture of ``side``, and the same with the appearance of a random one of ``other``."""
    references: Sequence[int] = rng.integers(len(other.pictures), size=len(side.pictures)).tolist()
    for picture, mesh, reference in zip(side.pictures, side.meshes, references, strict=True):
        donor, donor_mesh = other.pictures[reference], other.meshes[reference]
        if has_faces:
            assert mesh is not None
            assert donor_mesh is not None
            yield Pair(picture, transfer_makeup(picture, mesh, donor, donor_mesh))
        else:
            yield Pair(picture, transfer_colours(picture, donor))
