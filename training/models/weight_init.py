"""The reference's initial weights."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized

from training.models.architecture import Generator

Init = Literal["normal", "xavier", "kaiming", "orthogonal"]


def init_weights(
    network: nn.Module, generator: torch.Generator, gain: float = 0.02, how: Init = "normal"
) -> None:
    """Initialise convolutions as ``how`` says, batch norms from normal(1, ``gain``), biases with 0.

    ``normal`` has the standard deviation ``gain``; ``xavier`` (Glorot & Bengio 2010) and
    ``orthogonal`` (Saxe et al. 2014) are multiplied by ``gain``; ``kaiming`` (He et al. 2015)
    scales by the number of inputs and ignores ``gain``. A generator's own ``weight_init`` comes
    before ``how``, and layers with spectral norm are orthogonal. A residual generator's last
    convolution starts at 0, so that it changes nothing at first. Source: ``init_weights`` in the
    reference's ``models/networks.py``.
    """
    if isinstance(network, Generator):
        how = network.weight_init or how
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            if is_parametrized(module, "weight"):  # divided by its norm: ``gain`` has no effect
                original = module.get_parameter("parametrizations.weight.original")
                nn.init.orthogonal_(original, generator=generator)
            else:
                _init_weight(module.weight, generator, gain, how)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1.0, gain, generator=generator)
            nn.init.zeros_(module.bias)
    if isinstance(network, Generator) and network.residual:
        nn.init.zeros_(network.output_layer.weight)


def _init_weight(weight: Tensor, generator: torch.Generator, gain: float, how: Init) -> None:
    if how == "normal":
        nn.init.normal_(weight, 0.0, gain, generator=generator)
    elif how == "xavier":
        nn.init.xavier_normal_(weight, gain, generator=generator)
    elif how == "kaiming":
        nn.init.kaiming_normal_(weight, generator=generator)
    else:
        nn.init.orthogonal_(weight, gain, generator=generator)
