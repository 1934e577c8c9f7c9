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
from numpy.typing import NDArray
from torch import Tensor

from core.pictures import Picture
from preprocessing.analysis.face_finder import FaceFinder
from preprocessing.analysis.face_regions import REGIONS, eye_shape, region_contrasts
from training.algorithm.cyclegan import RealTargets
from training.config import TrainConfig
from training.data.appearance_transfer import (
    Face,
    References,
    band_colours,
    shift_regions,
    transfer_colours,
    transfer_makeup,
)
from training.data.dataset import Batch, UnalignedPictures
from training.data.picture_folder import PictureFolder
from training.data.reference_matching import match_references
from training.data.tensors import to_floats

_NUM_PAIRS = 250  # of each side's pictures
_LEAST_FACES = (
    0.5  # share of each side's pictures with a face, from which pairs are made by make-up transfer
)
_SHAPE_WEIGHT = 150.0  # L*a*b* units that 1 % of the eyes' distance counts as: 1.5
_NUM_SHIFTS = 2
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


class PseudoPairs:
    """The pairs of a dataset's training pictures.

    Where at least half of each side's pictures show a face, pairs are made of faces by make-up
    transfer, else of whole pictures by colour transport in bands. Pairs, order and augmentation
    depend only on seed and position; no state passes from one batch to the next. With several
    processes, each gets its share of every batch.

    Raises ``MissingModelError`` without the face models.
    """

    def __init__(self, config: TrainConfig, pictures: UnalignedPictures) -> None:
        self._config, self._world = config, pictures.world
        assert pictures.augment is not None, "the configuration asks for resize_and_crop"
        self._augment = pictures.augment
        rng = np.random.default_rng([config.seed, _STREAM])
        a, b = (_sample(folder, rng) for folder in (pictures.a, pictures.b))
        finder = FaceFinder()
        faces_a, faces_b = _faces(a, finder), _faces(b, finder)
        if min(len(faces_a) / len(a), len(faces_b) / len(b)) >= _LEAST_FACES:
            self._a_pairs = _face_pairs(faces_a, faces_b)
            self._b_pairs = _face_pairs(faces_b, faces_a)
        else:
            self._a_pairs, self._b_pairs = _colour_pairs(a, b), _colour_pairs(b, a)

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


def _sample(folder: PictureFolder, rng: np.random.Generator) -> list[Picture]:
    """At most ``_NUM_PAIRS`` random pictures of a side."""
    numbers: list[int] = rng.permutation(len(folder))[:_NUM_PAIRS].tolist()
    return [folder[number] for number in numbers]


def _faces(pictures: Sequence[Picture], finder: FaceFinder) -> list[Face]:
    """The faces whose regions all show."""
    meshes = [finder.mesh(picture) for picture in pictures]
    faces = [
        Face(picture, mesh)
        for picture, mesh in zip(pictures, meshes, strict=True)
        if mesh is not None
    ]
    return [face for face in faces if len(_contrasts(face)) == len(REGIONS)]


def _contrasts(face: Face) -> dict[str, NDArray[np.float64]]:
    return region_contrasts(face.picture, face.mesh)


def _face_pairs(faces: Sequence[Face], references: Sequence[Face]) -> list[Pair]:
    """Each face, and the same with lips, eyes and cheeks of matching ones of the other side.

    The transfer weakens what it moves. So the mean contrast of each region is then shifted to the
    other side's.
    """
    own, donated = ([_contrasts(face) for face in side] for side in (faces, references))
    chosen = {}
    for region in REGIONS:
        points, reference_points = (
            np.stack([each[region] for each in side]) for side in (own, donated)
        )
        if region == "eyes":
            points, reference_points = (
                np.column_stack([colours, _SHAPE_WEIGHT * np.stack(shapes)])
                for colours, shapes in (
                    (points, [eye_shape(face.mesh) for face in faces]),
                    (reference_points, [eye_shape(face.mesh) for face in references]),
                )
            )
        chosen[region] = match_references(points, reference_points)
    rendered = [
        Face(
            transfer_makeup(
                face, References(**{region: references[chosen[region][k]] for region in REGIONS})
            ),
            face.mesh,
        )
        for k, face in enumerate(faces)
    ]
    for _ in range(_NUM_SHIFTS):
        target, current = _mean_contrasts(references), _mean_contrasts(rendered)
        shifts = {region: target[region] - current[region] for region in REGIONS}
        rendered = [Face(shift_regions(face, shifts), face.mesh) for face in rendered]
    return [Pair(face.picture, each.picture) for face, each in zip(faces, rendered, strict=True)]


def _mean_contrasts(faces: Sequence[Face]) -> dict[str, NDArray[np.float64]]:
    contrasts = [_contrasts(face) for face in faces]
    return {region: np.mean([each[region] for each in contrasts], axis=0) for region in REGIONS}


def _colour_pairs(pictures: Sequence[Picture], references: Sequence[Picture]) -> list[Pair]:
    """Each picture, and the same with the colours of a matching one of the other side."""
    points, reference_points = (
        np.stack([band_colours(picture) for picture in side]) for side in (pictures, references)
    )
    return [
        Pair(picture, transfer_colours(picture, references[number]))
        for picture, number in zip(
            pictures, match_references(points, reference_points), strict=True
        )
    ]
