"""Checkpoints: one folder each, written whole or not at all, read without unpickling.

``checkpoints/step_00001200/`` holds ``G_A``, ``G_B``, ``D_A``, ``D_B`` as safetensors (and
``G_A_ema``, ``G_B_ema`` where averages are kept), the configuration as ``config.json``, and
``state.pt`` (optimisers, pools, ``TrainState``) for resuming. ``best.json`` beside the folders
names the best one.
"""

from __future__ import annotations

import re
import shutil
import zipfile
import zlib
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
from core.files import atomic_file, load_json, sync_file, sync_folder, try_load_json, write_json
from core.language.messages import localised
from core.workspace_folders import CheckpointFolder, RunFolder
from training.config import TrainConfig
from training.models.architecture import Generator
from training.models.factory import build_generator
from training.run.strengths import load_strengths

TORN_PREFIX = "torn-"
"""The prefix of a checkpoint folder that could not be read."""

_NAME = re.compile(r"step_\d{8}")
_MAX_NAMES = 3  # of tensors in a message


@dataclass(frozen=True)
class Position:
    """The position in a run: ``step`` steps are done, the last ``batch`` of them in ``epoch``."""

    step: int
    epoch: int  # from 1; 0: the supervised steps
    batch: int


def save_checkpoint(
    run: Path,
    position: Position,
    config: TrainConfig,
    weights: Mapping[str, Mapping[str, Tensor]],
    state: Mapping[str, Any],
    *,
    best_score: float | None = None,
) -> Path:
    """Write ``run/checkpoints/step_<step>`` atomically, remove the oldest; returns the folder.

    ``weights`` are the networks' state dicts by the networks' names.
    ``best_score`` is the score of the validation that makes this checkpoint the run's best (lower
    is better); the best one is kept until there is a better one. Raises ``OSError`` where it cannot
    be written (a full disk); earlier checkpoints are then untouched.
    """
    folder = RunFolder(run)
    final = folder.checkpoint(f"step_{position.step:08d}").path
    best = {"checkpoint": final.name, "score": best_score}
    if final.exists():
        if best_score is not None:
            write_json(folder.best, best)
        return final
    partial = CheckpointFolder(folder.checkpoints / f".{final.name}.partial")
    shutil.rmtree(partial.path, ignore_errors=True)
    try:
        partial.path.mkdir(parents=True)
        for name, tensors in weights.items():
            save_tensors(partial.weights(name), tensors)
        with atomic_file(partial.state) as file:
            torch.save({**state, "position": [position.step, position.epoch, position.batch]}, file)
        write_json(partial.config, config.model_dump(mode="json"))
        if best_score is not None:  # first: a run killed in between saves again
            write_json(folder.best, best)
        partial.path.rename(final)
    except (OSError, RuntimeError, SafetensorError) as error:  # the errors of torch and safetensors
        shutil.rmtree(partial.path, ignore_errors=True)
        raise OSError(
            localised("{final} cannot be written: {error}", final=final, error=error)
        ) from error
    sync_folder(folder.checkpoints)
    _remove_oldest(run, config.keep_checkpoints)
    return final


def _remove_oldest(run: Path, num_kept: int) -> None:
    try:
        best = best_checkpoint(run)
    except OSError:  # without its name, the best one could be removed
        return
    for old in checkpoints(run)[num_kept:]:
        if old != best:
            shutil.rmtree(old, ignore_errors=True)


def best_checkpoint(run: Path) -> Path | None:
    """The run's best checkpoint folder, or ``None`` where nothing was validated."""
    name = str((try_load_json(RunFolder(run).best) or {}).get("checkpoint"))
    folder = RunFolder(run).checkpoint(name).path
    return folder if _NAME.fullmatch(name) and folder.is_dir() else None


def checkpoints(run: Path) -> list[Path]:
    """The run's checkpoint folders, newest first. Raises ``OSError`` if they cannot be listed."""
    try:
        folders = list(RunFolder(run).checkpoints.iterdir())  # a glob would find none in silence
    except FileNotFoundError:
        return []
    return sorted((path for path in folders if _NAME.fullmatch(path.name)), reverse=True)


def latest_checkpoint(run: Path) -> Path | None:
    """The run's newest checkpoint folder, or ``None``."""
    return next(iter(checkpoints(run)), None)


def load_generators(
    checkpoint: Path, device: str = "cpu", *, averaged: bool = False
) -> tuple[Generator, Generator, TrainConfig]:
    """G_A (A → B), G_B (B → A) in evaluation mode on ``device``, and their configuration.

    ``averaged`` takes the moving averages of the weights (see ``has_averages``). Generators of a
    stored model have the strengths that were stored with it.
    Raises ``CheckpointError`` that names the wrong file, tensor or option.
    """
    G_A, config = load_generator(checkpoint, "G_A", device, averaged=averaged)
    G_B, _ = load_generator(checkpoint, "G_B", device, averaged=averaged)
    return G_A, G_B, config


