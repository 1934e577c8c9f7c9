"""The reference's discriminators, tensor for tensor.

Source: junyanz/pytorch-CycleGAN-and-pix2pix, ``models/networks.py``; Zhu et al. 2017, appendix 7.2.
The layers sit at the reference's positions, so that state dicts carry its keys.
"""

from __future__ import annotations

from torch import Tensor, nn

from training.models.layers import Norm, norm_layer


class PatchDiscriminator(nn.Module):
    """``n_layers``: 4×4 convolutions; three strided ones (``basic``) judge patches of 70×70 px."""

    def __init__(self, num_layers: int, ndf: int, norm: Norm = "instance") -> None:
        super().__init__()
        bias = norm != "batch"
        layers: list[nn.Module] = [
            nn.Conv2d(3, ndf, 4, stride=2, padding=1),
            nn.LeakyReLU(0.2, inplace=True),
        ]
        width = ndf
        for index in range(1, num_layers + 1):
            wider = ndf * min(2**index, 8)
            stride = 2 if index < num_layers else 1
            layers += [
                nn.Conv2d(width, wider, 4, stride=stride, padding=1, bias=bias),
                norm_layer(norm, wider),
                nn.LeakyReLU(0.2, inplace=True),
            ]
            width = wider
        layers.append(nn.Conv2d(width, 1, 4, padding=1))
        self.model = nn.Sequential(*layers)

    def features(self, x: Tensor) -> Tensor:
        """``[N, 3, H, W]`` → input of the last convolution, ``[N, C, h, w]``."""
        for layer in list(self.model)[:-1]:
            x = layer(x)
        return x

    def forward(self, x: Tensor) -> Tensor:
        """``[N, 3, H, W]`` in [-1, 1] → scores ``[N, 1, h, w]``, unbounded."""
        return self.model(x)  # type: ignore[no-any-return]


class PixelDiscriminator(nn.Module):
    """``pixel``: 1×1 convolutions, which judge each pixel by its colour (pix2pix, §3.2.2)."""

    def __init__(self, ndf: int, norm: Norm = "instance") -> None:
        super().__init__()
        bias = norm != "batch"
        self.net = nn.Sequential(
            nn.Conv2d(3, ndf, 1),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Conv2d(ndf, 2 * ndf, 1, bias=bias),
            norm_layer(norm, 2 * ndf),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Conv2d(2 * ndf, 1, 1, bias=bias),
        )

    def features(self, x: Tensor) -> Tensor:
        """``[N, 3, H, W]`` → input of the last convolution, ``[N, 2 · ndf, H, W]``."""
        for layer in list(self.net)[:-1]:
            x = layer(x)
        return x

    def forward(self, x: Tensor) -> Tensor:
        """``[N, 3, H, W]`` in [-1, 1] → scores ``[N, 1, H, W]``, unbounded."""
        return self.net(x)  # type: ignore[no-any-return]
