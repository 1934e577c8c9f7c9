"""A generator that predicts local affine transforms of colours in a bilateral grid.

A small network looks at the picture and predicts a coarse grid of 3×4 matrices over place and
brightness; every pixel takes its matrix by its place and its *guide*, a value between -1 and 1 that
depends on its own colour alone. Edges and details come from the pixel itself, so that a grid
predicted from a small view applies to the photograph at any resolution, without halos.

Sources: Gharbi et al. 2017, "Deep Bilateral Learning for Real-Time Image Enhancement" (HDRNet),
§3.2 to §3.4; Chen et al. 2016, "Bilateral Guided Upsampling". Here it is trained unpaired.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from training.config import TrainConfig
from training.models.architecture import Architecture, SliceableGenerator
from training.models.layers import Norm, ReflectConv3x3, norm_layer
from training.models.resnet import ResnetBlock

_DEPTH = 8  # cells of the grid along the guide
_CELL_PX = 2  # side of a cell of the grid, px of the view: liner and lashes are about as wide
_COEFFICIENTS = 12  # of a 3×4 matrix, row by row
_NUM_BLOCKS = 3
_LUMINANCE = (0.299, 0.587, 0.114)
_CHANNELS = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
_CONTRAST = 1.5  # of the first guide: tanh(1.5 · luminance) reaches ±0.9


class Guide(nn.Module):
    """Each pixel's position along the grid's depth, from its colour: starts near its luminance.

    tanh of a weighted sum of eight ramps over weighted channels (HDRNet's pointwise guide). The
    weights are no ``nn.Conv2d``, whose random first weights would give every pixel the same guide.
    """

    def __init__(self) -> None:
        super().__init__()
        colours = (_LUMINANCE, *_CHANNELS, *[_LUMINANCE] * 4)
        thresholds = (1.0, 1.0, 1.0, 1.0, 0.6, 0.2, -0.2, -0.6)
        # The first ramp, luminance + 1, is linear over all colours; the others begin unused.
        weights = (_CONTRAST, *[0.0] * (len(thresholds) - 1))
        self.ramp_weight = _parameter(itertools.chain(*colours), -1, 3, 1, 1)
        self.ramp_bias = _parameter(thresholds, -1)
        self.mixture_weight = _parameter(weights, 1, -1, 1, 1)
        self.mixture_bias = _parameter([-_CONTRAST], -1)

    def forward(self, x: Tensor) -> Tensor:
        """``[N, 3, H, W]`` in [-1, 1] → ``[N, H, W]`` in (-1, 1)."""
        ramps = F.relu(F.conv2d(x, self.ramp_weight, self.ramp_bias))
        return torch.tanh(F.conv2d(ramps, self.mixture_weight, self.mixture_bias))[:, 0]


class BilateralGenerator(SliceableGenerator):
    """298,441 parameters with ngf 16 and batch norm.

    With ``residual``, y = x + A·x + b, and the matrices start at zero; without, y = tanh(A·x + b).
    Features of a half, a quarter and an eighth of the view's size are added up on the way to the
    grid, which has half of its size. Several layers have no norm: small first weights would leave
    them without a signal.
    """

    weight_init = "kaiming"

    def __init__(
        self, ngf: int, norm: Norm = "instance", *, dropout: bool = False, residual: bool = False
    ) -> None:
        super().__init__(residual=residual)
        bias = norm == "instance"
        self.at_half = nn.Sequential(_halving(3, ngf, bias=True), nn.LeakyReLU(0.2))
        self.at_quarter = nn.Sequential(
            _halving(ngf, 2 * ngf, bias=bias), norm_layer(norm, 2 * ngf)
        )
        self.at_eighth = nn.Sequential(
            nn.ReLU(),
            _halving(2 * ngf, 4 * ngf, bias=bias),
            norm_layer(norm, 4 * ngf),
            nn.ReLU(),
            *(ResnetBlock(4 * ngf, norm, dropout=dropout) for _ in range(_NUM_BLOCKS)),
            ReflectConv3x3(4 * ngf, 2 * ngf),
        )
        self.from_quarter = nn.Sequential(
            nn.ReLU(), ReflectConv3x3(2 * ngf, 2 * ngf), nn.ReLU(), nn.Conv2d(2 * ngf, ngf, 1)
        )
        self.from_half = ReflectConv3x3(ngf, ngf)
        self.head = nn.Sequential(
            nn.ReLU(),
            ReflectConv3x3(ngf, ngf),
            nn.ReLU(),
            nn.Conv2d(ngf, _COEFFICIENTS * _DEPTH, 1),
        )
        self.guide = Guide()

    @property
    def output_layer(self) -> nn.Conv2d:
        """The last convolution, which predicts the matrices."""
        layer = self.head[-1]
        assert isinstance(layer, nn.Conv2d)
        return layer

    def predict_grid(self, x: Tensor) -> Tensor:
        """``[N, 3, H, W]`` in [-1, 1] → ``[N, 12, 8, H / 2, W / 2]``: matrices, unbounded.

        H and W are multiples of 8. The axes are coefficient, guide, y and x.
        """
        half = self.at_half(x)
        quarter = self.at_quarter(half)
        quarter = self.from_quarter(quarter + _enlarged(self.at_eighth(quarter), quarter))
        features = self.from_half(half) + _enlarged(quarter, half)
        return torch.unflatten(self.head(features), 1, (_COEFFICIENTS, _DEPTH))

    def draw_slice(self, grid: Tensor, pixels: Tensor, places: Tensor) -> Tensor:
        """Each pixel of ``[N, 3, H, W]`` through the matrix at its place and guide."""
        guide = self.guide(pixels).to(pixels.dtype)
        matrices = torch.unflatten(sample_grid(grid.to(pixels.dtype), guide, places), 1, (3, 4))
        linear = (matrices[:, :, :3] * pixels[:, None]).sum(dim=2)
        result = linear + matrices[:, :, 3]
        return result if self.residual else torch.tanh(result)

    def repeated_blocks(self) -> list[nn.Module]:
        """The residual blocks: half of the arithmetic."""
        return [layer for layer in self.at_eighth if isinstance(layer, ResnetBlock)]


def sample_grid(grid: Tensor, guide: Tensor, places: Tensor) -> Tensor:
    """Trilinear samples of ``grid`` ``[N, C, D, h, w]``: ``[N, C, H, W]``.

    ``guide`` ``[N, H, W]``: -1 is the centre of the first cell along D, 1 that of the last.
    ``places`` ``[N or 1, H, W, 2]``: x and y, 0 to 1 from edge to edge; the outermost cells repeat.

    The cells of D lie one below the other in one picture, of which each pixel takes two bilinear
    samples. That is the same function as a sample of five dimensions, many times as fast on a CPU,
    and every exporter knows it.
    """
    _, _, depth, height, width = grid.shape
    cells = grid.flatten(2, 3)
    z = (guide + 1) * ((depth - 1) / 2)
    below = z.detach().floor().clamp(0, depth - 2)
    x = (places[..., 0] * width - 0.5).clamp(0, width - 1)
    y = (places[..., 1] * height - 0.5).clamp(0, height - 1)
    across = (x * (2 / (width - 1)) - 1).expand_as(below)

    def sample(layer: Tensor) -> Tensor:
        down = (layer * height + y) * (2 / (depth * height - 1)) - 1
        return F.grid_sample(cells, torch.stack([across, down], dim=-1), align_corners=True)

    return torch.lerp(sample(below), sample(below + 1), (z - below)[:, None])


def _parameter(values: Iterable[float], *shape: int) -> nn.Parameter:
    """These values on torch's default device, whatever that is."""
    return nn.Parameter(torch.stack([torch.full((), value) for value in values]).reshape(shape))


def _enlarged(x: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(x, size=like.shape[2:], mode="bilinear")


def _halving(num_in: int, num_out: int, *, bias: bool) -> nn.Conv2d:
    return nn.Conv2d(num_in, num_out, 4, stride=2, padding=1, bias=bias, padding_mode="reflect")


def architecture(config: TrainConfig) -> Architecture:
    """The facts of ``build``'s network; its margin is the radius of the grid's receptive field."""
    return Architecture(
        label=f"bilateral grid, {_NUM_BLOCKS} blocks",
        multiple=8,
        least_px=16,  # the blocks pad by reflection, which needs two pixels
        margin_px=88,
        tile_px=768,
        block_channels=4 * config.ngf,
    )


def build(config: TrainConfig) -> BilateralGenerator:
    """The generator of this configuration, with torch's own first weights."""
    return BilateralGenerator(
        config.ngf, config.norm, dropout=config.dropout, residual=config.residual
    )