def load_generator(
    checkpoint: Path, name: str, device: str = "cpu", *, averaged: bool = False
) -> tuple[Generator, TrainConfig]:
    """``"G_A"`` or ``"G_B"``, in evaluation mode on ``device``, and its configuration.

    It also reads models of one direction, such as the reference publishes. A stored model's
    generator has its stored strength.

    Raises ``CheckpointError`` as ``load_generators`` does.
    """
    config = load_config(checkpoint)
    path = CheckpointFolder(checkpoint).weights(f"{name}_ema" if averaged else name)
    if not path.is_file():
        networks = ", ".join(sorted(file.stem for file in checkpoint.glob("*.safetensors")))
        reason = (
            "it was trained with ema_decay 0" if averaged else "it has the other direction alone"
        )
        raise CheckpointError(
            localised(
                "{checkpoint}: found no {name} (networks there: {networks}); {reason}",
                checkpoint=checkpoint,
                name=path.name,
                networks=networks or localised("none"),
                reason=reason,
            )
        )
    network = build_generator(config)
    load_weights(path, network)
    network.strength = load_strengths(checkpoint)[name]
    return network.to(device).eval(), config


def has_averages(checkpoint: Path) -> bool:
    """Whether moving averages of both generators lie beside the raw weights."""
    folder = CheckpointFolder(checkpoint)
    return all(folder.weights(f"{name}_ema").is_file() for name in ("G_A", "G_B"))


def load_config(checkpoint: Path) -> TrainConfig:
    """The configuration beside a checkpoint's weights. Raises ``CheckpointError``."""
    path = CheckpointFolder(checkpoint).config
    try:
        return TrainConfig.model_validate(load_json(path))
    except FileNotFoundError:
        raise CheckpointError(
            localised(
                "{checkpoint}: found no config.json; is it a checkpoint?", checkpoint=checkpoint
            )
        ) from None
    except (ValueError, ValidationError) as error:
        raise CheckpointError(
            localised(
                "{path}: not the configuration of a checkpoint: {error}", path=path, error=error
            )
        ) from error


def load_state(checkpoint: Path) -> tuple[dict[str, Any], Position]:
    """``state`` and ``position`` of ``save_checkpoint``, on the CPU.

    Raises ``CheckpointError`` for a file that is missing or torn, and ``OSError``, ``RuntimeError``
    or ``MemoryError`` where a whole file cannot be read for another reason.
    """
    path = CheckpointFolder(checkpoint).state
    if not _is_whole(path):
        raise CheckpointError(localised("{path}: cannot be read: it is missing or torn", path=path))
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        return state, Position(*state["position"])
    except (OSError, RuntimeError, MemoryError):
        raise
    except Exception as error:  # whatever torch raises for the content of a whole file
        raise CheckpointError(
            localised("{path}: is no state of a training ({error})", path=path, error=error)
        ) from error


def _is_whole(path: Path) -> bool:
    """Whether a file of ``torch.save`` has the checksums that it says; torch does not check them.

    Raises ``OSError`` where it cannot be read.
    """
    try:
        with zipfile.ZipFile(path) as file:
            return file.testzip() is None
    except (FileNotFoundError, zipfile.BadZipFile, zlib.error, EOFError):
        return False


def save_weights(path: Path, network: nn.Module) -> None:
    """Write the network's state dict as safetensors and flush it to disk."""
    save_tensors(path, network.state_dict())


def save_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write named tensors as safetensors and flush them to disk."""
    save_file({key: value.contiguous().cpu() for key, value in tensors.items()}, path)
    sync_file(path)


def load_weights(path: Path, network: nn.Module) -> None:
    """Fill ``network`` from safetensors.

    Raises ``CheckpointError`` for a file that is missing or torn, or that names tensor and shapes;
    ``OSError`` for one that cannot be opened.
    """
    try:
        path.open("rb").close()  # safetensors reports every such error as a missing file
        tensors = load_file(path)
    except (FileNotFoundError, SafetensorError) as error:
        raise CheckpointError(
            localised("{path}: cannot be read as safetensors: {error}", path=path, error=error)
        ) from error
    check_tensors(path, tensors, network.state_dict())
    network.load_state_dict(tensors)


def check_tensors(
    path: Path,
    tensors: Mapping[str, Tensor],
    expected: Mapping[str, Tensor],
    remedy: str = "set {} in config.json to the value of the training",
) -> None:
    """Raise ``CheckpointError`` unless ``tensors``, read from ``path``, have the names and shapes
    of ``expected``. In the text ``remedy``, ``{}`` becomes the names of the options to check.
    """
    missing = sorted(expected.keys() - tensors.keys())
    surplus = sorted(tensors.keys() - expected.keys())
    if missing or surplus:
        options = (
            "generator, num_blocks, norm, dropout, upsampling, discriminator, discriminator_norm "
            "or d_layers"
        )
        raise CheckpointError(
            localised(
                "{path}: tensors do not fit: {num} missing ({listed}), {num_surplus} too many "
                "({surplus}); {hint}",
                path=path,
                num=len(missing),
                listed=_listed(missing),
                num_surplus=len(surplus),
                surplus=_listed(surplus),
                hint=remedy.format(options),
            )
        )
    for key, tensor in expected.items():
        if tensor.shape != tensors[key].shape:
            raise CheckpointError(
                localised(
                    "{path}: tensor {key} has shape {shape}, needed {needed}; {hint}",
                    path=path,
                    key=key,
                    shape=list(tensors[key].shape),
                    needed=list(tensor.shape),
                    hint=remedy.format("ngf or ndf"),
                )
            )


def _listed(names: list[str]) -> str:
    return ", ".join(names[:_MAX_NAMES]) + (", …" if len(names) > _MAX_NAMES else "") or "none"
