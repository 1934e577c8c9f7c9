"""Translating pictures with a pair of generators."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from core.progress import Progress, silent
from evaluation.arrays import Pictures
from training.data.tensors import to_floats, to_pictures
from training.models.architecture import Generator


@torch.inference_mode()
def translate(
    forward: nn.Module,
    backward: nn.Module,
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
        inputs = to_floats(torch.from_numpy(pictures[part]), torch.device(device))
        outputs = forward(inputs)  # [n, 3, px, px] float32 in [-1, 1]
        translated[part] = to_pictures(outputs)
        reconstructed[part] = to_pictures(backward(outputs))
        progress("evaluate: translate", min(part.stop, len(pictures)), len(pictures), "")
    return translated, reconstructed


@torch.inference_mode()
def translate_with_strengths(
    generator: Generator, pictures: Pictures, strengths: Sequence[float], *, device: str = "cpu"
) -> list[Pictures]:
    """Translations with each strength, in their order and of the shape of ``pictures``.

    The network runs once for all of them. ``pictures`` are one batch.
    """
    inputs = to_floats(torch.from_numpy(pictures), torch.device(device))
    drawn = generator.draw(inputs)
    return [to_pictures(generator.combine(inputs, drawn, strength)) for strength in strengths]
