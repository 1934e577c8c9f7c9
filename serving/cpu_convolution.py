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

_POINTS = (0.0, 1.0, -1.0, 0.5, -2.0)  # and infinity
_OUT = 4  # outputs of a tile, along each side
_TAPS = 3
_TILE = _OUT + _TAPS - 1


class Scratch:
    """Two buffers that the convolutions of a network take turns in: fresh memory costs time.

    So a network with one translates one batch at a time.
    """

    def __init__(self) -> None:
        self._buffers = (torch.empty(0), torch.empty(0))

    def take(self, num: int) -> tuple[Tensor, Tensor]:
        """Both buffers, of ``num`` float32 each; what they held is lost."""
        if self._buffers[0].numel() != num:
            self._buffers = (torch.empty(num), torch.empty(num))
        return self._buffers


class WinogradConv(nn.Module):
    """A convolution with ``weight`` ``[K, C, 3, 3]``, stride 1, no padding, channels-last.

    ``[N, C, H + 2, W + 2]`` → ``[N, K, H, W]`` float32, in channels-last order. It differs from a
    direct convolution by rounding: about 1e-5 of the outputs' standard deviation.
    """

    products: Tensor  # [36, C, K]
    bias: Tensor | None  # [K]
    forth: Tensor  # [36, 36]: a tile's pixels to the points
    back: Tensor  # [16, 36]: the points to a tile's outputs

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
        self.register_buffer("forth", torch.from_numpy(np.kron(inputs, inputs)).float())
        self.register_buffer("back", torch.from_numpy(np.kron(outputs, outputs)).float())
        self.register_buffer("bias", bias)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        n, c, height, width = (int(size) for size in x.shape)
        down, across = -(-(height - 2) // _OUT), -(-(width - 2) // _OUT)
        missing = (0, across * _OUT + 2 - width, 0, down * _OUT + 2 - height)
        if any(missing):
            x = F.pad(x, missing)
        x = x.permute(0, 2, 3, 1).contiguous()
        by_n, by_row, by_column, _ = x.stride()
        shape = (_TILE, _TILE, n, down, across, c)
        windows = x.as_strided(shape, (by_row, by_column, by_n, _OUT * by_row, _OUT * by_column, 1))
        y = self._transformed(windows, n * down * across)
        y = y.view(_OUT, _OUT, n, down, across, -1).permute(2, 3, 0, 4, 1, 5)
        y = y.reshape(n, down * _OUT, across * _OUT, -1)[:, : height - 2, : width - 2]
        if self.bias is not None:
            y = y + self.bias
        return y.permute(0, 3, 1, 2)

    def _transformed(self, windows: Tensor, num_tiles: int) -> Tensor:
        """The tiles' outputs, ``[16, num_tiles * K]``, in memory that the next call overwrites."""
        c, k = self.products.shape[1:]
        one, two = self._scratch.take(num_tiles * max(c, k) * _TILE**2)
        tiles = one[: num_tiles * c * _TILE**2]
        tiles.view(windows.shape).copy_(windows)
        points = two[: num_tiles * c * _TILE**2]
        torch.mm(self.forth, tiles.view(_TILE**2, -1), out=points.view(_TILE**2, -1))
        products = one[: num_tiles * k * _TILE**2].view(_TILE**2, num_tiles, k)
        torch.bmm(points.view(_TILE**2, num_tiles, c), self.products, out=products)
        found = two[: num_tiles * k * _OUT**2].view(_OUT**2, -1)
        return torch.mm(self.back, products.view(_TILE**2, -1), out=found)


def transforms() -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """``[4, 6]``, ``[6, 3]``, ``[6, 6]``: for outputs, weights and inputs (Aᵀ, G and Bᵀ)."""
    points = np.array(_POINTS)
    last = _TILE - 1
    outputs, taps = np.zeros((_OUT, _TILE)), np.zeros((_TILE, _TAPS))
    inputs = np.zeros((_TILE, _TILE))
    outputs[:, :last] = points ** np.arange(_OUT)[:, None]
    for i, point in enumerate(points):
        others = np.delete(points, i)
        taps[i] = point ** np.arange(_TAPS) / np.prod(point - others)
        inputs[i, :last] = polynomial.polyfromroots(others)
    outputs[-1, last] = taps[last, -1] = 1
    inputs[last] = polynomial.polyfromroots(points)
    sizes = [np.abs(outputs).max(0), np.abs(taps).max(1), np.abs(inputs).max(1)]
    even = np.prod(sizes, axis=0) ** (1 / 3)
    outputs *= even / sizes[0]
    taps *= (even / sizes[1])[:, None]
    inputs *= (even / sizes[2])[:, None]
    return outputs, taps, inputs
