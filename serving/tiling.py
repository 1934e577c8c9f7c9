"""Translation of whole pictures of any size, in tiles without seams.

Tiles cause seams for two reasons. A tile has no pixels beyond its edge: therefore tiles overlap by
a margin of the network's receptive field, and only their middles are used. And instance norm makes
each pixel depend on the mean of its tile: therefore the statistics are computed once, over samples
of the whole picture, and used for all tiles. Neighbouring tiles then agree to within rounding.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from serving.cpu_inference import shared_statistics
from serving.upsampling import enlarge_change
from training.data.tensors import to_levels, to_tensor

Step = Callable[[int, int], None]
"""``step(done, total)``: called after each part of a picture; an exception of it ends the work."""

_SAMPLE_PX = 256  # side of a sample that statistics are computed from
_MAX_SAMPLES = 16


def no_step(done: int, total: int) -> None:
    """A ``Step`` that does nothing."""


@dataclass(frozen=True)
class Tiling:
    """The tiling of a large picture for a network."""

    tile_px: int = 768  # side of a tile, margins included
    margin_px: int = 96  # on each side of a tile; its output is discarded
    multiple: int = 4  # both sides of an input are multiples of it
    least_px: int = 8  # side of the smallest input


def translate_whole(
    picture: NDArray[np.uint8],
    generator: nn.Module,
    tiling: Tiling,
    *,
    work_px: int = 0,
    step: Step = no_step,
) -> NDArray[np.float32]:
    """Translation minus ``picture`` (``[H, W, 3]`` uint8): the same shape, float32 grey levels.

    ``work_px``: longer side of the picture that the network sees, px; the change is scaled up along
    the picture's edges. 0: the picture's own size.
    """
    height, width = picture.shape[:2]
    scale = min(1.0, work_px / max(height, width)) if work_px else 1.0
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    if size == (width, height):
        change = run_tiled(picture, generator, tiling, step)
        change -= picture
        return change
    before = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    change = run_tiled(before, generator, tiling, step) - before
    reduction = np.diag([size[0] / width, size[1] / height])
    transform = np.column_stack([reduction, np.zeros(2)])
    return enlarge_change(change, before, picture, transform, border=cv2.BORDER_REPLICATE)


@torch.inference_mode()
def run_tiled(
    picture: NDArray[np.uint8], generator: nn.Module, tiling: Tiling, step: Step = no_step
) -> NDArray[np.float32]:
    """The translation of ``[H, W, 3]`` uint8 at its own size: float32 grey levels, 0 to 255."""
    height, width = picture.shape[:2]
    below, right = (_padding(length, tiling) for length in (height, width))
    padded = np.pad(picture, ((0, below), (0, right), (0, 0)), mode="symmetric")
    if max(padded.shape[:2]) <= tiling.tile_px:
        result = to_levels(generator(to_tensor(padded[None])))[0]
        step(1, 1)
        return np.asarray(result[:height, :width])
    result = np.empty(padded.shape, np.float32)
    rows, columns = _spans(padded.shape[0], tiling), _spans(padded.shape[1], tiling)
    num_tiles = len(rows) * len(columns)
    with shared_statistics(generator, to_tensor(_samples(padded, tiling.multiple))):
        for number, (row, column) in enumerate(itertools.product(rows, columns), start=1):
            tile = padded[row.start : row.stop, column.start : column.stop]
            translated = to_levels(generator(to_tensor(tile[None])))[0]
            result[row.use, column.use] = translated[row.inner, column.inner]
            step(number, num_tiles)
    return result[:height, :width]


def _padding(length: int, tiling: Tiling) -> int:
    """How many pixels a side of ``length`` px lacks for the network."""
    return max(length, tiling.least_px) - length + -max(length, tiling.least_px) % tiling.multiple


@dataclass(frozen=True)
class _Span:
    """A tile along one axis: pixels ``start`` to ``stop``, of whose output ``use`` is kept."""

    start: int
    stop: int
    use: slice

    @property
    def inner(self) -> slice:
        """``use`` relative to ``start``."""
        return slice(self.use.start - self.start, self.use.stop - self.start)


def _spans(length: int, tiling: Tiling) -> list[_Span]:
    """Tiles along an axis of ``length`` px; each pixel is kept from exactly one of them."""
    if length <= tiling.tile_px:
        return [_Span(0, length, slice(0, length))]
    margin = tiling.margin_px
    core = tiling.tile_px - 2 * margin
    num_tiles = -(-(length - 2 * margin) // core)
    edges = [margin + min(n * core, length - 2 * margin) for n in range(num_tiles + 1)]
    edges[0], edges[-1] = 0, length
    return [
        _Span(max(0, first - margin), min(length, last + margin), slice(first, last))
        for first, last in itertools.pairwise(edges)
    ]


def _samples(picture: NDArray[np.uint8], multiple: int) -> NDArray[np.uint8]:
    """``[N, S, T, 3]``: samples spread evenly over the picture; they cover a small one whole."""
    height, width = picture.shape[:2]
    num_down, num_across = -(-height // _SAMPLE_PX), -(-width // _SAMPLE_PX)
    sample_height, sample_width = (
        -(-length // (num * multiple)) * multiple
        for length, num in ((height, num_down), (width, num_across))
    )
    while num_down * num_across > _MAX_SAMPLES:
        if num_down > num_across:
            num_down -= 1
        else:
            num_across -= 1
    tops = _evenly(height - sample_height, num_down)
    lefts = _evenly(width - sample_width, num_across)
    return np.stack(
        [picture[y : y + sample_height, x : x + sample_width] for y in tops for x in lefts]
    )


def _evenly(last: int, num: int) -> list[int]:
    """``num`` positions from 0 to ``last``; the middle for one."""
    return [round(last * n / (num - 1)) for n in range(num)] if num > 1 else [last // 2]
