"""The device that a run computes on, and torch's settings for it."""

from __future__ import annotations

import torch

from training.config import TrainConfig


def choose_device(name: str) -> torch.device:
    """The named device; ``auto`` takes CUDA, then Apple's MPS, then the CPU."""
    if name != "auto":
        return torch.device(name)
    if torch.cuda.is_available():
        return torch.device("cuda", torch.cuda.current_device())
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def prepare_torch(config: TrainConfig) -> None:
    """Set torch's threads and arithmetic for this process, as the configuration says."""
    if config.num_threads:
        torch.set_num_threads(config.num_threads)
    fast = config.precision != "float32"
    torch.backends.cuda.matmul.allow_tf32 = fast
    torch.backends.cudnn.allow_tf32 = fast
    torch.backends.cudnn.benchmark = True
