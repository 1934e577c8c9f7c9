"""What of a run ``torch.compile`` makes faster, and when that pays."""

from __future__ import annotations

import importlib.util
import shutil
import sys
import sysconfig
from pathlib import Path

import torch

from training.algorithm.cyclegan import CycleGan
from training.config import TrainConfig
from training.models.layers import Conv3x3
from training.models.resnet import ResnetBlock
from training.runtime.device import choose_device

_LEAST_GPU_STEPS = 2000

_LEAST_CPU_WORK = 300 * 256**2 * 64**2  # pixels · ngf²: about an hour of full-size steps

_LEAST_CAPABILITY = (7, 0)  # of a GPU for which Triton compiles

_LEAST_WINOGRAD = 128  # channels, below which the transforms cost more than they save


def should_compile(config: TrainConfig, num_steps: int) -> bool:
    """Whether compiling is wanted, or (``auto``) will save more time than it takes.

    ``num_steps``: of the whole run, so that a resumed one computes what an uninterrupted one does.
    """
    device = choose_device(config.device)
    if config.compile != "auto":
        return config.compile == "on"
    if "crop" not in config.preprocess or not _can_compile(device):
        return False  # a graph for each size of picture would be compiled
    if device.type == "cuda":
        return num_steps >= _LEAST_GPU_STEPS
    pixels = num_steps * config.batch_size * config.crop_px**2
    large = config.generator == "resnet" and 4 * config.ngf >= _LEAST_WINOGRAD
    return large and pixels * config.ngf**2 >= _LEAST_CPU_WORK


def _can_compile(device: torch.device) -> bool:
    """Whether what torch's compiler needs is here: a compiler, Python's headers, a GPU it knows."""
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
    """``torch.compile`` in place what gains by it.

    On a CPU that is a resnet's blocks, with Winograd convolutions: nine tenths of a step's
    arithmetic, and a single graph for each shape, since all blocks share it. On a GPU, every
    network.
    """
    config = gan.config
    if gan.device.type == "cpu":
        exact = config.winograd and config.precision == "float32"
        for network in (gan.G_A, gan.G_B):
            for module in network.modules():
                if isinstance(module, Conv3x3):
                    module.winograd = exact and module.in_channels >= _LEAST_WINOGRAD
                elif isinstance(module, ResnetBlock):
                    module.compile(dynamic=False)
        return
    mode = "reduce-overhead" if config.cuda_graphs else "default"
    if config.cuda_graphs:
        allocate_gradients(gan)
    networks = [gan.G_A, gan.G_B]
    if config.gan_loss != "wgangp":  # compiled code cannot be differentiated twice
        networks += [gan.D_A, gan.D_B]
    for network in networks:
        network.compile(dynamic=False, mode=mode)


def allocate_gradients(gan: CycleGan) -> None:
    """Zero gradients in memory of their own: a CUDA graph would put them where the next one writes.

    The discriminators' graphs run one after the other, and only then does their optimiser step.
    """
    for network in (gan.G_A, gan.G_B, gan.D_A, gan.D_B):
        for parameter in network.parameters():
            parameter.grad = torch.zeros_like(parameter)
