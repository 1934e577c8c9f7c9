"""The layers of generators and discriminators."""

from __future__ import annotations

import contextlib
from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from core.language.messages import localised
from training.models.winograd import conv3x3, fits

Norm = Literal["instance", "batch", "none"]
Upsampling = Literal["transposed", "resize"]
_PADDING = (1, 1, 1, 1)  # px on each side


class InstanceNorm2d(nn.InstanceNorm2d):
    """Instance norm without parameters or running statistics, correct in either memory layout.

    On a CPU, torch's own instance norm has wrong gradients for channels-last input; group norm with
    one channel a group is the same function, with correct gradients.
    """

    def forward(self, x: Tensor) -> Tensor:
        """``[N, C, H, W]`` → the same shape: each picture's channels to mean 0 and variance 1."""
        if x.is_contiguous(memory_format=torch.channels_last):
            return F.group_norm(x, self.num_features, eps=self.eps)
        return F.instance_norm(x, eps=self.eps)


class Conv3x3(nn.Conv2d):
    """A 3×3 convolution without padding, computed by Winograd's algorithm where ``winograd``."""

    def __init__(self, channels: int, *, bias: bool) -> None:
        super().__init__(channels, channels, 3, bias=bias)
        self.winograd = False

    def forward(self, x: Tensor) -> Tensor:
        """``[N, C, H + 2, W + 2]`` → ``[N, C, H, W]``."""
        if self.winograd and fits(x):
            y = conv3x3(x, self.weight)
            return y if self.bias is None else y + self.bias[:, None, None]
        return super().forward(x)


class ResizeConv(nn.Module):
    """Nearest-neighbour enlargement, then a 3×3 convolution: every pixel gets the same weights.

    A transposed convolution overlaps unevenly, which leaves a grid in pictures. Source: Odena et
    al. 2016, "Deconvolution and Checkerboard Artifacts".
    """

    def __init__(self, num_in: int, num_out: int, *, bias: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(num_in, num_out, 3, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """``[N, num_in, H, W]`` → ``[N, num_out, 2 H, 2 W]``."""
        with without_autocast(x):
            padded = F.pad(
                F.interpolate(x, scale_factor=2.0, mode="nearest"), _PADDING, mode="reflect"
            )
        return cast("Tensor", self.conv(padded))


class ReflectConv3x3(nn.Conv2d):
    """A 3×3 convolution of a picture that is mirrored at its edges."""

    def __init__(self, num_in: int, num_out: int) -> None:
        super().__init__(num_in, num_out, 3)

    def forward(self, x: Tensor) -> Tensor:
        """``[N, num_in, H, W]`` → ``[N, num_out, H, W]``."""
        with without_autocast(x):
            padded = F.pad(x, _PADDING, mode="reflect")
        return super().forward(padded)


def without_autocast(x: Tensor) -> contextlib.AbstractContextManager[object]:
    """A context in which operations on ``x`` give its own type: on a CPU autocast pads and enlarges
    in float32 what is bfloat16, which takes a tenth of a step.
    """
    if x.device.type != "cpu" or not torch.is_autocast_enabled("cpu"):
        return contextlib.nullcontext()  # nothing that an export would have to store
    return torch.autocast("cpu", enabled=False)


def norm_layer(norm: Norm, channels: int) -> nn.Module:
    """Batch norm with weights, instance norm without, or none, of ``channels``."""
    if norm == "none":
        return nn.Identity()
    return nn.BatchNorm2d(channels) if norm == "batch" else InstanceNorm2d(channels)


def normalise_weights(network: nn.Module) -> None:
    """Divide the weights of all convolutions by their largest singular value, in every pass.

    Source: Miyato et al. 2018, "Spectral Normalization for Generative Adversarial Networks",
    arXiv 1802.05957, with one power iteration in each pass of a network in training mode.
    """
    for module in list(network.modules()):
        if isinstance(module, nn.Conv2d):
            with torch.random.fork_rng(
                devices=[]
            ):  # the iteration's first vectors are always alike
                torch.manual_seed(0)
                nn.init.orthogonal_(module.weight)
                spectral_norm(module)


def require_rgb(weight: Tensor) -> None:
    """Raise ``ValueError`` unless ``weight`` is a convolution's of 3 input channels."""
    if weight.ndim != 4 or weight.shape[1] != 3:
        raise ValueError(
            localised(
                "found a first layer of shape {shape}, needed 3 input channels",
                shape=list(weight.shape),
            )
        )
