"""Sample grids: the same few pictures, translated and reconstructed, as training goes on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from core.files import atomic_file
from training.data.dataset import load_pictures
from training.data.tensors import to_pictures, to_tensor

_NUM_PICTURES = 4
_GAP_PX = 4


class Samples:
    """A few fixed test pictures of each side (training pictures where there are no test ones)."""

    def __init__(self, dataset: Path, px: int) -> None:
        self._a = self._pick(dataset, "A", px)
        self._b = self._pick(dataset, "B", px)

    @staticmethod
    def _pick(dataset: Path, side: str, px: int) -> Tensor:
        test = dataset / f"test{side}"
        folder = test if test.is_dir() and any(test.iterdir()) else dataset / f"train{side}"
        return to_tensor(load_pictures(folder, px, limit=_NUM_PICTURES))

    @torch.no_grad()
    def write(
        self, path: Path, G_A: nn.Module, G_B: nn.Module, device: torch.device
    ) -> tuple[NDArray[np.uint8], float]:
        """Write one JPEG: a row a picture; A, translated, reconstructed | B, the same.

        Returns the grid, ``[H, W, 3]``, and how much translations of different pictures differ, as
        a share of how much the pictures do (the smaller of both directions; near 0: collapse).
        ``G_A`` and ``G_B`` are in evaluation mode.
        """
        a, b = self._a.to(device), self._b.to(device)
        fake_b, fake_a = G_A(a), G_B(b)
        columns = [a, fake_b, G_B(fake_b), b, fake_a, G_A(fake_a)]
        grid = _grid([to_pictures(column) for column in columns])
        with atomic_file(path) as file:
            Image.fromarray(grid).save(file, "JPEG", quality=90)
        return grid, min(_variety(fake_b, a), _variety(fake_a, b))


def _variety(translated: Tensor, inputs: Tensor) -> float:
    """Mean spread of pixels over pictures, translated over input; 1 for a single picture."""
    if len(inputs) < 2:
        return 1.0
    spread = inputs.std(dim=0).mean()
    return float(translated.std(dim=0).mean() / spread) if spread > 0 else 1.0


def _grid(columns: list[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Columns of ``[N, H, W, 3]`` → one picture on white."""
    rows = min(len(column) for column in columns)
    padded = [
        np.pad(column[:rows], ((0, 0), (0, _GAP_PX), (0, _GAP_PX), (0, 0)), constant_values=255)
        for column in columns
    ]
    return np.concatenate([np.concatenate(list(column), axis=0) for column in padded], axis=1)
