"""Pairs of one picture in both domains, made by closed forms from unpaired training pictures.

A generator that first learns from such pairs starts its adversarial training with about the right
change in about the right place. In each pair one picture is real, and the other is the same with
the appearance of a real picture of the other domain.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from core.pictures import Picture
from preprocessing.analysis.face_finder import FaceFinder
from preprocessing.analysis.face_mesh import Points
from training.config import TrainConfig
from training.data.appearance_transfer import transfer_colours, transfer_makeup
from training.data.augment import Augmentation
from training.data.dataset import Batch, UnalignedPictures
from training.data.picture_folder import PictureFolder

_NUM_PAIRS = 150  # of each side's pictures
_LEAST_FACES = 0.5  # share of pictures with a face, from which pairs are made by make-up transfer


@dataclass(frozen=True)
class _Side:
    pictures: list[Picture]
    meshes: list[Points | None]


class PseudoPairs:
    """Aligned batches: half of each are pictures of A and their renderings into B, half of B.

    Where at least half of the pictures show a face, pairs are made of faces by make-up transfer,
    else of whole pictures by colour transport. Order, pairs and augmentation depend only on the
    seed; no state passes from one batch to the next.

    Raises ``MissingModelError`` without the face models.
    """

    def __init__(self, config: TrainConfig, pictures: UnalignedPictures) -> None:
        self._config, self._world = config, pictures.world
        self._augment = Augmentation(config)
        rng = np.random.default_rng([config.seed, _NUM_PAIRS])
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
        """The batches from number ``first`` (from 0) up to ``end``, each of ``batch_size`` pairs.

        With several processes, this one's share of each.
        """
        size = self._config.batch_size
        for number in range(first, end):
            rng = np.random.default_rng([self._config.seed, _NUM_PAIRS, number])
            draws = rng.integers(2**31, size=(size, 2))
            pairs = [
                self._pair(position, draw, seed)
                for position, (draw, seed) in enumerate(draws.tolist(), start=number)
            ]
            start = self._world.rank * (size // self._world.size)
            share = pairs[start : start + size // self._world.size]
            a, b = (np.stack([pair[side] for pair in share]) for side in (0, 1))
            yield Batch(a=torch.from_numpy(a), b=torch.from_numpy(b))

    def _pair(self, position: int, draw: int, seed: int) -> tuple[Picture, Picture]:
        """A pair (A, B), of a real picture of A at even positions; both are augmented alike."""
        if position % 2 == 0:
            real, rendered = self._a_pairs[draw % len(self._a_pairs)]
            return self._augment(real, seed), self._augment(rendered, seed)
        real, rendered = self._b_pairs[draw % len(self._b_pairs)]
        return self._augment(rendered, seed), self._augment(real, seed)


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
) -> Iterator[tuple[Picture, Picture]]:
    """Each picture of ``side``, and the same with the appearance of a random one of ``other``."""
    references: Sequence[int] = rng.integers(len(other.pictures), size=len(side.pictures)).tolist()
    for picture, mesh, reference in zip(side.pictures, side.meshes, references, strict=True):
        donor, donor_mesh = other.pictures[reference], other.meshes[reference]
        if has_faces:
            assert mesh is not None
            assert donor_mesh is not None
            yield picture, transfer_makeup(picture, mesh, donor, donor_mesh)
        else:
            yield picture, transfer_colours(picture, donor)
