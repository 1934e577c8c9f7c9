"""From a configuration to a CycleGAN on its device, compiled where that pays."""

from __future__ import annotations

import importlib.util
import itertools
import random
import shutil
import sys
import sysconfig
from pathlib import Path

import torch
from torch import nn

from training.config import TrainConfig
from training.ema import MovingAverage
from training.layers import Conv3x3
from training.networks import (
    ResnetBlock,
    build_discriminator,
    build_generator,
    init_weights,
)
from training.parallel import World
from training.pool import ImagePool
from training.step import CycleGan

_LEAST_GPU_STEPS = 2000
_LEAST_CPU_WORK = 300 * 256**2 * 64**2  # pixels · ngf²: about an hour of full-size steps
_LEAST_CAPABILITY = (7, 0)  # of a GPU for which Triton compiles
_LEAST_WINOGRAD = 128  # channels, below which the transforms cost more than they save


def build(config: TrainConfig, world: World | None = None, *, to_compile: bool = False) -> CycleGan:
    """A freshly initialised CycleGAN of this configuration, on its device, not compiled yet.

    ``to_compile``: it will be, which decides how it lies in memory.
    """
    world = world or World()
    device = choose_device(config.device)
    layout = _layout(config, device, to_compile=to_compile)
    generator = torch.Generator().manual_seed(config.seed)
    G_A, G_B = (build_generator(config) for _ in range(2))
    D_A, D_B = (build_discriminator(config) for _ in range(2))
    for network in (G_A, G_B, D_A, D_B):
        init_weights(network, generator, config.init_gain, config.init)
        network.to(device).to(memory_format=layout)
    averages = {}
    if config.ema_decay > 0:
        averages = {
            name: MovingAverage(network, config.ema_decay)
            for name, network in (("G_A", G_A), ("G_B", G_B))
        }
    return CycleGan(
        config=config,
        device=device,
        G_A=G_A,
        G_B=G_B,
        D_A=D_A,
        D_B=D_B,
        optimizer_G=_adam(config, G_A, G_B),
        optimizer_D=_adam(config, D_A, D_B),
        pool_A=ImagePool(config.pool_size, random.Random(f"{config.seed} A")),
        pool_B=ImagePool(config.pool_size, random.Random(f"{config.seed} B")),
        layout=layout,
        averages=averages,
        world=world,
    )


def _layout(config: TrainConfig, device: torch.device, *, to_compile: bool) -> torch.memory_format:
    """Channels-last, but for instance norm on a CPU, uncompiled: that is slower so."""
    slower = device.type == "cpu" and config.norm == "instance" and not to_compile
    if config.channels_last and not slower:
        return torch.channels_last
    return torch.contiguous_format


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


def choose_device(name: str) -> torch.device:
    """The named device; ``auto`` takes CUDA, then Apple's MPS, then the CPU."""
    if name != "auto":
        return torch.device(name)
    if torch.cuda.is_available():
        return torch.device("cuda", torch.cuda.current_device())
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def _adam(config: TrainConfig, *networks: nn.Module) -> torch.optim.Adam:
    parameters = itertools.chain(*(network.parameters() for network in networks))
    return torch.optim.Adam(
        parameters, lr=config.learning_rate, betas=(config.beta1, 0.999), fused=config.fused_adam
    )


def plain_generators(gan: CycleGan) -> tuple[nn.Module, nn.Module]:
    """Copies of G_A and G_B in evaluation mode, not compiled: for looking, not for training."""
    copies = []
    for network in (gan.G_A, gan.G_B):
        copy = build_generator(gan.config)
        copy.load_state_dict(network.state_dict())
        copies.append(copy.to(gan.device).to(memory_format=gan.layout).eval())
    return copies[0], copies[1]


def prepare_torch(config: TrainConfig) -> None:
    """Give torch the configuration's threads and arithmetic, for this process."""
    if config.num_threads:
        torch.set_num_threads(config.num_threads)
    fast = config.precision != "float32"
    torch.backends.cuda.matmul.allow_tf32 = fast
    torch.backends.cudnn.allow_tf32 = fast
    torch.backends.cudnn.benchmark = True


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
