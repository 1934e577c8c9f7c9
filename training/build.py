"""Builds the CycleGAN of a configuration, on its device."""

from __future__ import annotations

import random
from pathlib import Path

import torch
from torch import nn

from core.workspace_folders import DatasetFolder
from preprocessing.analysis.face_windows import Window, load_alignment
from training.algorithm.cyclegan import CycleGan
from training.algorithm.ema import MovingAverage
from training.algorithm.image_pool import ImagePool
from training.algorithm.optimizer import build_adam
from training.config import TrainConfig
from training.models.factory import build_discriminator, build_generator
from training.models.weight_init import init_weights
from training.models.window_discriminator import face_windows
from training.runtime.device import choose_device
from training.runtime.distributed import World


def build(
    config: TrainConfig,
    world: World | None = None,
    *,
    windows: tuple[Window, ...] = (),
    to_compile: bool = False,
) -> CycleGan:
    """A freshly initialised CycleGAN of this configuration, on its device, not compiled yet.

    ``windows``: the parts of a picture that discriminators look at besides the whole.
    ``to_compile``: whether it will be compiled, on which its memory layout depends.
    """
    world = world or World()
    device = choose_device(config.device)
    layout = _layout(config, device, to_compile=to_compile)
    generator = torch.Generator().manual_seed(config.seed)
    G_A, G_B = (build_generator(config) for _ in range(2))
    D_A, D_B = (build_discriminator(config, windows) for _ in range(2))
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
        optimizer_G=build_adam(config, G_A, G_B),
        optimizer_D=build_adam(config, D_A, D_B),
        pool_A=ImagePool(config.pool_size, random.Random(f"{config.seed} A")),
        pool_B=ImagePool(config.pool_size, random.Random(f"{config.seed} B")),
        layout=layout,
        averages=averages,
        world=world,
        windows=windows,
    )


def windows_of(config: TrainConfig, dataset: Path) -> tuple[Window, ...]:
    """The windows that the discriminators look at, in a training on the folder ``dataset``.

    None unless ``config.face_windows`` is on and the pictures are aligned faces.
    """
    alignment = load_alignment(DatasetFolder(dataset)) if config.face_windows else None
    return face_windows(alignment) if alignment else ()


def _layout(config: TrainConfig, device: torch.device, *, to_compile: bool) -> torch.memory_format:
    """Channels-last, except for uncompiled instance norm on a CPU, where it is slower."""
    is_slower = device.type == "cpu" and config.norm == "instance" and not to_compile
    if config.channels_last and not is_slower:
        return torch.channels_last
    return torch.contiguous_format


def plain_generators(gan: CycleGan) -> tuple[nn.Module, nn.Module]:
    """Copies of G_A and G_B in evaluation mode, not compiled, for samples and validation."""
    copies = []
    for network in (gan.G_A, gan.G_B):
        copy = build_generator(gan.config)
        copy.load_state_dict(network.state_dict())
        copies.append(copy.to(gan.device).to(memory_format=gan.layout).eval())
    return copies[0], copies[1]
