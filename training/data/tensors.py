"""Pictures to tensors and back: ``[N, H, W, 3]`` uint8 ↔ ``[N, 3, H, W]`` float32 in [-1, 1]."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def to_tensor(pictures: NDArray[np.uint8]) -> Tensor:
    """``[N, H, W, 3]`` uint8 → ``[N, 3, H, W]`` float32 in [-1, 1], channels-last."""
    return to_floats(torch.from_numpy(np.ascontiguousarray(pictures)), torch.device("cpu"))


def to_pictures(tensor: Tensor) -> NDArray[np.uint8]:
    """``[N, 3, H, W]`` in [-1, 1] → ``[N, H, W, 3]`` uint8; values outside are clipped."""
    scaled = tensor.detach().float().add(1).mul(127.5).round().clamp(0, 255)
    return scaled.to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()


def to_levels(tensor: Tensor) -> NDArray[np.float32]:
    """``[N, 3, H, W]`` in [-1, 1] → ``[N, H, W, 3]`` float32 grey levels, clipped to [0, 255]."""
    levels = tensor.detach().add(1).mul_(127.5).clamp_(0, 255).permute(0, 2, 3, 1)
    return np.asarray(levels.contiguous().numpy(), dtype=np.float32)


def to_floats(pictures: Tensor, device: torch.device) -> Tensor:
    """``[N, H, W, 3]`` uint8 → ``[N, 3, H, W]`` float32 in [-1, 1] on ``device``, channels-last."""
    if device.type == "cuda":  # copied as bytes, while the GPU computes
        pictures = pictures.pin_memory().to(device, non_blocking=True)
    return pictures.to(device).permute(0, 3, 1, 2).float().div_(127.5).sub_(1)
