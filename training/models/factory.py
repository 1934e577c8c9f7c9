"""Builds the networks that a configuration may name.

A new generator is a module with ``build(config)`` and ``architecture(config)``, and one line of
``GENERATORS``. This module imports torch only in its functions: forms and commands read
``GENERATORS`` without waiting for it.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor, nn

    from preprocessing.analysis.face_windows import Window
    from training.config import TrainConfig
    from training.models.architecture import Architecture, Generator


@dataclass(frozen=True)
class GeneratorEntry:
    """A value of ``TrainConfig.generator``: its module, and the number of px of which both sides of
    a picture must be multiples (the ``multiple`` of its architecture).
    """

    module: str
    multiple: int


GENERATORS = {
    "resnet": GeneratorEntry("training.models.resnet", multiple=4),
    "unet_128": GeneratorEntry("training.models.unet", multiple=128),
    "unet_256": GeneratorEntry("training.models.unet", multiple=256),
    "fine_unet": GeneratorEntry("training.models.fine_unet", multiple=128),
    "bilateral": GeneratorEntry("training.models.bilateral", multiple=8),
}


def build_generator(config: TrainConfig) -> Generator:
    """A generator of this configuration, on the CPU, with torch's own first weights."""
    network: Generator = _module(config.generator).build(config)
    return network


def architecture_of(config: TrainConfig) -> Architecture:
    """The facts of the generator of this configuration."""
    facts: Architecture = _module(config.generator).architecture(config)
    return facts


def recognise_generator(tensors: Mapping[str, Tensor]) -> dict[str, Any] | None:
    """The fields of a ``TrainConfig`` whose generator has the reference's state dict ``tensors``.

    ``None`` if they belong to no generator of the reference. Raises ``ValueError`` for a variant
    that is not supported.
    """
    for name in dict.fromkeys(entry.module for entry in GENERATORS.values()):
        recognise = getattr(importlib.import_module(name), "recognise", None)
        fields: dict[str, Any] | None = recognise(tensors) if recognise else None
        if fields is not None:
            return fields
    return None


def build_discriminator(config: TrainConfig, windows: tuple[Window, ...] = ()) -> nn.Module:
    """A discriminator of this configuration, on the CPU, with torch's own first weights.

    With ``windows`` it looks at these parts of the picture too.
    """
    from training.models.discriminators import (  # noqa: PLC0415 - with torch
        PatchDiscriminator,
        PixelDiscriminator,
    )
    from training.models.layers import normalise_weights  # noqa: PLC0415

    is_spectral = config.discriminator_norm == "spectral"
    norm = "none" if is_spectral else config.norm
    network: nn.Module
    if config.discriminator == "pixel":
        network = PixelDiscriminator(config.ndf, norm)
    else:
        network = whole = PatchDiscriminator(config.d_layers, config.ndf, norm)
        if windows:
            from training.models.window_discriminator import WindowDiscriminator  # noqa: PLC0415

            network = WindowDiscriminator(whole, windows, config.ndf, norm)
    if is_spectral:
        normalise_weights(network)
    return network


def _module(generator: str) -> ModuleType:
    return importlib.import_module(GENERATORS[generator].module)
