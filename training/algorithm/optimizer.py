"""Adam for several networks: built, given a learning rate, and restored from a checkpoint."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from training.config import TrainConfig


def build_adam(config: TrainConfig, *networks: nn.Module) -> Adam:
    """Adam over the weights of all ``networks``, with the configuration's rate and moments."""
    parameters = itertools.chain(*(network.parameters() for network in networks))
    return Adam(
        parameters, lr=config.learning_rate, betas=(config.beta1, 0.999), fused=config.fused_adam
    )


def set_learning_rate(optimizer: Optimizer, rate: float) -> None:
    """Set the learning rate of all weights, in place where it is a tensor (CUDA graphs read it)."""
    for group in optimizer.param_groups:
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate


def load_optimizer(optimizer: Optimizer, state: Mapping[str, Any]) -> None:
    """Fill ``optimizer`` from a ``state_dict``, its moments in the memory layout of their weights.

    The fused Adam ignores strides: moments in another memory layout than their weights (e.g. of a
    compiled run) would be applied to the wrong weights without an error.
    """
    optimizer.load_state_dict(dict(state))
    for weight, moments in optimizer.state.items():
        for name, moment in moments.items():
            if isinstance(moment, Tensor) and moment.shape == weight.shape and moment.dim():
                moments[name] = torch.empty_like(weight).copy_(moment)
