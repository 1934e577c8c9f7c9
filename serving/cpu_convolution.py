"""3×3 convolution by Winograd's F(4×4, 3×3): 36 products for 16 outputs instead of 144.

Lavin and Gray 2016, arXiv 1509.09308. The interpolation points are those that Barabasz et al. 2020
(arXiv 1803.10986) found to lose least in float32; each transform's rows are scaled alike. The
weights are transformed once, in float64.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.polynomial import polynomial
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

_POINTS = (0.0, 1.0, -1.0, 0.5, -2.0)  # the sixth point is infinity
_OUT = 4  # outputs of a tile along each axis
_TAPS = 3
_TILE = _OUT + _TAPS - 1


class Scratch:
    """Two buffers that all convolutions of a network share: allocating memory takes time.

    A network with shared buffers runs one batch at a time.
    """

    def __init__(self) -> None:
        self._buffers = (torch.empty(0), torch.empty(0))

    def take(self, num: int) -> tuple[Tensor, Tensor]:
        """Both buffers, of ``num`` float32 each, with undefined content."""
        if self._buffers[0].numel() != num:
            self._buffers = (torch.empty(num), torch.empty(num))
        return self._buffers


class WinogradConv(nn.Module):
    """A convolution with ``weight`` ``[K, C, 3, 3]``, stride 1 and no padding.

    ``[N, C, H + 2, W + 2]`` → ``[N, K, H, W]`` float32, channels-last. It differs from a direct
    convolution by rounding: about 1e-5 of the outputs' standard deviation.
    """

    products: Tensor  # [36, C, K]
    bias: Tensor | None  # [K]
    to_points: Tensor  # [36, 36]: from a tile's pixels to values at the points
    from_points: Tensor  # [16, 36]: from values at the points to a tile's outputs

    def __init__(
        self, weight: Tensor, bias: Tensor | None = None, scratch: Scratch | None = None
    ) -> None:
        super().__init__()
        self._scratch = scratch or Scratch()
        outputs, taps, inputs = transforms()
        g = torch.from_numpy(taps)
        k, c = weight.shape[:2]
        products = torch.einsum("ai,bj,koij->abok", g, g, weight.double())
        self.register_buffer("products", products.reshape(_TILE**2, c, k).float().contiguous())
        self.register_buffer("to_points", torch.from_numpy(np.kron(inputs, inputs)).float())
        self.register_buffer("from_points", torch.from_numpy(np.kron(outputs, outputs)).float())
        self.register_buffer("bias", bias)

    def forward(self, x: Tensor) -> Tensor:
        """``[N, C, H + 2, W + 2]`` → ``[N, K, H, W]``."""
        n, c, height, width = (int(size) for size in x.shape)
        down, across = -(-(height - 2) // _OUT), -(-(width - 2) // _OUT)
        padding = (0, across * _OUT + 2 - width, 0, down * _OUT + 2 - height)
        if any(padding):
            x = F.pad(x, padding)
        x = x.permute(0, 2, 3, 1).contiguous()
        by_n, by_row, by_column, _ = x.stride()
        shape = (_TILE, _TILE, n, down, across, c)
        windows = x.as_strided(shape, (by_row, by_column, by_n, _OUT * by_row, _OUT * by_column, 1))
        y = self._convolve(windows, n * down * across)
        y = y.view(_OUT, _OUT, n, down, across, -1).permute(2, 3, 0, 4, 1, 5)
        y = y.reshape(n, down * _OUT, across * _OUT, -1)[:, : height - 2, : width - 2]
        if self.bias is not None:
            y = y + self.bias
        return y.permute(0, 3, 1, 2)

    def _convolve(self, windows: Tensor, num_tiles: int) -> Tensor:
        """The tiles' outputs, ``[16, num_tiles * K]``; the next call overwrites them."""
        c, k = self.products.shape[1:]
        first, second = self._scratch.take(num_tiles * max(c, k) * _TILE**2)
        tiles = first[: num_tiles * c * _TILE**2]
        tiles.view(windows.shape).copy_(windows)
        points = second[: num_tiles * c * _TILE**2]
        torch.mm(self.to_points, tiles.view(_TILE**2, -1), out=points.view(_TILE**2, -1))
        products = first[: num_tiles * k * _TILE**2].view(_TILE**2, num_tiles, k)
        torch.bmm(points.view(_TILE**2, num_tiles, c), self.products, out=products)
        outputs = second[: num_tiles * k * _OUT**2].view(_OUT**2, -1)
        return torch.mm(self.from_points, products.view(_TILE**2, -1), out=outputs)


def transforms() -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """The matrices Aᵀ ``[4, 6]``, G ``[6, 3]`` and Bᵀ ``[6, 6]``: of outputs, weights, inputs."""
    points = np.array(_POINTS)
    last = _TILE - 1
    outputs, taps = np.zeros((_OUT, _TILE)), np.zeros((_TILE, _TAPS))
    inputs = np.zeros((_TILE, _TILE))
    outputs[:, :last] = points ** np.arange(_OUT)[:, None]
    for i, point in enumerate(points):
        other_points = np.delete(points, i)
        taps[i] = point ** np.arange(_TAPS) / np.prod(point - other_points)
        inputs[i, :last] = polynomial.polyfromroots(other_points)
    outputs[-1, last] = taps[last, -1] = 1
    inputs[last] = polynomial.polyfromroots(points)
    magnitudes = [np.abs(outputs).max(0), np.abs(taps).max(1), np.abs(inputs).max(1)]
    target = np.prod(magnitudes, axis=0) ** (1 / 3)
    outputs *= target / magnitudes[0]
    taps *= (target / magnitudes[1])[:, None]
    inputs *= (target / magnitudes[2])[:, None]
    return outputs, taps, inputs
