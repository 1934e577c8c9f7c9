"""Gives a training the weights of its starting point."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from core.commands import suyan_command
from core.errors import CheckpointError
from core.language.messages import localised
from core.workspace_folders import RunFolder
from training.algorithm.cyclegan import NETWORKS, CycleGan
from training.config import TrainConfig
from training.models.factory import build_generator
from training.run.checkpoint import load_config
from training.run.starting_point import GENERATORS, StartingPoint, shapes_in

_logger = logging.getLogger(__name__)
_LEAST_SHARE = 0.5  # of a generator's weights that must fit
_NUM_NAMED = 3  # tensors in a message


def load_starting_point(gan: CycleGan, run: Path) -> None:
    """Give ``gan`` the weights of the run's starting point, and log how many of them fit.

    A tensor is taken where name and shape agree. Discriminators that are not there, or do not fit,
    keep their random weights. Raises ``CheckpointError`` for generators of another kind, or of
    which less than half fits.
    """
    folder = RunFolder(run).starting_point
    if not folder.path.is_dir():
        raise CheckpointError(
            localised(
                "{path} is missing, which holds the weights of {init_from}; '{command}' "
                "copies them",
                path=folder.path,
                init_from=gan.config.init_from,
                command=suyan_command("train", "--init-from", "MODEL"),
            )
        )
    initial = load_config(folder.path)
    _check_kind(gan.config, initial, folder.path)
    networks = gan.networks()
    for name in NETWORKS:
        file = folder.weights(name)
        if not file.is_file():
            if gan.world.is_first:
                _logger.warning(
                    localised("%s: no %s there; it starts with random weights"), folder.path, name
                )
            continue
        least = _LEAST_SHARE if name in GENERATORS else 0.0
        left = _load_fitting(file, networks[name], least, initial)
        if left and gan.world.is_first:
            _logger.warning(
                localised("%s: these tensors start with random weights: %s"), file, left
            )
        if f"{name}_ema" in networks:
            networks[f"{name}_ema"].load_state_dict(networks[name].state_dict())


def check_fit(config: TrainConfig, start: StartingPoint) -> None:
    """Raise ``CheckpointError`` where ``load_starting_point`` would refuse the generators of
    ``start`` for their kind or shapes; reads the heads of their files, and writes nothing.
    """
    initial = load_config(start.folder)
    _check_kind(config, initial, start.folder)
    with torch.device("meta"):
        shapes = _shapes(build_generator(config))
    for file in start.generators():
        _check_shapes(file, shapes_in(file), shapes, _LEAST_SHARE, initial)


def _check_kind(config: TrainConfig, initial: TrainConfig, folder: Path) -> None:
    """Raise ``CheckpointError`` where the weights mean something else in this configuration."""
    differing = [
        f"{field} {getattr(initial, field)} (this training: {getattr(config, field)})"
        for field in ("generator", "residual", "upsampling", "norm")
        if getattr(initial, field) != getattr(config, field)
    ]
    if differing:
        raise CheckpointError(
            localised(
                "{folder}: the model to start from has {names}; set the same, for example "
                "with --set, or start from another model",
                folder=folder,
                names=", ".join(differing),
            )
        )


def _shapes(network: nn.Module) -> dict[str, list[int]]:
    return {key: list(value.shape) for key, value in network.state_dict().items()}


def _check_shapes(
    file: Path,
    shapes: Mapping[str, list[int]],
    needed: Mapping[str, list[int]],
    least_share: float,
    initial: TrainConfig,
) -> None:
    """Raise ``CheckpointError`` where less than ``least_share`` of the numbers ``needed`` fit."""
    misfits = [key for key, shape in needed.items() if shapes.get(key) != shape]
    num = sum(map(math.prod, needed.values()))
    num_fitting = num - sum(math.prod(needed[key]) for key in misfits)
    if num_fitting >= least_share * num:
        return
    raise CheckpointError(
        localised(
            "{file}: {share:.0%} of its weights fit this training, needed "
            "{least_share:.0%}; {other}: found {shape}, needed {needed}. Set ngf and "
            "num_blocks to those of the model ({values})",
            file=file,
            share=num_fitting / num,
            least_share=least_share,
            other=misfits[0],
            shape=shapes.get(misfits[0], "no such tensor"),
            needed=needed[misfits[0]],
            values=f"ngf={initial.ngf}, num_blocks={initial.num_blocks}",
        )
    )


def _load_fitting(file: Path, network: nn.Module, least_share: float, initial: TrainConfig) -> str:
    """Load the tensors whose name and shape fit; returns the names of the others, shortened.

    Raises ``CheckpointError`` where less than ``least_share`` of the network's numbers fit.
    """
    try:
        tensors = load_file(file)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            localised("{file}: cannot be read as safetensors: {error}", file=file, error=error)
        ) from error
    expected: Mapping[str, Tensor] = network.state_dict()
    fitting = {
        key: tensors[key]
        for key, value in expected.items()
        if key in tensors and tensors[key].shape == value.shape
    }
    if not all(bool(torch.isfinite(value).all()) for value in fitting.values()):
        raise CheckpointError(localised("{file}: holds numbers that are not finite", file=file))
    shapes = {key: list(value.shape) for key, value in tensors.items()}
    _check_shapes(file, shapes, _shapes(network), least_share, initial)
    network.load_state_dict({**expected, **fitting})
    missing = [key for key in expected if key not in fitting]
    more = f" and {len(missing) - _NUM_NAMED} more" if len(missing) > _NUM_NAMED else ""
    return ", ".join(missing[:_NUM_NAMED]) + more
