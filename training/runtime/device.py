"""The device that a run computes on, and torch's settings for it."""

from __future__ import annotations

import functools
from typing import Literal

import torch

from training.config import TrainConfig

_BFLOAT16_INSTRUCTIONS = ("amx_bf16", "avx512_bf16")


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
    return "bfloat16" if device.type == "cpu" and _multiplies_bfloat16() else "float32"


@functools.cache
def _multiplies_bfloat16() -> bool:
    """Whether the CPU has instructions for products of bfloat16, which other CPUs emulate."""
    if not hasattr(torch.cpu, "get_capabilities"):  # older versions of torch
        return False
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name) for name in _BFLOAT16_INSTRUCTIONS)


def prepare_torch(config: TrainConfig) -> None:
    """Set torch's threads and arithmetic for this process, as the configuration says."""
    if config.num_threads:
        torch.set_num_threads(config.num_threads)
    fast = arithmetic_of(config, choose_device(config.device)) != "float32"
    torch.backends.cuda.matmul.allow_tf32 = fast
    torch.backends.cudnn.allow_tf32 = fast
    torch.backends.cudnn.benchmark = True
