"""Checkpoints: one folder each, written whole or not at all, read without unpickling code.

``checkpoints/step_00001200/`` holds ``G_A``, ``G_B``, ``D_A``, ``D_B`` as safetensors, the
configuration as ``config.json``, and ``state.pt`` (optimisers, pools, position) for resuming.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from scraping.records import CheckpointError, atomic_file, sync_folder, write_json
from training.config import TrainConfig
from training.networks import ResnetGenerator

_NAME = re.compile(r"step_(\d{8})")


@dataclass(frozen=True)
class Position:
    """How far a run is: ``batch`` batches of ``epoch`` (from 1) are done, ``step`` steps in all."""

    step: int
    epoch: int
    batch: int


def save_checkpoint(
    run: Path,
    position: Position,
    config: TrainConfig,
    networks: Mapping[str, nn.Module],
    state: Mapping[str, Any],
) -> Path:
    """Write ``run/checkpoints/step_<step>`` atomically, drop the oldest ones; the new folder."""
    parent = run / "checkpoints"
    final = parent / f"step_{position.step:08d}"
    if final.exists():
        return final
    partial = parent / f".{final.name}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    for name, network in networks.items():
        save_weights(partial / f"{name}.safetensors", network)
    with atomic_file(partial / "state.pt") as file:
        torch.save({**state, "position": [position.step, position.epoch, position.batch]}, file)
    write_json(partial / "config.json", config.model_dump(mode="json"))
    partial.rename(final)
    sync_folder(parent)
    for old in checkpoints(run)[config.keep_checkpoints :]:
        shutil.rmtree(old, ignore_errors=True)
    return final


def checkpoints(run: Path) -> list[Path]:
    """The run's checkpoint folders, newest first."""
    folder = run / "checkpoints"
    found = [path for path in folder.glob("step_*") if _NAME.fullmatch(path.name)]
    return sorted(found, reverse=True)


def latest_checkpoint(run: Path) -> Path | None:
    """The run's newest checkpoint folder, or ``None``."""
    return next(iter(checkpoints(run)), None)


def load_generators(
    checkpoint: Path, device: str = "cpu"
) -> tuple[nn.Module, nn.Module, TrainConfig]:
    """G_A (A → B), G_B (B → A) in evaluation mode on ``device``, and their configuration.

    Raises ``CheckpointError`` that says which file, tensor or option is wrong.
    """
    config = load_config(checkpoint)
    generators = []
    for name in ("G_A", "G_B"):
        network = ResnetGenerator(config.num_blocks, config.ngf, config.norm)
        load_weights(checkpoint / f"{name}.safetensors", network)
        generators.append(network.to(device).eval())
    return generators[0], generators[1], config


def load_config(checkpoint: Path) -> TrainConfig:
    """The configuration beside a checkpoint's weights. Raises ``CheckpointError``."""
    path = checkpoint / "config.json"
    try:
        return TrainConfig.model_validate(json.loads(path.read_text()))
    except FileNotFoundError:
        raise CheckpointError(f"{checkpoint}: found no config.json; is it a checkpoint?") from None
    except (ValueError, ValidationError) as error:
        raise CheckpointError(f"{path}: not the configuration of a checkpoint: {error}") from error


def load_state(checkpoint: Path) -> tuple[dict[str, Any], Position]:
    """What ``save_checkpoint`` got as ``state``, and the position. Raises ``CheckpointError``."""
    path = checkpoint / "state.pt"
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        return state, Position(*state["position"])
    except Exception as error:  # torch raises half a dozen types on torn files
        raise CheckpointError(f"{path}: cannot be read ({error}); it may be torn") from error


def save_weights(path: Path, network: nn.Module) -> None:
    """Write the network's state dict as safetensors, durably."""
    tensors = {key: value.contiguous().cpu() for key, value in network.state_dict().items()}
    save_file(tensors, path)
    with path.open("rb") as file:
        os.fsync(file.fileno())


def load_weights(path: Path, network: nn.Module) -> None:
    """Fill ``network`` from safetensors. Raises ``CheckpointError`` naming tensor and shapes."""
    try:
        tensors = load_file(path)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path}: cannot be read as safetensors: {error}") from error
    _check(path, network.state_dict(), tensors)
    network.load_state_dict(tensors)


def _check(path: Path, wanted: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> None:
    missing = sorted(wanted.keys() - found.keys())
    surplus = sorted(found.keys() - wanted.keys())
    if missing or surplus:
        raise CheckpointError(
            f"{path}: tensors do not fit: missing {missing[:3]}, surplus {surplus[:3]}; "
            "num_blocks or d_layers in config.json is another one than at training"
        )
    for key, tensor in wanted.items():
        if tensor.shape != found[key].shape:
            raise CheckpointError(
                f"{path}: tensor {key} has shape {list(found[key].shape)}, the configuration needs "
                f"{list(tensor.shape)}; set ngf or ndf in config.json to the value of the training"
            )
