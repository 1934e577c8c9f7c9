"""Differentiable augmentation of all that a discriminator sees, real and translated.

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

_SHIFT = 1 / 8  # of the side
_HOLE = 1 / 2  # of the side


def augment(pictures: Tensor, policy: Sequence[str], rng: torch.Generator, world: World) -> Tensor:
    """``[N, 3, H, W]`` → the same shape, each picture changed by random numbers of its own.

    Numbers are drawn for the batches of all processes, so that one process would draw the same.
    """
    num = len(pictures)

    def draw() -> Tensor:  # [N, 1, 1, 1] in [0, 1), on the CPU: reading them back would wait
        return world.share(torch.rand(num * world.size, 1, 1, 1, generator=rng))

    for name in policy:
        pictures = _POLICIES[name](pictures, draw)
    return pictures


def _color(x: Tensor, draw: Callable[[], Tensor]) -> Tensor:
    """Brightness by up to ±0.5, saturation times 0 to 2, contrast times 0.5 to 1.5."""
    x = x + (draw() - 0.5).to(x.device)
    grey = x.mean(dim=1, keepdim=True)
    x = (x - grey) * (2 * draw()).to(x.device) + grey
    mean = x.mean(dim=(1, 2, 3), keepdim=True)
    return (x - mean) * (draw() + 0.5).to(x.device) + mean


def _translation(x: Tensor, draw: Callable[[], Tensor]) -> Tensor:
    """Shifted by up to an eighth of the side each way; zeros move in."""
    height, width = x.shape[2:]
    tall, wide = round(height * _SHIFT), round(width * _SHIFT)
    padded = F.pad(x, (wide, wide, tall, tall))
    tops = (draw() * (2 * tall + 1)).long().flatten().tolist()
    lefts = (draw() * (2 * wide + 1)).long().flatten().tolist()
    return torch.stack(
        [
            picture[:, top : top + height, left : left + width]
            for picture, top, left in zip(padded, tops, lefts, strict=True)
        ]
    )


def _cutout(x: Tensor, draw: Callable[[], Tensor]) -> Tensor:
    """A square of half the side becomes zero; its centre lies anywhere."""
    height, width = x.shape[2:]
    rows = torch.arange(height, device=x.device).view(1, 1, -1, 1)
    columns = torch.arange(width, device=x.device).view(1, 1, 1, -1)
    top = (draw() * height).floor().to(x.device) - round(height * _HOLE) // 2
    left = (draw() * width).floor().to(x.device) - round(width * _HOLE) // 2
    inside = (rows >= top) & (rows < top + round(height * _HOLE))
    inside = inside & (columns >= left) & (columns < left + round(width * _HOLE))
    return x * (~inside)


_POLICIES: Mapping[str, Callable[[Tensor, Callable[[], Tensor]], Tensor]] = MappingProxyType(
    {"color": _color, "translation": _translation, "cutout": _cutout}
)
