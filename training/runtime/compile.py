"""Compilation of networks by ``torch.compile``, for runs that are long enough to gain by it."""

from __future__ import annotations

import importlib.util
import shutil
import sys
import sysconfig
from pathlib import Path

import torch
from torch import nn

from training.algorithm.cyclegan import CycleGan
from training.config import TrainConfig
from training.models.factory import architecture_of
from training.models.layers import Conv3x3
from training.runtime.device import arithmetic_of, choose_device

_LEAST_GPU_STEPS = 2000
_LEAST_CPU_WORK = 300 * 256**2 * 64**2  # pixels · ngf²: about an hour of full-size steps
_LEAST_CAPABILITY = (7, 0)  # of a GPU for which Triton compiles
_LEAST_WINOGRAD_CHANNELS = 128  # with fewer channels, the transforms cost more than they save


def should_compile(config: TrainConfig, num_steps: int) -> bool:
    """Whether the configuration asks to compile or, with ``auto``, compiling saves time.

    ``num_steps`` is the length of the whole run, so that a resumed run decides as an uninterrupted
    one does.
    """
    device = choose_device(config.device)
    if config.compile != "auto":
        return config.compile == "on"
    if "crop" not in config.preprocess or not can_compile(device):
        return False  # without crops, each size of picture would be compiled
    if device.type == "cuda":
        return num_steps >= _LEAST_GPU_STEPS
    pixels = num_steps * config.batch_size * config.crop_px**2
    is_large = architecture_of(config).block_channels >= _LEAST_WINOGRAD_CHANNELS
    return is_large and pixels * config.ngf**2 >= _LEAST_CPU_WORK


def can_compile(device: torch.device) -> bool:
    """Whether torch's compiler works here: C++ compiler, Python's headers, a known GPU."""
    if sys.platform == "win32" or not Path(sysconfig.get_path("include"), "Python.h").exists():
        return False
    if device.type == "cuda":
        return (
            importlib.util.find_spec("triton") is not None
            and torch.cuda.get_device_capability(device) >= _LEAST_CAPABILITY
            and any(shutil.which(name) for name in ("gcc", "clang"))
        )
    return device.type == "cpu" and shutil.which("c++") is not None


def compile_networks(gan: CycleGan) -> None:
    """Compile networks in place: on a GPU all of them, on a CPU the generators' repeated blocks.

    Repeated blocks share one graph for each shape, and their convolutions run by Winograd's
    algorithm.
    """
    config = gan.config
    if gan.device.type == "cpu":
        is_exact = arithmetic_of(config, gan.device) == "float32"
        may_use_winograd = config.winograd and is_exact
        for block in gan.G_A.repeated_blocks() + gan.G_B.repeated_blocks():
            for module in block.modules():
                if isinstance(module, Conv3x3):
                    is_wide = module.in_channels >= _LEAST_WINOGRAD_CHANNELS
                    module.winograd = may_use_winograd and is_wide
            block.compile(dynamic=False)
        return
    mode = "reduce-overhead" if config.cuda_graphs else "default"
    if config.cuda_graphs:
        allocate_gradients(gan)
    networks: list[nn.Module] = [gan.G_A, gan.G_B]
    if config.gan_loss != "wgangp":  # compiled code cannot be differentiated twice
        networks += [gan.D_A, gan.D_B]
    for network in networks:
        network.compile(dynamic=False, mode=mode)


def allocate_gradients(gan: CycleGan) -> None:
    """Allocate zero gradients outside of the CUDA graphs' memory.

    A graph would put gradients where the next graph writes, and both discriminators' graphs run
    before their optimiser steps.
    """
    for network in (gan.G_A, gan.G_B, gan.D_A, gan.D_B):
        for parameter in network.parameters():
            parameter.grad = torch.zeros_like(parameter)
