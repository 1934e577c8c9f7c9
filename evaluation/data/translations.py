"""Held-out pictures in, translated and reconstructed pictures out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from core.files import atomic_file
from core.progress import Progress, silent

Pictures = NDArray[np.uint8]  # [N, px, px, 3], RGB


def load_pictures(dataset: Path, files: Sequence[str], px: int) -> Pictures:
    """The dataset's pictures ``files``, resized to ``px`` as the training's samples are.

    Raises ``ValueError`` for one that cannot be read.
    """
    found = np.empty((len(files), px, px, 3), np.uint8)
    for index, file in enumerate(files):
        try:
            with Image.open(dataset / file) as image:
                found[index] = resize(image.convert("RGB"), px)
        except Exception as error:  # Pillow raises half a dozen types on torn files
            raise ValueError(
                f"{dataset / file}: not a readable picture ({type(error).__name__}: {error}); "
                f"remove {dataset} and prepare again"
            ) from error
    return found


def resize(image: Image.Image, px: int) -> NDArray[np.uint8]:
    """``[px, px, 3]`` uint8; anti-aliased; untouched when it has that size."""
    if image.size != (px, px):
        image = image.resize((px, px), Image.Resampling.BICUBIC)
    return np.asarray(image)


@torch.inference_mode()
def translate(
    there: nn.Module,
    back: nn.Module,
    pictures: Pictures,
    *,
    batch_size: int = 8,
    device: str = "cpu",
    progress: Progress = silent,
) -> tuple[Pictures, Pictures]:
    """Translated and reconstructed pictures, of the shape of ``pictures``.

    The reconstruction starts from the unrounded translation, as the cycle loss does.
    """
    translated, reconstructed = np.empty_like(pictures), np.empty_like(pictures)
    for start in range(0, len(pictures), batch_size):
        part = slice(start, start + batch_size)
        inputs = torch.from_numpy(pictures[part]).to(device).permute(0, 3, 1, 2)
        outputs = there(inputs.float() / 127.5 - 1)  # [n, 3, px, px] float32 in [-1, 1]
        translated[part] = _to_uint8(outputs)
        reconstructed[part] = _to_uint8(back(outputs))
        progress("evaluate: translate", min(part.stop, len(pictures)), len(pictures), "")
    return translated, reconstructed


def _to_uint8(x: Tensor) -> NDArray[np.uint8]:
    levels = ((x + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    return np.asarray(levels.permute(0, 2, 3, 1).cpu().numpy())


def write_jpeg(path: Path, picture: NDArray[np.uint8]) -> None:
    """Write ``[H, W, 3]`` uint8 RGB as a JPEG, atomically."""
    with atomic_file(path) as file:
        Image.fromarray(picture).save(file, "JPEG", quality=90, subsampling=0)
