"""The device that a run computes on, and torch's settings for it."""

from __future__ import annotations

import functools
from typing import Literal

import torch

from training.config import TrainConfig


def choose_device(name: str) -> torch.device:
    """The named device; ``auto`` takes CUDA, then Apple's MPS, then the CPU."""
    if name != "auto":
        return torch.device(name)
    if torch.cuda.is_available():
        return torch.device("cuda", torch.cuda.current_device())
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def arithmetic_of(
    config: TrainConfig, device: torch.device
) -> Literal["float32", "tf32", "bfloat16"]:
    """The arithmetic of this configuration's convolutions on ``device``."""
    if config.precision != "auto":
        return config.precision
    return "bfloat16" if device.type == "cpu" and _has_matrix_units() else "float32"


@functools.cache
def _has_matrix_units() -> bool:
    """Whether the CPU has units that multiply matrices of bfloat16, which other CPUs emulate."""
    if not hasattr(torch.cpu, "get_capabilities"):  # older versions of torch
        return False
    return bool(torch.cpu.get_capabilities().get("amx_bf16"))


def prepare_torch(config: TrainConfig) -> None:
    """Set torch's threads and arithmetic for this process, as the configuration says."""
    if config.num_threads:
        torch.set_num_threads(config.num_threads)
    fast = arithmetic_of(config, choose_device(config.device)) != "float32"
    torch.backends.cuda.matmul.allow_tf32 = fast
    torch.backends.cudnn.allow_tf32 = fast
    torch.backends.cudnn.benchmark = True
