"""A discriminator of faces that looks at the eyes and at the mouth too.

Make-up is a few strokes around eyes and mouth, in which a discriminator of the whole picture finds
little of its loss.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from preprocessing.analysis.face_windows import Alignment, Window
from training.models.discriminators import PatchDiscriminator
from training.models.layers import Norm

# In distances between the eyes: the window's centre below the eyes, half its width and height.
_EYES = (0.0, 1.0, 1 / 3)  # with lids and brows
_MOUTH = (0.917, 0.611, 0.361)
_LAYERS = 2  # patches of 34 px: a window is lower than the 70 px of three layers


def face_windows(alignment: Alignment) -> tuple[Window, ...]:
    """The windows of eyes and mouth in crops of this alignment."""
    return alignment.window(*_EYES), alignment.window(*_MOUTH)


class WindowDiscriminator(nn.Module):
    """A ``PatchDiscriminator`` of the whole picture, and a smaller one of each window.

    Each has an equal share of the loss.
    """

    def __init__(
        self, whole: PatchDiscriminator, windows: tuple[Window, ...], ndf: int, norm: Norm
    ) -> None:
        super().__init__()
        self._places = windows
        self.whole = whole
        self.windows = nn.ModuleList(PatchDiscriminator(_LAYERS, ndf, norm) for _ in windows)

    def features(self, x: Tensor) -> Tensor:
        """The features of the whole picture, as ``PatchDiscriminator.features``."""
        return self.whole.features(x)

    def forward(self, x: Tensor) -> Tensor:
        """``[N, 3, H, W]`` in [-1, 1] → scores ``[N, 1, 1, K]``, unbounded.

        The scores of each discriminator are repeated to the number of the largest one's, so that
        their mean weighs all alike.
        """
        parts = [self.whole(x)]
        for window, network in zip(self._places, self.windows, strict=True):
            rows, columns = window.slices(x.shape[-1])
            parts.append(network(x[..., rows, columns].contiguous()))
        scores = [part.flatten(2) for part in parts]
        num = max(part.shape[2] for part in scores)
        return torch.cat([interpolate(part, size=num) for part in scores], dim=2).unsqueeze(2)
