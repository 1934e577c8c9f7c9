"""The parts of pictures that judges look at, as tensors of a fixed size."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import interpolate

from evaluation.arrays import Pictures
from evaluation.judges.judge_kinds import View
from evaluation.metrics.windows import windows
from preprocessing.analysis.face_windows import Alignment

_LEAST_PX = 8  # of a side of a resized view


def cut_view(pictures: Pictures, view: View, alignment: Alignment | None) -> Pictures:
    """The view of ``[N, px, px, 3]`` pictures; eyes and mouth need an ``alignment``."""
    if view is View.WHOLE:
        return pictures
    assert alignment is not None
    return windows(alignment)[view].cut(pictures)


def resized(pictures: Tensor, longer_px: int, *, enlarges: bool) -> Tensor:
    """``[N, H, W, 3]`` uint8 → ``[N, 3, h, w]`` float32 in [-1, 1], of this longer side."""
    x = pictures.permute(0, 3, 1, 2).float() / 127.5 - 1
    height, width = x.shape[2:]
    scale = longer_px / max(height, width)
    if scale == 1 or (scale > 1 and not enlarges):
        return x
    size = [max(_LEAST_PX, round(scale * side)) for side in (height, width)]
    return interpolate(x, size=size, mode="bilinear", align_corners=False, antialias=True)
