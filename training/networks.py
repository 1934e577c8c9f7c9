"""Generators and discriminators, tensor for tensor those of the reference.

Source: junyanz/pytorch-CycleGAN-and-pix2pix, ``models/networks.py``; Zhu et al. 2017, appendix 7.2.
The layers sit at the reference's positions, so that state dicts carry its keys.
"""

from __future__ import annotations

from typing import Literal, cast

import torch
from torch import Tensor, nn

from training.config import TrainConfig
from training.layers import Conv3x3, Norm, ResizeConv, Upsampling, norm_layer
from training.unet import UnetGenerator

Init = Literal["normal", "xavier", "kaiming", "orthogonal"]


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


class PatchDiscriminator(nn.Module):
    """``n_layers``: 4×4 convolutions; three strided ones (``basic``) judge 70×70 patches."""

    def __init__(self, num_layers: int, ndf: int, norm: Norm = "instance") -> None:
        super().__init__()
        bias = norm == "instance"
        layers: list[nn.Module] = [
            nn.Conv2d(3, ndf, 4, stride=2, padding=1),
            nn.LeakyReLU(0.2, inplace=True),
        ]
        width = ndf
        for index in range(1, num_layers + 1):
            wider = ndf * min(2**index, 8)
            stride = 2 if index < num_layers else 1
            layers += [
                nn.Conv2d(width, wider, 4, stride=stride, padding=1, bias=bias),
                norm_layer(norm, wider),
                nn.LeakyReLU(0.2, inplace=True),
            ]
            width = wider
        layers.append(nn.Conv2d(width, 1, 4, padding=1))
        self.model = nn.Sequential(*layers)

    def features(self, x: Tensor) -> Tensor:
        """``[N, 3, H, W]`` → what the last convolution judges, ``[N, C, h, w]``."""
        for layer in list(self.model)[:-1]:
            x = layer(x)
        return x

    def forward(self, x: Tensor) -> Tensor:
        """``[N, 3, H, W]`` in [-1, 1] → scores ``[N, 1, h, w]``, unbounded."""
        return self.model(x)  # type: ignore[no-any-return]


class PixelDiscriminator(nn.Module):
    """``pixel``: 1×1 convolutions, each pixel judged by its colour alone (pix2pix, §3.2.2)."""

    def __init__(self, ndf: int, norm: Norm = "instance") -> None:
        super().__init__()
        bias = norm == "instance"
        self.net = nn.Sequential(
            nn.Conv2d(3, ndf, 1),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Conv2d(ndf, 2 * ndf, 1, bias=bias),
            norm_layer(norm, 2 * ndf),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Conv2d(2 * ndf, 1, 1, bias=bias),
        )

    def features(self, x: Tensor) -> Tensor:
        """``[N, 3, H, W]`` → what the last convolution judges, ``[N, 2 · ndf, H, W]``."""
        for layer in list(self.net)[:-1]:
            x = layer(x)
        return x

    def forward(self, x: Tensor) -> Tensor:
        """``[N, 3, H, W]`` in [-1, 1] → scores ``[N, 1, H, W]``, unbounded."""
        return self.net(x)  # type: ignore[no-any-return]


def build_generator(config: TrainConfig) -> nn.Module:
    """A generator of this configuration, on the CPU, with torch's own first weights."""
    if config.generator == "resnet":
        return ResnetGenerator(
            config.num_blocks,
            config.ngf,
            config.norm,
            dropout=config.dropout,
            upsampling=config.upsampling,
            residual=config.residual,
        )
    num_downs = 7 if config.generator == "unet_128" else 8
    return UnetGenerator(
        num_downs,
        config.ngf,
        config.norm,
        dropout=config.dropout,
        upsampling=config.upsampling,
        residual=config.residual,
    )


def build_discriminator(config: TrainConfig) -> nn.Module:
    """A discriminator of this configuration, on the CPU, with torch's own first weights."""
    if config.discriminator == "pixel":
        return PixelDiscriminator(config.ndf, config.norm)
    return PatchDiscriminator(config.d_layers, config.ndf, config.norm)


def init_weights(
    network: nn.Module, generator: torch.Generator, gain: float = 0.02, how: Init = "normal"
) -> None:
    """Convolutions as ``how`` says, batch norms from normal(1, ``gain``), biases 0; in place.

    ``normal``: standard deviation ``gain``; ``xavier`` (Glorot & Bengio 2010) and ``orthogonal``
    (Saxe et al. 2014): times ``gain``; ``kaiming`` (He et al. 2015): by inputs, without ``gain``.
    A residual generator's last convolution starts at 0, so that it changes nothing at first.
    Source: ``init_weights`` of the reference.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            weight = module.weight
            if how == "normal":
                nn.init.normal_(weight, 0.0, gain, generator=generator)
            elif how == "xavier":
                nn.init.xavier_normal_(weight, gain, generator=generator)
            elif how == "kaiming":
                nn.init.kaiming_normal_(weight, generator=generator)
            else:
                nn.init.orthogonal_(weight, gain, generator=generator)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1.0, gain, generator=generator)
            nn.init.zeros_(module.bias)
    if isinstance(network, ResnetGenerator | UnetGenerator) and network.residual:
        nn.init.zeros_(cast("Tensor", network.last.weight))
