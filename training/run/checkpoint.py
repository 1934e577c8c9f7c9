"""Checkpoints: one folder each, written whole or not at all, read without unpickling code.

``checkpoints/step_00001200/`` holds ``G_A``, ``G_B``, ``D_A``, ``D_B`` as safetensors (and
``G_A_ema``, ``G_B_ema`` where averages are kept), the configuration as ``config.json``, and
``state.pt`` (optimisers, pools, standing) for resuming. ``best.json`` beside them names the best.
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

from core.errors import CheckpointError
from core.files import atomic_file, sync_folder, write_json
from training.config import TrainConfig
from training.models.factory import build_generator

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
    *,
    best_score: float | None = None,
) -> Path:
    """Write ``run/checkpoints/step_<step>`` atomically, drop the oldest ones; the new folder.

    ``best_score``: of the validation that makes it the run's best (lower is better), which stays
    until there is a better one. Raises ``OSError`` (a full disk), and then leaves what was there as
    it was.
    """
    parent = run / "checkpoints"
    final = parent / f"step_{position.step:08d}"
    if final.exists():
        return final
    partial = parent / f".{final.name}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        for name, network in networks.items():
            save_weights(partial / f"{name}.safetensors", network)
        with atomic_file(partial / "state.pt") as file:
            torch.save({**state, "position": [position.step, position.epoch, position.batch]}, file)
        write_json(partial / "config.json", config.model_dump(mode="json"))
        if best_score is not None:  # first: killed in between, the run makes this checkpoint again
            write_json(parent / "best.json", {"checkpoint": final.name, "score": best_score})
        partial.rename(final)
    except (OSError, RuntimeError, SafetensorError) as error:  # what torch and safetensors raise
        shutil.rmtree(partial, ignore_errors=True)
        raise OSError(f"{final} cannot be written: {error}") from error
    sync_folder(parent)
    best = best_checkpoint(run)
    for old in checkpoints(run)[config.keep_checkpoints :]:
        if old != best:
            shutil.rmtree(old, ignore_errors=True)
    return final


def best_checkpoint(run: Path) -> Path | None:
    """The run's best checkpoint folder, or ``None`` where nothing was validated."""
    try:
        name = json.loads((run / "checkpoints" / "best.json").read_text())["checkpoint"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    folder = run / "checkpoints" / str(name)
    return folder if _NAME.fullmatch(str(name)) and folder.is_dir() else None


def checkpoints(run: Path) -> list[Path]:
    """The run's checkpoint folders, newest first."""
    folder = run / "checkpoints"
    found = [path for path in folder.glob("step_*") if _NAME.fullmatch(path.name)]
    return sorted(found, reverse=True)


def latest_checkpoint(run: Path) -> Path | None:
    """The run's newest checkpoint folder, or ``None``."""
    return next(iter(checkpoints(run)), None)


def load_generators(
    checkpoint: Path, device: str = "cpu", *, averaged: bool = False
) -> tuple[nn.Module, nn.Module, TrainConfig]:
    """G_A (A → B), G_B (B → A) in evaluation mode on ``device``, and their configuration.

    ``averaged`` takes the moving averages of the weights (see ``has_averages``).
    Raises ``CheckpointError`` that says which file, tensor or option is wrong.
    """
    G_A, config = load_generator(checkpoint, "G_A", device, averaged=averaged)
    G_B, _ = load_generator(checkpoint, "G_B", device, averaged=averaged)
    return G_A, G_B, config


def load_generator(
    checkpoint: Path, name: str, device: str = "cpu", *, averaged: bool = False
) -> tuple[nn.Module, TrainConfig]:
    """One generator, ``"G_A"`` or ``"G_B"``, as ``load_generators`` gives both.

    Published models of the reference have but one direction.
    """
    config = load_config(checkpoint)
    path = checkpoint / f"{name}{'_ema' if averaged else ''}.safetensors"
    if not path.is_file():
        held = ", ".join(sorted(file.stem for file in checkpoint.glob("*.safetensors"))) or "none"
        raise CheckpointError(
            f"{checkpoint}: found no {path.name} (networks there: {held}); "
            + (
                "it was trained with ema_decay 0"
                if averaged
                else "it has the other direction alone"
            )
        )
    network = build_generator(config)
    load_weights(path, network)
    return network.to(device).eval(), config


def has_averages(checkpoint: Path) -> bool:
    """Whether moving averages of both generators lie beside the raw weights."""
    return all((checkpoint / f"{name}_ema.safetensors").is_file() for name in ("G_A", "G_B"))


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
    check_tensors(path, network.state_dict(), tensors)
    network.load_state_dict(tensors)


def check_tensors(
    path: Path,
    wanted: Mapping[str, Tensor],
    found: Mapping[str, Tensor],
    remedy: str = "set {} in config.json to the value of the training",
) -> None:
    """Raise ``CheckpointError``, saying what to change, unless both have the same tensors.

    ``remedy`` says what to do about the options that decide about them, where ``{}`` stands.
    """
    missing = sorted(wanted.keys() - found.keys())
    surplus = sorted(found.keys() - wanted.keys())
    if missing or surplus:
        options = "generator, num_blocks, norm, dropout, upsampling, discriminator or d_layers"
        raise CheckpointError(
            f"{path}: tensors do not fit: {len(missing)} missing ({_some(missing)}), "
            f"{len(surplus)} too many ({_some(surplus)}); {remedy.format(options)}"
        )
    for key, tensor in wanted.items():
        if tensor.shape != found[key].shape:
            raise CheckpointError(
                f"{path}: tensor {key} has shape {list(found[key].shape)}, needed "
                f"{list(tensor.shape)}; {remedy.format('ngf or ndf')}"
            )


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (", …" if len(names) > 3 else "") or "none"
