"""The reference's U-Net generators, tensor for tensor (pix2pix, Isola et al. 2017, §3.2.1).

Source: junyanz/pytorch-CycleGAN-and-pix2pix, ``models/networks.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn

from core.language.messages import localised
from training.config import TrainConfig
from training.models.architecture import Architecture, Generator
from training.models.layers import Norm, ResizeConv, Upsampling, norm_layer, require_rgb


class UnetBlock(nn.Module):
    """One level of the U-Net: halving, the inner level (if any), doubling, beside a skip.

    The reference's LeakyReLU works in place, so that its skip carries ``leaky_relu(x)``, not ``x``.
    """

    def __init__(
        self,
        outer: int,
        inner: int,
        inner_block: UnetBlock | None,
        norm: Norm,
        *,
        dropout: bool = False,
        upsampling: Upsampling = "transposed",
    ) -> None:
        super().__init__()
        bias = norm == "instance"
        width = inner if inner_block is None else 2 * inner
        layers: list[nn.Module] = [
            nn.LeakyReLU(0.2),
            nn.Conv2d(outer, inner, 4, stride=2, padding=1, bias=bias),
        ]
        if inner_block is not None:
            layers += [norm_layer(norm, inner), inner_block]
        layers += [
            nn.ReLU(),
            _doubling(width, outer, upsampling, bias=bias),
            norm_layer(norm, outer),
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


class UnetGenerator(Generator):
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
        residual: bool = False,
    ) -> None:
        super().__init__(residual=residual)
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

    @property
    def output_layer(self) -> nn.Conv2d | nn.ConvTranspose2d:
        """The last convolution."""
        layer = cast("nn.Sequential", self.model.model)[-2]
        if isinstance(layer, ResizeConv):
            return layer.conv
        return cast("nn.ConvTranspose2d", layer)

    def draw(self, x: Tensor) -> Tensor:
        """``[N, 3, H, W]`` in [-1, 1] → the same; H and W are multiples of 128 (or 256)."""
        return self.model.model(x)  # type: ignore[operator, no-any-return]


def _doubling(num_in: int, num_out: int, upsampling: Upsampling, *, bias: bool) -> nn.Module:
    """The convolution of a U-Net that doubles height and width."""
    if upsampling == "resize":
        return ResizeConv(num_in, num_out, bias=bias)
    return nn.ConvTranspose2d(num_in, num_out, 4, stride=2, padding=1, bias=bias)


_NUM_DOWNS = {"unet_128": 7, "unet_256": 8}


def architecture(config: TrainConfig) -> Architecture:
    """The facts of ``build``'s network.

    A U-Net's receptive field is the whole picture; a margin of 256 px is enough in practice.
    """
    num_downs = _NUM_DOWNS[config.generator]
    return Architecture(
        label=f"U-Net, {num_downs} halvings",
        multiple=2**num_downs,
        least_px=2**num_downs,
        margin_px=256,
        tile_px=1024,
        is_in_reference=True,
    )


def build(config: TrainConfig) -> UnetGenerator:
    """The generator of this configuration, with torch's own first weights."""
    return UnetGenerator(
        _NUM_DOWNS[config.generator],
        config.ngf,
        config.norm,
        dropout=config.dropout,
        upsampling=config.upsampling,
        residual=config.residual,
    )


def recognise(tensors: Mapping[str, Tensor]) -> dict[str, Any] | None:
    """The fields of a ``TrainConfig`` whose ``build`` has the state dict ``tensors``.

    ``None`` where they are of no U-Net. Raises ``ValueError`` for another number of halvings than
    7 or 8, and for other pictures than RGB.
    """
    outermost = tensors.get("model.model.0.weight")
    if outermost is None:
        return None
    depth = max(key.count(".model") for key in tensors)
    name = next((name for name, num_downs in _NUM_DOWNS.items() if num_downs == depth), None)
    if name is None:
        raise ValueError(localised("found a U-Net of {depth} halvings; needed 7 or 8", depth=depth))
    require_rgb(outermost)
    norm = "instance" if "model.model.0.bias" in tensors else "batch"
    return {"generator": name, "ngf": outermost.shape[0], "norm": norm}
