"""Reads and writes checkpoints of the reference, junyanz/pytorch-CycleGAN-and-pix2pix.

They are files such as ``latest_net_G_A.pth`` or ``latest_net_G.pth``. No code in a file is
executed: it is read with ``weights_only``, and its content is checked.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from core.config_identity import identity
from core.errors import CheckpointError
from core.files import atomic_file, claim_folder, write_json
from core.language.messages import localised
from core.workspace_folders import CheckpointFolder, ModelFolder
from training.config import TrainConfig
from training.models.factory import (
    architecture_of,
    build_discriminator,
    build_generator,
    recognise_generator,
)
from training.run.checkpoint import check_tensors, load_config, load_weights, save_weights
from training.run.strengths import load_strengths

_NAMES = ("G_A", "G_B", "D_A", "D_B")
_STATISTICS = ("running_mean", "running_var", "num_batches_tracked")
_PREFIXES = ("module.", "_orig_mod.")
_REMEDY = "the file is incomplete, or its parts differ in {}"


def import_reference(
    source: Path, out: Path, *, epoch: str = "latest", crop_px: int = 256
) -> TrainConfig:
    """Write a model folder ``out`` from a checkpoint of the reference; returns its configuration.

    ``source`` is a folder with ``<epoch>_net_G_A.pth``, ``…_G_B.pth``, ``…_D_A.pth`` and
    ``…_D_B.pth``, or with a published model's ``<epoch>_net_G.pth`` (one direction, A → B), or such
    a file. The tensors tell the architecture, but not ``crop_px``, the side (px) of the crops that
    the networks were trained on. Raises ``CheckpointError`` that names the wrong file or tensor,
    and ``FolderMismatchError`` where ``out`` holds another model.
    """
    files = _files(source, epoch)
    tensors = {name: read_pth(path) for name, path in files.items()}
    generator = next(name for name in ("G_A", "G_B") if name in tensors)
    fields = _generator_fields(tensors[generator], files[generator])
    if "D_A" in tensors:
        fields |= _discriminator_fields(tensors["D_A"], files["D_A"])
    config = TrainConfig(crop_px=crop_px, load_px=max(crop_px * 286 // 256, 32), **fields)
    networks = {}
    for name, state_dict in tensors.items():
        network = _build(config, name)
        check_tensors(files[name], state_dict, network.state_dict(), _REMEDY)
        network.load_state_dict(state_dict)
        networks[name] = network
    folder = ModelFolder(out)
    claim_folder(out, identity(config))
    folder.strengths.unlink(missing_ok=True)  # of a model that is replaced
    for name, network in networks.items():
        save_weights(folder.weights(name), network)
    write_json(folder.import_source, {"imported_from": str(source), "epoch": epoch})
    return config


def export_reference(checkpoint: Path, out: Path, *, epoch: str = "latest") -> list[Path]:
    """Write a checkpoint or model folder as files of the reference in ``out``; returns their paths.

    They are named ``<epoch>_net_G_A.pth`` and so on, a single direction ``<epoch>_net_G.pth``, as
    published models are. Raises ``CheckpointError`` for a broken checkpoint, and for one with
    layers or strengths that the reference lacks.
    """
    config = load_config(checkpoint)
    if not architecture_of(config).is_in_reference:
        raise CheckpointError(
            localised(
                "{checkpoint}: generator is {generator}, which the reference does not have",
                checkpoint=checkpoint,
                generator=config.generator,
            )
        )
    if config.upsampling != "transposed":
        raise CheckpointError(
            localised(
                "{checkpoint}: upsampling is {upsampling}, which the reference does not "
                "have; only models trained with upsampling=transposed run there",
                checkpoint=checkpoint,
                upsampling=config.upsampling,
            )
        )
    if config.residual:
        raise CheckpointError(
            localised(
                "{checkpoint}: its generators are residual, which the reference does not "
                "have; only models trained with residual off run there",
                checkpoint=checkpoint,
            )
        )
    strengths = load_strengths(checkpoint)
    if set(strengths.values()) != {1.0}:
        named = " and ".join(f"{name} {strength:g}" for name, strength in strengths.items())
        raise CheckpointError(
            localised(
                "{checkpoint}: its changes have the strengths {named}, which the reference's "
                "files cannot hold; export it as onnx or torch-export, or evaluate the run "
                "with evaluate.strengths [], which stores a model of strength 1",
                checkpoint=checkpoint,
                named=named,
            )
        )
    folder = CheckpointFolder(checkpoint)
    has_reference_layers = not config.face_windows and config.discriminator_norm == "same"
    names = [
        name
        for name in _NAMES
        if folder.weights(name).is_file() and (name.startswith("G") or has_reference_layers)
    ]
    if not any(name.startswith("G") for name in names):
        raise CheckpointError(
            localised(
                "{checkpoint}: found no G_A.safetensors; is it a checkpoint?", checkpoint=checkpoint
            )
        )
    is_single = names == ["G_A"]
    files = []
    for name in names:
        network = _build(config, name)
        load_weights(folder.weights(name), network)
        path = out / f"{epoch}_net_{'G' if is_single else name}.pth"
        with atomic_file(path) as file:
            torch.save({k: v.contiguous() for k, v in network.state_dict().items()}, file)
        files.append(path)
    return files


def read_pth(path: Path) -> dict[str, Tensor]:
    """The tensors of a reference file in either of torch's formats, float32, by today's names.

    The statistics that instance norms of old versions saved and never used are left out, and so are
    the prefixes of data-parallel and compiled networks. Raises ``CheckpointError``.
    """
    try:
        state_dict: Any = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise CheckpointError(localised("{path}: not found", path=path)) from None
    except Exception as error:  # torch raises half a dozen types on torn or hostile files
        # torch's message advises to trust the file; only the name of the refused class is useful.
        refused = re.search(r"GLOBAL (\S+)", str(error))
        reason = f"it wants to run {refused[1]}" if refused else "torn, or no file of torch.save"
        raise CheckpointError(
            localised(
                "{path}: cannot be read as weights only ({reason}); needed a state dict "
                "saved by torch.save, and nothing else in it",
                path=path,
                reason=reason,
            )
        ) from error
    if not isinstance(state_dict, Mapping) or not state_dict:
        kind = f"{'an empty' if state_dict == {} else 'a'} {type(state_dict).__name__}"
        raise CheckpointError(
            localised(
                "{path}: found {kind}, needed a state dict: names and tensors", path=path, kind=kind
            )
        )
    for key, value in state_dict.items():
        if not isinstance(key, str) or not isinstance(value, Tensor):
            raise CheckpointError(
                localised(
                    "{path}: found a {name} under {key!r}, needed a tensor: save the network's "
                    "state_dict() alone",
                    path=path,
                    name=type(value).__name__,
                    key=key,
                )
            )
    tensors = {key: value for key, value in state_dict.items() if value.numel()}
    for prefix in _PREFIXES:
        if all(key.startswith(prefix) for key in tensors):
            tensors = {key.removeprefix(prefix): value for key, value in tensors.items()}
    stems = {key.rpartition(".")[0] for key in tensors if key.endswith(".weight")}
    used = {
        key: value
        for key, value in tensors.items()
        if not (key.endswith(_STATISTICS) and key.rpartition(".")[0] not in stems)
    }
    for key, value in used.items():
        if value.is_complex() or not bool(torch.isfinite(value).all()):
            raise CheckpointError(
                localised(
                    "{path}: tensor {key} is not made of finite real numbers", path=path, key=key
                )
            )
    return {key: value.float() for key, value in used.items()}


def _build(config: TrainConfig, name: str) -> nn.Module:
    return build_generator(config) if name.startswith("G") else build_discriminator(config)


def _generator_fields(tensors: Mapping[str, Tensor], source: Path) -> dict[str, Any]:
    """The fields of a ``TrainConfig`` that describe the generator with these tensors."""
    try:
        fields = recognise_generator(tensors)
    except ValueError as error:
        raise CheckpointError(f"{source}: {error}") from error
    if fields is None:
        raise CheckpointError(
            localised(
                "{source}: found tensors such as {tensors}, needed those of a ResNet "
                "(model.1.weight) or U-Net (model.model.0.weight) generator",
                source=source,
                tensors=sorted(tensors)[:3],
            )
        )
    return fields


def _discriminator_fields(tensors: Mapping[str, Tensor], source: Path) -> dict[str, Any]:
    """The fields of a ``TrainConfig`` that describe the discriminator with these tensors."""
    pixel = tensors.get("net.0.weight")
    if pixel is not None:
        return {"discriminator": "pixel", "ndf": pixel.shape[0]}
    convolutions = [key for key, value in tensors.items() if value.ndim == 4]
    first = tensors.get("model.0.weight")
    if first is None:
        raise CheckpointError(
            localised(
                "{source}: found tensors such as {tensors}, needed those of an n_layers "
                "(model.0.weight) or pixel (net.0.weight) discriminator",
                source=source,
                tensors=sorted(tensors)[:3],
            )
        )
    return {
        "discriminator": "n_layers",
        "d_layers": len(convolutions) - 2,
        "ndf": first.shape[0],
    }


def _files(source: Path, epoch: str) -> dict[str, Path]:
    """The files by network; a published single generator counts as G_A."""
    if source.is_file():
        named = re.search(r"net_(G_A|G_B|D_A|D_B)\.pth$", source.name)
        return {named[1] if named else "G_A": source}
    files = {name: source / f"{epoch}_net_{name}.pth" for name in _NAMES}
    files = {name: path for name, path in files.items() if path.is_file()}
    single = source / f"{epoch}_net_G.pth"
    if "G_A" not in files and single.is_file():
        files = {"G_A": single}
    if not any(name.startswith("G") for name in files):
        present = sorted(path.name for path in source.glob("*.pth"))[:5]
        raise CheckpointError(
            localised(
                "{source}: found {names}; needed {epoch}_net_G_A.pth (and "
                "{epoch}_net_G_B.pth) or {epoch}_net_G.pth; --epoch names another epoch",
                source=source,
                names=", ".join(present) or localised("no .pth file"),
                epoch=epoch,
            )
        )
    return files
