"""The reference's ResNet generators, tensor for tensor.

Source: junyanz/pytorch-CycleGAN-and-pix2pix, ``models/networks.py``; Zhu et al. 2017, appendix 7.2.
The layers sit at the reference's positions, so that state dicts carry its keys.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, cast

from torch import Tensor, nn

from training.config import TrainConfig
from training.models.architecture import Architecture, Generator
from training.models.layers import (
    Conv3x3,
    Norm,
    ResizeConv,
    Upsampling,
    norm_layer,
    require_rgb,
)


class ResnetBlock(nn.Module):
    """Two reflect-padded 3×3 convolutions with a skip; no ReLU after the sum."""

    def __init__(self, channels: int, norm: Norm, *, dropout: bool = False) -> None:
        super().__init__()
        bias = norm == "instance"  # batch norm adds its own
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


class ResnetGenerator(Generator):
    """``resnet_<num_blocks>blocks`` with instance norm (9, ngf 64: 11,378,179 parameters).

    ``upsampling`` ``"resize"`` puts a ``ResizeConv`` where the reference has a transposed
    convolution (keys ``model.19.conv``, ``model.22.conv``).
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
        super().__init__(residual=residual)
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
    def output_layer(self) -> nn.Conv2d:
        """The last convolution."""
        return cast("nn.Conv2d", self.model[-2])

    def draw(self, x: Tensor) -> Tensor:
        """``[N, 3, H, W]`` in [-1, 1] → the same shape and range; H and W are multiples of 4."""
        return self.model(x)  # type: ignore[no-any-return]

    def repeated_blocks(self) -> list[nn.Module]:
        """The residual blocks: nine tenths of a step's arithmetic, of one shape."""
        return [layer for layer in self.model if isinstance(layer, ResnetBlock)]


_MULTIPLE = 4  # the network halves a picture twice
_EDGE_PX = 15  # radius of the receptive field of the layers around the residual blocks
_BLOCK_PX = 8  # added by each block: two 3×3 convolutions at a quarter of the size
_TILE_PX = 768


def architecture(config: TrainConfig) -> Architecture:
    """The facts of ``build``'s network; its margin is the radius of its receptive field."""
    receptive_px = _EDGE_PX + _BLOCK_PX * config.num_blocks
    margin_px = -(-receptive_px // _MULTIPLE) * _MULTIPLE
    return Architecture(
        label=f"ResNet, {config.num_blocks} block{'s' * (config.num_blocks != 1)}",
        multiple=_MULTIPLE,
        least_px=2 * _MULTIPLE,  # the blocks pad by reflection, which needs two pixels
        margin_px=margin_px,
        tile_px=max(_TILE_PX, 4 * margin_px),
        block_channels=4 * config.ngf,
        is_in_reference=True,
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


def recognise(tensors: Mapping[str, Tensor]) -> dict[str, Any] | None:
    """The fields of a ``TrainConfig`` whose ``build`` has the state dict ``tensors``.

    ``None`` where they are of no ResNet. Raises ``ValueError`` for other pictures than RGB.
    """
    first = tensors.get("model.1.weight")
    if first is None or first.ndim != 4:
        return None
    require_rgb(first)
    blocks = {m[1] for key in tensors if (m := re.match(r"model\.(\d+)\.conv_block\.", key))}
    dropout = any(".conv_block.6." in key and value.ndim == 4 for key, value in tensors.items())
    return {
        "generator": "resnet",
        "num_blocks": len(blocks),
        "ngf": first.shape[0],
        "norm": "batch" if "model.2.weight" in tensors else "instance",
        "dropout": dropout,
    }
