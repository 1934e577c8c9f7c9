"""The reference's ResNet generators, tensor for tensor.

Source: junyanz/pytorch-CycleGAN-and-pix2pix, ``models/networks.py``; Zhu et al. 2017, appendix 7.2.
The layers sit at the reference's positions, so that state dicts carry its keys.
"""

from __future__ import annotations

from torch import Tensor, nn

from training.config import TrainConfig
from training.models.architecture import Architecture
from training.models.layers import Conv3x3, Norm, ResizeConv, Upsampling, norm_layer


class ResnetBlock(nn.Module):
    """Two reflect-padded 3×3 convolutions with a skip; no ReLU after the sum."""

    def __init__(self, channels: int, norm: Norm, *, dropout: bool = False) -> None:
        super().__init__()
        bias = norm == "instance"  # batch norm has one of its own
        self.conv_block = nn.Sequential(
            nn.ReflectionPad2d(1),
            Conv3x3(channels, bias=bias),
            norm_layer(norm, channels),
            nn.ReLU(inplace=True),
            *([nn.Dropout(0.5)] if dropout else []),
            nn.ReflectionPad2d(1),
            Conv3x3(channels, bias=bias),
            norm_layer(norm, channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """``[N, C, H, W]`` → ``[N, C, H, W]``."""
        return x + self.conv_block(x)  # type: ignore[no-any-return]


class ResnetGenerator(nn.Module):
    """``resnet_<num_blocks>blocks`` with instance norm (9, ngf 64: 11,378,179 parameters).

    ``upsampling`` ``"resize"`` puts a ``ResizeConv`` where the reference has a transposed
    convolution (keys ``model.19.conv``, ``model.22.conv``). ``residual`` adds the input to what the
    network draws and clips the sum: DeblurGAN's skip (Kupyn et al. 2018, §3.2).
    """

    def __init__(
        self,
        num_blocks: int,
        ngf: int,
        norm: Norm = "instance",
        *,
        dropout: bool = False,
        upsampling: Upsampling = "transposed",
        residual: bool = False,
    ) -> None:
        super().__init__()
        self.residual = residual
        bias = norm == "instance"
        layers: list[nn.Module] = [
            nn.ReflectionPad2d(3),
            nn.Conv2d(3, ngf, 7, bias=bias),
            norm_layer(norm, ngf),
            nn.ReLU(inplace=True),
        ]
        for width in (ngf, 2 * ngf):
            layers += [
                nn.Conv2d(width, 2 * width, 3, stride=2, padding=1, bias=bias),
                norm_layer(norm, 2 * width),
                nn.ReLU(inplace=True),
            ]
        layers += [ResnetBlock(4 * ngf, norm, dropout=dropout) for _ in range(num_blocks)]
        for width in (4 * ngf, 2 * ngf):
            if upsampling == "resize":
                layers.append(ResizeConv(width, width // 2, bias=bias))
            else:
                layers.append(
                    nn.ConvTranspose2d(
                        width, width // 2, 3, stride=2, padding=1, output_padding=1, bias=bias
                    )
                )
            layers += [norm_layer(norm, width // 2), nn.ReLU(inplace=True)]
        layers += [nn.ReflectionPad2d(3), nn.Conv2d(ngf, 3, 7), nn.Tanh()]
        self.model = nn.Sequential(*layers)

    @property
    def last(self) -> nn.Module:
        """The layer that draws."""
        return self.model[-2]

    def forward(self, x: Tensor) -> Tensor:
        """``[N, 3, H, W]`` in [-1, 1] → the same shape and range; 4 divides H and W."""
        drawn = self.model(x)
        return (x + drawn).clamp(-1, 1) if self.residual else drawn  # type: ignore[no-any-return]


_MULTIPLE = 4  # the network halves a picture twice
_EDGE_PX = 15  # what the layers around the residual blocks see beyond a pixel
_BLOCK_PX = 8  # and what each block adds: two 3×3 convolutions at a quarter of the size
_TILE_PX = 768


def architecture(config: TrainConfig) -> Architecture:
    """The facts of ``build``'s network: its margin is its receptive field's."""
    receptive_px = _EDGE_PX + _BLOCK_PX * config.num_blocks
    margin_px = -(-receptive_px // _MULTIPLE) * _MULTIPLE
    return Architecture(
        label=f"ResNet, {config.num_blocks} blocks",
        multiple=_MULTIPLE,
        margin_px=margin_px,
        tile_px=max(_TILE_PX, 4 * margin_px),
    )


def build(config: TrainConfig) -> ResnetGenerator:
    """The generator of this configuration, with torch's own first weights."""
    return ResnetGenerator(
        config.num_blocks,
        config.ngf,
        config.norm,
        dropout=config.dropout,
        upsampling=config.upsampling,
        residual=config.residual,
    )
