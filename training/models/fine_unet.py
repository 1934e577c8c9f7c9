"""A U-Net whose last layers also see the picture at its own resolution.

The reference's U-Net draws its output from features of half the size, so that a change of one pixel
comes out two pixels wide: a correction of liner or of a lip's edge leaves a light rim beside it.
Here a convolution of the picture itself is added before the last two layers.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from training.config import TrainConfig
from training.models.architecture import Architecture, Generator
from training.models.layers import Norm, ReflectConv3x3
from training.models.unet import UnetBlock

_NUM_DOWNS = 7
_CHANNELS = 12  # at the picture's own resolution, where a channel costs most


class FineUnetGenerator(Generator):
    """1,897,439 parameters with ngf 16 and batch norm; 7 halvings, as ``unet_128``.

    Layers without a norm draw the picture: small first weights would leave them without a signal.
    """

    weight_init = "kaiming"

    def __init__(
        self, ngf: int, norm: Norm = "instance", *, dropout: bool = False, residual: bool = False
    ) -> None:
        super().__init__(residual=residual)
        block = UnetBlock(8 * ngf, 8 * ngf, None, norm, upsampling="resize")
        for _ in range(_NUM_DOWNS - 5):
            block = UnetBlock(8 * ngf, 8 * ngf, block, norm, dropout=dropout, upsampling="resize")
        for outer in (4 * ngf, 2 * ngf, ngf):
            block = UnetBlock(outer, 2 * outer, block, norm, upsampling="resize")
        first = nn.Conv2d(3, ngf, 4, stride=2, padding=1, bias=norm == "instance")
        self.unet = nn.Sequential(first, block, nn.ReLU(), ReflectConv3x3(2 * ngf, _CHANNELS))
        self.fine = nn.Sequential(ReflectConv3x3(3, _CHANNELS), nn.LeakyReLU(0.2))
        self.last = nn.Sequential(
            nn.ReLU(),
            ReflectConv3x3(_CHANNELS, _CHANNELS),
            nn.ReLU(),
            ReflectConv3x3(_CHANNELS, 3),
            nn.Tanh(),
        )

    @property
    def output_layer(self) -> nn.Conv2d:
        """The last convolution."""
        layer = self.last[-2]
        assert isinstance(layer, nn.Conv2d)
        return layer

    def draw(self, x: Tensor) -> Tensor:
        """``[N, 3, H, W]`` in [-1, 1] → the same; H and W are multiples of 128."""
        coarse = F.interpolate(self.unet(x), scale_factor=2.0, mode="bilinear")
        drawn: Tensor = self.last(coarse + self.fine(x))
        return drawn


def architecture(_config: TrainConfig) -> Architecture:
    """The facts of ``build``'s network; see those of ``training.models.unet``."""
    return Architecture(
        label=f"fine U-Net, {_NUM_DOWNS} halvings",
        multiple=2**_NUM_DOWNS,
        least_px=2**_NUM_DOWNS,
        margin_px=256,
        tile_px=1024,
    )


def build(config: TrainConfig) -> FineUnetGenerator:
    """The generator of this configuration, with torch's own first weights."""
    return FineUnetGenerator(
        config.ngf, config.norm, dropout=config.dropout, residual=config.residual
    )
