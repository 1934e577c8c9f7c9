"""A generator optimised for inference on a CPU: the same function within rounding, much faster.

None of the changes is an approximation. Activations are channels-last throughout; convolutions of
residual blocks use Winograd's algorithm (``cpu_convolution.py``); a transposed convolution runs as
the four convolutions that it consists of; the last convolution, whose three channels would leave
vector units idle, computes 4×4 pixels at a time; batch norm, which is fixed after training, is
folded into the convolution before it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from serving.cpu_convolution import Scratch, WinogradConv
from training.models.resnet import ResnetBlock, ResnetGenerator

_SQUARE_PX = 4  # side of the squares that the last convolution computes at a time


def optimize_for_cpu(network: nn.Module) -> nn.Module:
    """A faster network that computes the same function on a CPU.

    Expects evaluation mode and float32. A ``ResnetGenerator`` becomes a ``FastResnet``; any other
    network is returned with its instance norms replaced by ``InstanceNorm``.
    """
    if isinstance(network, ResnetGenerator):
        return FastResnet(network)
    for name, module in list(network.named_modules()):
        if isinstance(module, nn.InstanceNorm2d):
            parent, _, last = name.rpartition(".")
            setattr(network.get_submodule(parent), last, _replace_norm(module))
    return network


class InstanceNorm(nn.Module):
    """Instance norm that can use the statistics of another batch; see ``shared_statistics``.

    ``[N, C, H, W]`` → the same shape.
    """

    def __init__(self, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self._is_recording = False
        self._statistics: tuple[Tensor, Tensor] | None = None  # mean and variance, [C] each

    def record(self) -> None:
        """From now on, take the statistics over each whole batch, and store the last ones."""
        self._is_recording = True

    def freeze(self) -> None:
        """From now on, use the stored statistics."""
        self._is_recording = False

    def reset(self) -> None:
        """Go back to separate statistics for each picture."""
        self._is_recording, self._statistics = False, None

    def forward(self, x: Tensor) -> Tensor:
        """``[N, C, H, W]`` → the same shape."""
        if self._is_recording:
            variance, mean = torch.var_mean(x, dim=(0, 2, 3), correction=0)
            self._statistics = (mean, variance)
        if self._statistics is not None:
            return F.batch_norm(x, *self._statistics, eps=self.eps)
        # the same function as instance_norm, and several times as fast on channels-last tensors
        return F.group_norm(x, x.shape[1], eps=self.eps)


@contextlib.contextmanager
def shared_statistics(network: nn.Module, samples: Tensor) -> Iterator[None]:
    """During the block, instance norms use the statistics of all ``samples`` ``[N, 3, H, W]``.

    So all tiles of a picture are normalised alike, whatever their content. Networks without
    ``InstanceNorm`` are not affected.
    """
    norms = [module for module in network.modules() if isinstance(module, InstanceNorm)]
    try:
        if norms:
            for norm in norms:
                norm.record()
            network(samples)
            for norm in norms:
                norm.freeze()
        yield
    finally:
        for norm in norms:
            norm.reset()


class FastResnet(nn.Module):
    """A ``ResnetGenerator`` of the same weights: ``[N, 3, H, W]`` in [-1, 1] → the same.

    H and W are multiples of 4. It runs one batch at a time: its convolutions share buffers.
    """

    def __init__(self, network: ResnetGenerator) -> None:
        super().__init__()
        *layers, last, squash = network.model
        assert isinstance(last, nn.Conv2d)
        stages: list[nn.Module] = []
        scratch = Scratch()
        following = [*layers[1:], None]
        is_folded = False  # whether the layer is a norm, folded into the convolution before it
        for layer, norm in zip(layers, following, strict=True):
            if is_folded:
                is_folded = False
            elif isinstance(layer, nn.Conv2d | nn.ConvTranspose2d) and norm is not None:
                weight, bias, rest = _fold_norm(layer, norm)
                if isinstance(layer, nn.Conv2d):
                    stages += [_conv(layer, weight, bias), rest]
                else:
                    stages += [_TransposedConv(weight, bias), rest]
                is_folded = True
            elif isinstance(layer, ResnetBlock):
                stages.append(_Block(layer, scratch))
            else:
                stages.append(_replace_norm(layer))
        stages += [_OutputConv(last), squash]
        self.stages = nn.Sequential(*stages)
        self.residual, self.strength = network.residual, network.strength
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        """``[N, 3, H, W]`` → the same shape and range."""
        x = x.contiguous(memory_format=torch.channels_last)
        y: Tensor = self.stages(x)
        if self.strength == 1:
            return y.add_(x).clamp_(-1, 1) if self.residual else y
        change = y if self.residual else y.sub_(x)
        return change.mul_(self.strength).add_(x).clamp_(-1, 1)


class _Block(nn.Module):
    def __init__(self, block: ResnetBlock, scratch: Scratch) -> None:
        super().__init__()
        layers = [layer for layer in block.conv_block if not isinstance(layer, nn.Dropout)]
        _, first, norm_1, _, _, second, norm_2 = layers
        assert isinstance(first, nn.Conv2d)
        assert isinstance(second, nn.Conv2d)
        weight, bias, self.norm_1 = _fold_norm(first, norm_1)
        self.first = WinogradConv(weight, bias, scratch)
        weight, bias, self.norm_2 = _fold_norm(second, norm_2)
        self.second = WinogradConv(weight, bias, scratch)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm_1(self.first(_reflect(x))).relu_()
        return self.norm_2(self.second(_reflect(y))).add_(x)  # type: ignore[no-any-return]


class _TransposedConv(nn.Module):
    """A transposed 3×3 convolution of stride 2, padding 1 and output padding 1.

    It runs as one convolution for each parity of row and column: output row 2i uses tap 1 of row
    i; row 2i + 1 uses tap 2 of row i and tap 0 of row i + 1.
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


