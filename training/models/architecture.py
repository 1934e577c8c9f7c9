"""The interface of generators: forward pass, parts, and facts of the architecture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Architecture:
    """The facts of a generator, for code that runs, exports or describes it.

    Each generator's module states its own, in ``architecture(config)``.
    """

    label: str  # for people, such as "ResNet, 9 blocks"
    multiple: int  # px; both sides of an input are multiples of it
    least_px: int  # side of the smallest input
    margin_px: int  # distance beyond which pixels of the input hardly change one of the output
    tile_px: int  # side of the tiles that a large picture is translated in, margins included
    block_channels: int = 0  # of the 3×3 convolutions in ``Generator.repeated_blocks``
    is_in_reference: bool = False  # whether junyanz/pytorch-CycleGAN-and-pix2pix has it


class Generator(nn.Module):
    """A network that translates pictures; with ``residual``, by adding a correction to them.

    A residual generator adds its input to the output of ``draw`` and clips the sum: DeblurGAN's
    skip (Kupyn et al. 2018, §3.2).
    """

    weight_init: ClassVar[Literal["kaiming"] | None] = None
    """Initial weights that the architecture needs, whatever the configuration's ``init``."""

    strength: float
    """How many times its trained change a picture gets: 1 is the network as it was trained.

    Evaluation chooses it for each direction, and it is kept beside the weights of a stored model
    (``training/run/strengths.py``).
    """

    def __init__(self, *, residual: bool) -> None:
        super().__init__()
        self.residual = residual
        self.strength = 1.0

    def forward(self, x: Tensor) -> Tensor:
        """``[N, 3, H, W]`` in [-1, 1] → the same shape and range.

        H and W are multiples of the architecture's ``multiple``.
        """
        return self.combine(x, self.draw(x), self.strength)

    def combine(self, x: Tensor, drawn: Tensor, strength: float = 1.0) -> Tensor:
        """The translation of ``x`` with ``drawn``, its picture or correction by ``draw``.

        ``x``, ``drawn`` and the result are ``[N, 3, H, W]`` in [-1, 1]; the change of ``x`` is
        multiplied by ``strength`` and clipped.
        """
        if strength == 1:  # the reference's arithmetic, to the last bit
            return (x + drawn).clamp(-1, 1) if self.residual else drawn
        change = drawn if self.residual else drawn - x
        return (x + strength * change).clamp(-1, 1)

    def draw(self, x: Tensor) -> Tensor:
        """``[N, 3, H, W]`` in [-1, 1] → the picture, or its correction, same shape and range."""
        raise NotImplementedError

    @property
    def output_layer(self) -> nn.Conv2d | nn.ConvTranspose2d:
        """The last convolution: where its weights and biases are zero, ``draw`` is constant."""
        raise NotImplementedError

    def repeated_blocks(self) -> list[nn.Module]:
        """Blocks of equal shape that do most of the arithmetic; on a CPU only they are compiled."""
        return []


class SliceableGenerator(Generator):
    """A generator that decides in a small view of a picture what to do with pixels of any size.

    The view gives a *grid*; each pixel takes its change from the grid, by its place in the picture
    and its own colour. So the pixels may be those of the view (as in training) or those of the
    photograph, in any number at a time: no pixel depends on another.
    """

    def predict_grid(self, x: Tensor) -> Tensor:
        """``[N, 3, H, W]`` in [-1, 1] → the grids, ``[N, …]``.

        H and W are multiples of the architecture's ``multiple``.
        """
        raise NotImplementedError

    def slice(self, grid: Tensor, pixels: Tensor, places: Tensor) -> Tensor:
        """The translation of ``pixels`` ``[N, 3, H, W]`` in [-1, 1]: the same shape and range.

        ``places`` ``[N or 1, H, W, 2]``: where each pixel lies in the view that ``predict_grid``
        saw, x and y in shares of its width and height; beyond the view its edge repeats.
        """
        return self.combine(pixels, self.draw_slice(grid, pixels, places), self.strength)

    def draw_slice(self, grid: Tensor, pixels: Tensor, places: Tensor) -> Tensor:
        """As ``slice``, but with ``residual`` the correction alone."""
        raise NotImplementedError

    def draw(self, x: Tensor) -> Tensor:
        """``[N, 3, H, W]`` in [-1, 1] → the picture, or its correction, by its own grid."""
        return self.draw_slice(self.predict_grid(x), x, pixel_places(x))


def pixel_places(picture: Tensor) -> Tensor:
    """The centres of ``picture``'s pixels ``[N, C, H, W]`` as ``[1, H, W, 2]``: x and y, 0 to 1."""
    x, y = (
        (torch.arange(size, dtype=picture.dtype, device=picture.device) + 0.5) / size
        for size in (picture.shape[3], picture.shape[2])
    )
    return torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1)[None]
