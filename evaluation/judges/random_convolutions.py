"""A judge that nothing trained: layers of random filters of a fixed seed.

Random features with a kernel on top tell textures and colours at several scales apart, and no
training can have fitted itself to them.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import conv2d, pad, relu

from evaluation.arrays import Array
from evaluation.features.extractor import Extractor
from evaluation.judges.judge import JudgedPictures
from evaluation.judges.judge_kinds import JudgeKind, View
from evaluation.judges.picture_views import cut_view, resized
from preprocessing.analysis.face_windows import Alignment

_WIDTHS = (32, 48, 64, 96)  # filters of each layer, which halves the picture
_PX = 128  # longer side of a view, at most
_SEED = 20
_BATCH_SIZE = 16
_GAIN = 2**0.5  # ReLU keeps half of the variance


class RandomConvolutions:
    """The judge; its features of pictures are cached in the folder ``cache``."""

    kind = JudgeKind.RANDOM_CONVOLUTIONS
    decorrelates = True

    def __init__(self, alignment: Alignment | None, cache: Path, device: str) -> None:
        self._alignment = alignment
        self._filters = [filters.to(device) for filters in random_filters()]
        self._extractor = Extractor(
            key="random convolutions",
            name="random convolutions",
            identity=f"random convolutions {_WIDTHS}, at most {_PX} px, seed {_SEED}, 1",
            comparable_with_published=False,
            num_features=2 * sum(_WIDTHS),
            network=self._extract,
            device=device,
            batch_size=_BATCH_SIZE,
            cache=cache,
        )

    def features(self, judged: JudgedPictures, view: View) -> Array:
        """Mean and deviation of each filter's response: ``[N, 480]``."""
        return self._extractor(cut_view(judged.pictures, view, self._alignment))

    def unlearned(self, num: int) -> NDArray[np.int_]:
        """All ``num`` pictures."""
        return np.arange(num)

    def _extract(self, pictures: Tensor) -> Tensor:
        x = resized(pictures, _PX, enlarges=False)
        pooled = []
        for filters in self._filters:
            edge = filters.shape[-1] // 2
            padded = pad(x, (edge, edge, edge, edge), mode="replicate")
            x = _GAIN * relu(conv2d(padded, filters, stride=2))
            flat = x.flatten(2)
            pooled += [flat.mean(dim=2), flat.std(dim=2, correction=0)]
        return torch.cat(pooled, dim=1)


def random_filters() -> list[Tensor]:
    """The filters ``[out, in, k, k]`` of each layer, of length 1; half of the first are edges."""
    rng = np.random.default_rng(_SEED)
    layers, channels = [], 3
    for number, width in enumerate(_WIDTHS):
        size = 5 if number == 0 else 3
        filters = rng.standard_normal((width, channels, size, size))
        if number == 0:
            filters[::2] -= filters[::2].mean(axis=(1, 2, 3), keepdims=True)
        filters /= np.linalg.norm(filters.reshape(width, -1), axis=1)[:, None, None, None]
        layers.append(torch.from_numpy(filters.astype(np.float32)))
        channels = width
    return layers