class _OutputConv(nn.Module):
    """The last 7×7 convolution, as one of stride 4 that computes 4×4 pixels of each channel."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        weight = conv.weight.detach()
        k, c, side, _ = weight.shape
        wide = weight.new_zeros(
            k, _SQUARE_PX, _SQUARE_PX, c, side + _SQUARE_PX - 1, side + _SQUARE_PX - 1
        )
        for y in range(_SQUARE_PX):
            for x in range(_SQUARE_PX):
                wide[:, y, x, :, y : y + side, x : x + side] = weight
        flat = wide.flatten(0, 2)
        self.weight = flat.contiguous(memory_format=torch.channels_last)
        assert conv.bias is not None
        self.bias = conv.bias.detach().repeat_interleave(_SQUARE_PX**2)

    def forward(self, x: Tensor) -> Tensor:
        return F.pixel_shuffle(F.conv2d(x, self.weight, self.bias, stride=_SQUARE_PX), _SQUARE_PX)


def _reflect(x: Tensor) -> Tensor:
    return F.pad(x, (1, 1, 1, 1), mode="reflect")


def _fold_norm(
    conv: nn.Conv2d | nn.ConvTranspose2d, norm: nn.Module
) -> tuple[Tensor, Tensor | None, nn.Module]:
    """Weight and bias that include the norm, and the norm that is left to compute.

    An instance norm stays; the bias before it has no effect and is dropped.
    """
    weight = conv.weight.detach()
    if isinstance(norm, nn.InstanceNorm2d):
        return weight, None, InstanceNorm(norm.eps)
    assert isinstance(norm, nn.BatchNorm2d)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight.detach().double() / (norm.running_var.double() + norm.eps).sqrt()
    shape = (1, -1, 1, 1) if isinstance(conv, nn.ConvTranspose2d) else (-1, 1, 1, 1)
    shift = norm.bias.detach().double() - norm.running_mean.double() * scale
    if conv.bias is not None:
        shift = shift + conv.bias.detach().double() * scale
    return (weight.double() * scale.view(shape)).float(), shift.float(), nn.Identity()


def _replace_norm(layer: nn.Module) -> nn.Module:
    """``InstanceNorm`` for an instance norm without parameters; any other layer itself."""
    is_plain_norm = isinstance(layer, nn.InstanceNorm2d) and not layer.affine
    return InstanceNorm(layer.eps) if is_plain_norm else layer  # type: ignore[arg-type]


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
