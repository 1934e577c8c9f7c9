"""Sample grids: the same few pictures, translated and reconstructed, during a training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from core.labels.ai_label import AiLabel
from core.picture_grid import Tile, draw_grid, save_jpeg
from core.pictures import find_pictures
from core.workspace_folders import DatasetFolder
from training.data.picture_folder import load_pictures
from training.data.tensors import to_pictures, to_tensor

_NUM_PICTURES = 4  # of each side
_NUM_COLUMNS = 6
_JPEG_QUALITY = 90


class SampleGrid:
    """A few fixed test pictures of each side (training pictures where there are no test ones)."""

    def __init__(self, dataset: Path, px: int) -> None:
        self._a, self._b = (_load_samples(DatasetFolder(dataset), side, px) for side in "AB")

    @torch.no_grad()
    def write(
        self, path: Path, G_A: nn.Module, G_B: nn.Module, device: torch.device
    ) -> tuple[NDArray[np.uint8], float]:
        """Write one JPEG with a row for each picture: A, translated, reconstructed | B, the same.

        Returns the grid, ``[H, W, 3]`` uint8, and the variety of the translations: their spread
        divided by that of the pictures, in the worse direction (near 0: collapsed generators).
        ``G_A`` and ``G_B`` are in evaluation mode.
        """
        a, b = self._a.to(device), self._b.to(device)
        fake_b, fake_a = G_A(a), G_B(b)
        columns = [
            to_pictures(column) for column in (a, fake_b, G_B(fake_b), b, fake_a, G_A(fake_a))
        ]
        rows = [
            [Tile(Image.fromarray(picture)) for picture in row]
            for row in zip(*columns, strict=False)  # as many rows as the smaller side has pictures
        ]
        grid = draw_grid(rows)
        save_jpeg(path, grid, _JPEG_QUALITY, AiLabel())
        return np.asarray(grid), min(_variety(fake_b, a), _variety(fake_a, b))


def first_row(grid: Image.Image) -> Image.Image:
    """The uppermost row of a grid that ``SampleGrid`` wrote, with the gaps around it."""
    column_px, border_px = divmod(grid.width, _NUM_COLUMNS)  # older grids have no border
    return grid.crop((0, 0, grid.width, min(grid.height, border_px + column_px)))


def _load_samples(dataset: DatasetFolder, side: str, px: int) -> Tensor:
    folder = dataset.split(f"test{side}")
    if not find_pictures(folder):
        folder = dataset.split(f"train{side}")
    return to_tensor(load_pictures(folder, px, limit=_NUM_PICTURES))


def _variety(translated: Tensor, inputs: Tensor) -> float:
    """Mean spread of pixels over pictures, translated over input; 1 for a single picture."""
    if len(inputs) < 2:
        return 1.0
    spread = inputs.std(dim=0).mean()
    return float(translated.std(dim=0).mean() / spread) if spread > 0 else 1.0
