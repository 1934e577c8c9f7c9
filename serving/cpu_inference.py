"""The same generator, arranged for a CPU that only translates: equal within rounding, much faster.

Four changes, none of them an approximation: channels-last throughout; residual convolutions by
Winograd (``cpu_convolution.py``); transposed convolutions as the four that they consist of; the
last convolution, whose three channels leave vector units idle, for 4×4 pixels at once. Batch norm,
which is fixed after training, is folded into the convolution before it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from serving.cpu_convolution import Scratch, WinogradConv
from training.models.resnet import ResnetBlock, ResnetGenerator

_AT_ONCE = 4  # the last convolution makes squares of this many pixels


def arrange(network: nn.Module) -> nn.Module:
    """``network`` for inference on a CPU: itself, changed in place, or a faster one of its weights.

    Expects evaluation mode, float32. Any network comes back with its instance norms exchanged for
    ``Norm``; a ``ResnetGenerator`` as a ``FastResnet``.
    """
    if isinstance(network, ResnetGenerator):
        return FastResnet(network)
    for name, module in list(network.named_modules()):
        if isinstance(module, nn.InstanceNorm2d):
            parent, _, last = name.rpartition(".")
            setattr(network.get_submodule(parent), last, _kept(module))
    return network


class Norm(nn.Module):
    """Instance norm whose statistics can be taken over a whole batch and then kept.

    See ``shared_statistics``. ``[N, C, H, W]`` → the same shape.
    """

    def __init__(self, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.taking = False
        self.kept: tuple[Tensor, Tensor] | None = None  # mean, variance, [C] each

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        if self.taking:
            variance, mean = torch.var_mean(x, dim=(0, 2, 3), correction=0)
            self.kept = (mean, variance)
        if self.kept is not None:
            return F.batch_norm(x, *self.kept, eps=self.eps)
        # in channels-last order several times as fast as instance_norm, and the same
        return F.group_norm(x, x.shape[1], eps=self.eps)


@contextlib.contextmanager
def shared_statistics(network: nn.Module, pieces: Tensor) -> Iterator[None]:
    """Within, instance norms use the statistics of ``pieces`` ``[N, 3, H, W]`` taken together.

    So pieces of one picture are translated as parts of it: what a piece becomes no longer depends
    on what else it shows. Nothing changes for networks without instance norm.
    """
    norms = [module for module in network.modules() if isinstance(module, Norm)]
    try:
        if norms:
            for norm in norms:
                norm.taking = True
            network(pieces)
            for norm in norms:
                norm.taking = False
        yield
    finally:
        for norm in norms:
            norm.taking, norm.kept = False, None


class FastResnet(nn.Module):
    """``ResnetGenerator`` rearranged; ``[N, 3, H, W]`` in [-1, 1], 4 divides H and W.

    One call at a time: its convolutions share their scratch memory.
    """

    def __init__(self, network: ResnetGenerator) -> None:
        super().__init__()
        *layers, last, squash = network.model
        assert isinstance(last, nn.Conv2d)
        stages: list[nn.Module] = []
        scratch = Scratch()
        following = [*layers[1:], None]
        folded = False  # the norm that comes now is part of the convolution before it
        for layer, norm in zip(layers, following, strict=True):
            if folded:
                folded = False
            elif isinstance(layer, nn.Conv2d | nn.ConvTranspose2d) and norm is not None:
                weight, bias, left = _folded(layer, norm)
                if isinstance(layer, nn.Conv2d):
                    stages += [_conv(layer, weight, bias), left]
                else:
                    stages += [_Up(weight, bias), left]
                folded = True
            elif isinstance(layer, ResnetBlock):
                stages.append(_Block(layer, scratch))
            else:
                stages.append(_kept(layer))
        stages += [_Last(last), squash]
        self.stages = nn.Sequential(*stages)
        self.residual = network.residual
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        """``[N, 3, H, W]`` → the same shape and range."""
        x = x.contiguous(memory_format=torch.channels_last)
        y = self.stages(x)
        return y.add_(x).clamp_(-1, 1) if self.residual else y  # type: ignore[no-any-return]


class _Block(nn.Module):
    def __init__(self, block: ResnetBlock, scratch: Scratch) -> None:
        super().__init__()
        layers = [layer for layer in block.conv_block if not isinstance(layer, nn.Dropout)]
        _, first, norm_1, _, _, second, norm_2 = layers
        assert isinstance(first, nn.Conv2d)
        assert isinstance(second, nn.Conv2d)
        weight, bias, self.norm_1 = _folded(first, norm_1)
        self.first = WinogradConv(weight, bias, scratch)
        weight, bias, self.norm_2 = _folded(second, norm_2)
        self.second = WinogradConv(weight, bias, scratch)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm_1(self.first(_reflect(x))).relu_()
        return self.norm_2(self.second(_reflect(y))).add_(x)  # type: ignore[no-any-return]


class _Up(nn.Module):
    """Transposed 3×3 convolution of stride 2, padding 1, output padding 1: one for each parity.

    Output row 2i takes tap 1 of row i; row 2i + 1 takes tap 2 of row i and tap 0 of row i + 1.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self.bias = bias
        kernel = weight.transpose(0, 1)  # [K, C, 3, 3]
        taps = ([1], [2, 0])
        self.kernels = [
            kernel[:, :, rows][..., columns].contiguous(memory_format=torch.channels_last)
            for rows in taps
            for columns in taps
        ]

    def forward(self, x: Tensor) -> Tensor:
        n, _, height, width = x.shape
        x = F.pad(x, (0, 1, 0, 1))
        shape = (n, self.kernels[0].shape[0], 2 * height, 2 * width)
        y = x.new_empty(shape).to(memory_format=torch.channels_last)
        for number, kernel in enumerate(self.kernels):
            down, across = divmod(number, 2)
            part = x[:, :, : height + down, : width + across]
            y[:, :, down::2, across::2] = F.conv2d(part, kernel, self.bias)
        return y


