"""Generators and discriminators, tensor for tensor those of the reference.

Source: junyanz/pytorch-CycleGAN-and-pix2pix, ``models/networks.py``; Zhu et al. 2017, appendix 7.2.
The layers sit at the reference's positions, so that state dicts carry its keys.
"""

from __future__ import annotations

from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from training.config import TrainConfig
from training.winograd import conv3x3, fits

Norm = Literal["instance", "batch"]
Init = Literal["normal", "xavier", "kaiming", "orthogonal"]
Upsampling = Literal["transposed", "resize"]


class InstanceNorm2d(nn.InstanceNorm2d):
    """Instance norm without parameters or running statistics, right in either memory layout.

    On a CPU, torch's own gives wrong gradients for channels-last input; group norm with a group a
    channel is the same function, and right in both layouts.
    """

    def forward(self, x: Tensor) -> Tensor:
        """``[N, C, H, W]`` → the same shape: each picture's channels to mean 0 and variance 1."""
        if x.is_contiguous(memory_format=torch.channels_last):
            return F.group_norm(x, self.num_features, eps=self.eps)
        return F.instance_norm(x, eps=self.eps)


class Conv3x3(nn.Conv2d):
    """A 3×3 convolution without padding that may run by Winograd's algorithm (``winograd``)."""

    def __init__(self, channels: int, *, bias: bool) -> None:
        super().__init__(channels, channels, 3, bias=bias)
        self.winograd = False

    def forward(self, x: Tensor) -> Tensor:
        """``[N, C, H + 2, W + 2]`` → ``[N, C, H, W]``."""
        if self.winograd and fits(x):
            y = conv3x3(x, self.weight)
            return y if self.bias is None else y + self.bias[:, None, None]
        return super().forward(x)


def _norm(norm: Norm, channels: int) -> nn.Module:
    return nn.BatchNorm2d(channels) if norm == "batch" else InstanceNorm2d(channels)


class ResnetBlock(nn.Module):
    """Two reflect-padded 3×3 convolutions with a skip; no ReLU after the sum."""

    def __init__(self, channels: int, norm: Norm, *, dropout: bool = False) -> None:
        super().__init__()
        bias = norm == "instance"  # batch norm has one of its own
        self.conv_block = nn.Sequential(
            nn.ReflectionPad2d(1),
            Conv3x3(channels, bias=bias),
            _norm(norm, channels),
            nn.ReLU(inplace=True),
            *([nn.Dropout(0.5)] if dropout else []),
            nn.ReflectionPad2d(1),
            Conv3x3(channels, bias=bias),
            _norm(norm, channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """``[N, C, H, W]`` → ``[N, C, H, W]``."""
        return x + self.conv_block(x)  # type: ignore[no-any-return]


class ResizeConv(nn.Module):
    """Nearest-neighbour enlargement, then a 3×3 convolution: every pixel gets the same weights.

    Where a transposed convolution overlaps unevenly and leaves a grid, this does not. Source:
    Odena et al. 2016, "Deconvolution and Checkerboard Artifacts".
    """

    def __init__(self, num_in: int, num_out: int, *, bias: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(num_in, num_out, 3, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """``[N, num_in, H, W]`` → ``[N, num_out, 2 H, 2 W]``."""
        larger = F.interpolate(x, scale_factor=2.0, mode="nearest")
        return cast("Tensor", self.conv(F.pad(larger, (1, 1, 1, 1), mode="reflect")))


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
            _norm(norm, ngf),
            nn.ReLU(inplace=True),
        ]
        for width in (ngf, 2 * ngf):
            layers += [
                nn.Conv2d(width, 2 * width, 3, stride=2, padding=1, bias=bias),
                _norm(norm, 2 * width),
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
            layers += [_norm(norm, width // 2), nn.ReLU(inplace=True)]
        layers += [nn.ReflectionPad2d(3), nn.Conv2d(ngf, 3, 7), nn.Tanh()]
        self.model = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """``[N, 3, H, W]`` in [-1, 1] → the same shape and range; 4 divides H and W."""
        drawn = self.model(x)
        return (x + drawn).clamp(-1, 1) if self.residual else drawn  # type: ignore[no-any-return]


class UnetBlock(nn.Module):
    """One level of the U-Net: down, the level within (if any), up, beside a skip.

    The reference's LeakyReLU works in place, so that its skip carries ``leaky_relu(x)``, not ``x``.
    """

    def __init__(
        self,
        outer: int,
        inner: int,
        within: UnetBlock | None,
        norm: Norm,
        *,
        dropout: bool = False,
        upsampling: Upsampling = "transposed",
    ) -> None:
        super().__init__()
        bias = norm == "instance"
        width = inner if within is None else 2 * inner
        layers: list[nn.Module] = [
            nn.LeakyReLU(0.2),
            nn.Conv2d(outer, inner, 4, stride=2, padding=1, bias=bias),
        ]
        if within is not None:
            layers += [_norm(norm, inner), within]
        layers += [
            nn.ReLU(),
            _doubling(width, outer, upsampling, bias=bias),
            _norm(norm, outer),
        ]
        if dropout:
            layers.append(nn.Dropout(0.5))
        self.model = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """``[N, outer, H, W]`` → ``[N, 2 · outer, H, W]``."""
        skip = y = self.model[0](x)
        for layer in list(self.model)[1:]:
            y = layer(y)
        return torch.cat([skip, y], dim=1)


def _doubling(num_in: int, num_out: int, upsampling: Upsampling, *, bias: bool) -> nn.Module:
    """A U-Net's layer that doubles height and width."""
    if upsampling == "resize":
        return ResizeConv(num_in, num_out, bias=bias)
    return nn.ConvTranspose2d(num_in, num_out, 4, stride=2, padding=1, bias=bias)


class UnetGenerator(nn.Module):
    """``unet_128`` (7 halvings) or ``unet_256`` (8: 54,409,603 parameters).

    ``upsampling`` ``"resize"`` puts a ``ResizeConv`` where the reference has a transposed
    convolution.
    """

    def __init__(
        self,
        num_downs: int,
        ngf: int,
        norm: Norm = "instance",
        *,
        dropout: bool = False,
        upsampling: Upsampling = "transposed",
    ) -> None:
        super().__init__()
        bias = norm == "instance"
        block = UnetBlock(8 * ngf, 8 * ngf, None, norm, upsampling=upsampling)
        for _ in range(num_downs - 5):
            block = UnetBlock(8 * ngf, 8 * ngf, block, norm, dropout=dropout, upsampling=upsampling)
        for outer in (4 * ngf, 2 * ngf, ngf):
            block = UnetBlock(outer, 2 * outer, block, norm, upsampling=upsampling)
        self.model = nn.Module()
        self.model.model = nn.Sequential(
            nn.Conv2d(3, ngf, 4, stride=2, padding=1, bias=bias),
            block,
            nn.ReLU(),
            _doubling(2 * ngf, 3, upsampling, bias=True),
            nn.Tanh(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """``[N, 3, H, W]`` in [-1, 1] → the same; 128 (or 256) divides H and W."""
        return self.model.model(x)  # type: ignore[no-any-return,operator]


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
                _norm(norm, wider),
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
            _norm(norm, 2 * ndf),
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
    if isinstance(network, ResnetGenerator) and network.residual:
        nn.init.zeros_(cast("nn.Conv2d", network.model[-2]).weight)
