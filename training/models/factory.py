"""Networks of a configuration, with the reference's initial weights."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import Literal, cast

import torch
from torch import Tensor, nn

from training.config import TrainConfig
from training.models import resnet, unet
from training.models.architecture import Architecture
from training.models.discriminators import PatchDiscriminator, PixelDiscriminator
from training.models.resnet import ResnetGenerator
from training.models.unet import UnetGenerator

Init = Literal["normal", "xavier", "kaiming", "orthogonal"]


_GENERATORS: Mapping[str, ModuleType] = {"resnet": resnet, "unet_128": unet, "unet_256": unet}
"""The module of each ``TrainConfig.generator``: it has ``build`` and ``architecture``."""


def build_generator(config: TrainConfig) -> nn.Module:
    """A generator of this configuration, on the CPU, with torch's own first weights."""
    network: nn.Module = _GENERATORS[config.generator].build(config)
    return network


def architecture_of(config: TrainConfig) -> Architecture:
    """What the generator of this configuration says of itself."""
    facts: Architecture = _GENERATORS[config.generator].architecture(config)
    return facts


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
