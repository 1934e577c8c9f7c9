"""Differentiable augmentation of all pictures that a discriminator judges, real or translated.

Source: Zhao et al. 2020, "Differentiable Augmentation for Data-Efficient GAN Training",
arXiv 2006.10738, §4 and appendix A for the strengths.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import torch
from torch import Tensor
from torch.nn import functional as F

from training.runtime.distributed import World

_MAX_SHIFT = 1 / 8  # of the side
_HOLE_SIDE = 1 / 2  # of the side


def augment(pictures: Tensor, policy: Sequence[str], rng: torch.Generator, world: World) -> Tensor:
    """``[N, 3, H, W]`` → the same shape, each picture changed by random numbers of its own.

    Numbers are drawn for the batches of all processes, so that they do not depend on the number of
    processes.
    """
    num = len(pictures)

    def draw() -> Tensor:  # [N, 1, 1, 1] in [0, 1), on the CPU, which need not wait for the GPU
        return world.share(torch.rand(num * world.size, 1, 1, 1, generator=rng))

    for name in policy:
        pictures = _POLICIES[name](pictures, draw)
    return pictures


def _color(x: Tensor, draw: Callable[[], Tensor]) -> Tensor:
    """Add up to ±0.5 to brightness, multiply saturation by 0 to 2, contrast by 0.5 to 1.5."""
    x = x + (draw() - 0.5).to(x.device)
    grey = x.mean(dim=1, keepdim=True)
    x = (x - grey) * (2 * draw()).to(x.device) + grey
    mean = x.mean(dim=(1, 2, 3), keepdim=True)
    return (x - mean) * (draw() + 0.5).to(x.device) + mean


def _translation(x: Tensor, draw: Callable[[], Tensor]) -> Tensor:
    """Shift by up to an eighth of the side each way, and fill with zeros."""
    height, width = x.shape[2:]
    max_down, max_right = round(height * _MAX_SHIFT), round(width * _MAX_SHIFT)
    padded = F.pad(x, (max_right, max_right, max_down, max_down))
    tops = (draw() * (2 * max_down + 1)).long().flatten().tolist()
    lefts = (draw() * (2 * max_right + 1)).long().flatten().tolist()
    return torch.stack(
        [
            picture[:, top : top + height, left : left + width]
            for picture, top, left in zip(padded, tops, lefts, strict=True)
        ]
    )


def _cutout(x: Tensor, draw: Callable[[], Tensor]) -> Tensor:
    """Set a square of half the side to zero; its centre lies anywhere."""
    height, width = x.shape[2:]
    rows = torch.arange(height, device=x.device).view(1, 1, -1, 1)
    columns = torch.arange(width, device=x.device).view(1, 1, 1, -1)
    top = (draw() * height).floor().to(x.device) - round(height * _HOLE_SIDE) // 2
    left = (draw() * width).floor().to(x.device) - round(width * _HOLE_SIDE) // 2
    inside = (rows >= top) & (rows < top + round(height * _HOLE_SIDE))
    inside = inside & (columns >= left) & (columns < left + round(width * _HOLE_SIDE))
    return x * (~inside)


_POLICIES: Mapping[str, Callable[[Tensor, Callable[[], Tensor]], Tensor]] = MappingProxyType(
    {"color": _color, "translation": _translation, "cutout": _cutout}
)
