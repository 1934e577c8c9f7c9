"""Whole pictures of any size through a generator, in tiles without seams.

Two things make seams. A tile does not see what lies beyond its edge: so tiles overlap by what the
network can see, and only their middles are used. And instance norm makes a pixel depend on the mean
of its whole tile: so statistics are taken once, over pieces of the whole picture together, and kept
for all tiles. Then neighbouring tiles agree to within rounding where they meet.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from serving.cpu_inference import shared_statistics

_SAMPLE_PX = 256  # side of a piece that statistics are taken from
_MAX_SAMPLES = 16


@dataclass(frozen=True)
class Tiling:
    """Sides in px: ``tile`` goes through the network, ``margin`` all around it is thrown away."""

    tile: int = 768
    margin: int = 96
    multiple: int = 4  # of which the network wants the sides to be: it halves a picture twice


def translate_whole(
    picture: NDArray[np.uint8],
    generator: nn.Module,
    tiling: Tiling,
    *,
    work_px: int = 0,
    step: Callable[[int, int], None] = lambda _done, _total: None,
) -> NDArray[np.float32]:
    """The change of ``[H, W, 3]`` uint8: the same shape, float32 grey levels.

    With ``work_px`` the network sees a picture whose longer side is that at most, and the change is
    scaled up. ``step(done, total)`` is called after each tile; what it raises ends the work.
    """
    height, width = picture.shape[:2]
    scale = min(1.0, work_px / max(height, width)) if work_px else 1.0
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    if size == (width, height):
        same = run_tiled(picture, generator, tiling, step)
        same -= picture
        return same
    before = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    change = run_tiled(before, generator, tiling, step) - before
    return np.asarray(cv2.resize(change, (width, height), interpolation=cv2.INTER_CUBIC))


@torch.inference_mode()
def run_tiled(
    picture: NDArray[np.uint8],
    generator: nn.Module,
    tiling: Tiling,
    step: Callable[[int, int], None] = lambda _done, _total: None,
) -> NDArray[np.float32]:
    """The translation of ``[H, W, 3]`` uint8 at its own size: float32 grey levels, 0 to 255."""
    height, width = picture.shape[:2]
    tall, wide = -height % tiling.multiple, -width % tiling.multiple
    padded = np.pad(picture, ((0, tall), (0, wide), (0, 0)), mode="symmetric")
    if max(padded.shape[:2]) <= tiling.tile:
        result = to_levels(generator(to_tensor(padded[None])))[0]
        step(1, 1)
        return np.asarray(result[:height, :width])
    result = np.empty(padded.shape, np.float32)
    rows, columns = _spans(padded.shape[0], tiling), _spans(padded.shape[1], tiling)
    with shared_statistics(generator, to_tensor(_samples(padded, tiling.multiple))):
        for number, (row, column) in enumerate((r, c) for r in rows for c in columns):
            tile = padded[row.start : row.stop, column.start : column.stop]
            made = to_levels(generator(to_tensor(tile[None])))[0]
            result[row.use, column.use] = made[row.inner, column.inner]
            step(number + 1, len(rows) * len(columns))
    return result[:height, :width]


@dataclass(frozen=True)
class _Span:
    """Along one axis: pixels ``start`` to ``stop`` go in, of which ``use`` comes out."""

    start: int
    stop: int
    use: slice

    @property
    def inner(self) -> slice:
        """``use`` as seen from ``start``."""
        return slice(self.use.start - self.start, self.use.stop - self.start)


def _spans(length: int, tiling: Tiling) -> list[_Span]:
    """Tiles along an axis of ``length`` px; every pixel is used from one of them."""
    if length <= tiling.tile:
        return [_Span(0, length, slice(0, length))]
    core = tiling.tile - 2 * tiling.margin
    num = -(-(length - 2 * tiling.margin) // core)
    edges = [tiling.margin + min(n * core, length - 2 * tiling.margin) for n in range(num + 1)]
    edges[0], edges[-1] = 0, length
    return [
        _Span(max(0, first - tiling.margin), min(length, last + tiling.margin), slice(first, last))
        for first, last in itertools.pairwise(edges)
    ]


def _samples(picture: NDArray[np.uint8], multiple: int) -> NDArray[np.uint8]:
    """``[N, S, T, 3]``: pieces spread evenly over the picture, which cover it where it is small."""
    height, width = picture.shape[:2]
    down, across = -(-height // _SAMPLE_PX), -(-width // _SAMPLE_PX)
    tall, wide = (
        -(-length // (num * multiple)) * multiple
        for length, num in ((height, down), (width, across))
    )
    while down * across > _MAX_SAMPLES:
        if down > across:
            down -= 1
        else:
            across -= 1
    tops, lefts = _evenly(height - tall, down), _evenly(width - wide, across)
    return np.stack([picture[y : y + tall, x : x + wide] for y in tops for x in lefts])


def _evenly(last: int, num: int) -> list[int]:
    """``num`` places from 0 to ``last``; the middle for one."""
    return [round(last * n / (num - 1)) for n in range(num)] if num > 1 else [last // 2]


def to_tensor(pictures: NDArray[np.uint8]) -> Tensor:
    """``[N, H, W, 3]`` uint8 → ``[N, 3, H, W]`` float32 in [-1, 1], channels-last in memory."""
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).float().div_(127.5).sub_(1)


def to_levels(tensor: Tensor) -> NDArray[np.float32]:
    """``[N, 3, H, W]`` in [-1, 1] → ``[N, H, W, 3]`` float32 in [0, 255]."""
    levels = tensor.add(1).mul_(127.5).clamp_(0, 255).permute(0, 2, 3, 1)
    return np.asarray(levels.contiguous().numpy(), dtype=np.float32)
