"""A moving average of a network's weights, smoother than the weights of a single step.

Source: Yazıcı et al. 2019, "The Unusual Effectiveness of Averaging in GAN Training",
arXiv 1806.04498, with the warm-up that Karras et al. 2020 use (arXiv 1912.04958).
"""

from __future__ import annotations

import copy

import torch
from torch import nn


class MovingAverage:
    """Keeps the average of a network's weights in a copy of it, ``network``, in evaluation mode."""

    def __init__(self, network: nn.Module, decay: float) -> None:
        self._decay = decay
        self._source = network
        self.network = copy.deepcopy(network).eval().requires_grad_(requires_grad=False)

    @torch.no_grad()
    def update(self, num_steps: int) -> None:
        """Include the weights after ``num_steps`` steps; early steps are forgotten faster."""
        decay = min(self._decay, (1 + num_steps) / (10 + num_steps))
        averages: list[torch.Tensor] = list(self.network.parameters())
        weights: list[torch.Tensor] = list(self._source.parameters())
        torch._foreach_lerp_(averages, weights, 1 - decay)
        for average, buffer in zip(self.network.buffers(), self._source.buffers(), strict=True):
            average.copy_(buffer)
