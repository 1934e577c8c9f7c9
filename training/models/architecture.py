"""The interface of generators: forward pass, parts, and facts of the architecture."""

from __future__ import annotations

from dataclasses import dataclass

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

    def __init__(self, *, residual: bool) -> None:
        super().__init__()
        self.residual = residual

    def forward(self, x: Tensor) -> Tensor:
        """``[N, 3, H, W]`` in [-1, 1] → the same shape and range.

        H and W are multiples of the architecture's ``multiple``.
        """
        drawn = self.draw(x)
        return (x + drawn).clamp(-1, 1) if self.residual else drawn

    def draw(self, x: Tensor) -> Tensor:
        """``[N, 3, H, W]`` in [-1, 1] → the picture, or its correction, same shape and range."""
        raise NotImplementedError

    @property
    def output_layer(self) -> nn.Conv2d | nn.ConvTranspose2d:
        """The last convolution: zero weights make ``draw`` constant."""
        raise NotImplementedError

    def repeated_blocks(self) -> list[nn.Module]:
        """Blocks of equal shape that do most of the arithmetic; on a CPU only they are compiled."""
        return []