class _Last(nn.Module):
    """The last 7×7 convolution, as one of stride 4 that makes 4×4 pixels of each channel."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        weight = conv.weight.detach()
        k, c, side, _ = weight.shape
        wide = weight.new_zeros(k, _AT_ONCE, _AT_ONCE, c, side + _AT_ONCE - 1, side + _AT_ONCE - 1)
        for y in range(_AT_ONCE):
            for x in range(_AT_ONCE):
                wide[:, y, x, :, y : y + side, x : x + side] = weight
        flat = wide.flatten(0, 2)
        self.weight = flat.contiguous(memory_format=torch.channels_last)
        assert conv.bias is not None
        self.bias = conv.bias.detach().repeat_interleave(_AT_ONCE**2)

    def forward(self, x: Tensor) -> Tensor:
        return F.pixel_shuffle(F.conv2d(x, self.weight, self.bias, stride=_AT_ONCE), _AT_ONCE)


def _reflect(x: Tensor) -> Tensor:
    return F.pad(x, (1, 1, 1, 1), mode="reflect")


def _folded(
    conv: nn.Conv2d | nn.ConvTranspose2d, norm: nn.Module
) -> tuple[Tensor, Tensor | None, nn.Module]:
    """Weight, bias and what is left of the norm: instance norm takes the bias away by itself."""
    weight = conv.weight.detach()
    if isinstance(norm, nn.InstanceNorm2d):
        return weight, None, Norm(norm.eps)
    assert isinstance(norm, nn.BatchNorm2d)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight.detach().double() / (norm.running_var.double() + norm.eps).sqrt()
    shape = (1, -1, 1, 1) if isinstance(conv, nn.ConvTranspose2d) else (-1, 1, 1, 1)
    shift = norm.bias.detach().double() - norm.running_mean.double() * scale
    if conv.bias is not None:
        shift = shift + conv.bias.detach().double() * scale
    return (weight.double() * scale.view(shape)).float(), shift.float(), nn.Identity()


def _kept(layer: nn.Module) -> nn.Module:
    """A layer that stays as it is, unless it is an instance norm."""
    plain = isinstance(layer, nn.InstanceNorm2d) and not layer.affine
    return Norm(layer.eps) if plain else layer  # type: ignore[arg-type]


def _conv(like: nn.Conv2d, weight: Tensor, bias: Tensor | None) -> nn.Conv2d:
    conv = nn.Conv2d(
        like.in_channels,
        like.out_channels,
        like.kernel_size,  # type: ignore[arg-type]
        like.stride,  # type: ignore[arg-type]
        like.padding,  # type: ignore[arg-type]
        bias=bias is not None,
    )
    conv.weight = nn.Parameter(weight.contiguous(memory_format=torch.channels_last))
    if bias is not None:
        conv.bias = nn.Parameter(bias)
    return conv.requires_grad_(requires_grad=False)
