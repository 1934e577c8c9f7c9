"""Checkpoints of the reference (``latest_net_G_A.pth``, ``latest_net_G.pth``) to and from ours.

Nothing in a file is executed: it is read with ``weights_only``, and what it holds is checked.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from core.errors import CheckpointError
from core.files import atomic_file, claim_folder, write_json
from training.config import TrainConfig
from training.models.factory import build_discriminator, build_generator
from training.run.checkpoint import check_tensors, load_config, load_weights, save_weights

_NAMES = ("G_A", "G_B", "D_A", "D_B")
_STATISTICS = ("running_mean", "running_var", "num_batches_tracked")
_PREFIXES = ("module.", "_orig_mod.")
_READ_OFF = "the file is incomplete, or its parts differ in {}"


def import_reference(
    source: Path, out: Path, *, epoch: str = "latest", crop_px: int = 256
) -> TrainConfig:
    """Make a model folder ``out`` from a reference checkpoint; the configuration it has.

    ``source`` is a folder with ``<epoch>_net_G_A.pth`` and its kin, or with a published model's
    ``<epoch>_net_G.pth`` (one direction, A → B), or such a file itself. The architecture is read
    off the tensors; ``crop_px``, the side that the networks were trained at, is not in them.
    Raises ``CheckpointError`` saying which file or tensor is wrong, ``FolderMismatchError`` where
    ``out`` holds another model.
    """
    files = _files(source, epoch)
    tensors = {name: read_pth(path) for name, path in files.items()}
    generator = next(name for name in ("G_A", "G_B") if name in tensors)
    architecture = generator_architecture(tensors[generator], files[generator])
    if "D_A" in tensors:
        architecture |= discriminator_architecture(tensors["D_A"], files["D_A"])
    config = TrainConfig(crop_px=crop_px, load_px=max(crop_px * 286 // 256, 32), **architecture)
    networks = {}
    for name, found in tensors.items():
        network = build_generator(config) if name[0] == "G" else build_discriminator(config)
        check_tensors(files[name], network.state_dict(), found, _READ_OFF)
        network.load_state_dict(found)
        networks[name] = network
    claim_folder(out, config.model_dump(mode="json"))
    for name, network in networks.items():
        save_weights(out / f"{name}.safetensors", network)
    write_json(out / "source.json", {"imported_from": str(source), "epoch": epoch})
    return config


def export_reference(checkpoint: Path, out: Path, *, epoch: str = "latest") -> list[Path]:
    """Write ``<epoch>_net_G_A.pth`` and its kin from a checkpoint or model folder; the files.

    A single direction becomes ``<epoch>_net_G.pth``, as published models have it. Raises
    ``CheckpointError`` for a broken checkpoint or one with layers that the reference lacks.
    """
    config = load_config(checkpoint)
    if config.upsampling != "transposed":
        raise CheckpointError(
            f"{checkpoint}: upsampling is {config.upsampling}, which the reference does not have; "
            "only models trained with upsampling=transposed run there"
        )
    if config.residual:
        raise CheckpointError(
            f"{checkpoint}: its generators are residual, which the reference does not have; only "
            "models trained with residual off run there"
        )
    names = [name for name in _NAMES if (checkpoint / f"{name}.safetensors").is_file()]
    if not any(name.startswith("G") for name in names):
        raise CheckpointError(f"{checkpoint}: found no G_A.safetensors; is it a checkpoint?")
    is_single = names == ["G_A"]
    files = []
    for name in names:
        network = build_generator(config) if name[0] == "G" else build_discriminator(config)
        load_weights(checkpoint / f"{name}.safetensors", network)
        path = out / f"{epoch}_net_{'G' if is_single else name}.pth"
        with atomic_file(path) as file:
            torch.save({k: v.contiguous() for k, v in network.state_dict().items()}, file)
        files.append(path)
    return files


def read_pth(path: Path) -> dict[str, Tensor]:
    """The tensors of a reference file, zip or older, under today's keys.

    Old instance norms carry statistics that were never used: exactly those go. So do the prefixes
    of data-parallel and compiled networks. Raises ``CheckpointError``.
    """
    try:
        found: Any = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise CheckpointError(f"{path}: not found") from None
    except Exception as error:  # torch raises half a dozen types on torn or hostile files
        # What torch says advises to trust the file; only the name of what it refused is of use.
        refused = re.search(r"GLOBAL (\S+)", str(error))
        reason = f"it wants to run {refused[1]}" if refused else "torn, or no file of torch.save"
        raise CheckpointError(
            f"{path}: cannot be read as weights alone ({reason}); needed a state dict saved by "
            "torch.save, and nothing else in it"
        ) from error
    if not isinstance(found, Mapping) or not found:
        raise CheckpointError(
            f"{path}: found {'an empty' if found == {} else 'a'} {type(found).__name__}, needed a "
            "state dict: names and tensors"
        )
    for key, value in found.items():
        if not isinstance(key, str) or not isinstance(value, Tensor):
            raise CheckpointError(
                f"{path}: found a {type(value).__name__} under {key!r}, needed a tensor: save the "
                "network's state_dict() alone"
            )
    tensors = {key: value for key, value in found.items() if value.numel()}
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
            raise CheckpointError(f"{path}: tensor {key} is not made of finite real numbers")
    return {key: value.float() for key, value in used.items()}


def generator_architecture(tensors: Mapping[str, Tensor], source: Path) -> dict[str, Any]:
    """``generator``, ``num_blocks``, ``ngf``, ``norm``, ``dropout`` as the tensors tell them."""
    if "model.model.0.weight" in tensors:
        depth = max(key.count(".model") for key in tensors)
        num_downs = {7: "unet_128", 8: "unet_256"}.get(depth)
        outermost = tensors["model.model.0.weight"]
        if num_downs is None:
            raise CheckpointError(f"{source}: a U-Net of {depth} halvings; needed 7 or 8")
        _require_rgb(outermost, source)
        norm = "instance" if "model.model.0.bias" in tensors else "batch"
        return {"generator": num_downs, "ngf": outermost.shape[0], "norm": norm}
    first = tensors.get("model.1.weight")
    if first is None or first.ndim != 4:
        raise CheckpointError(
            f"{source}: found tensors such as {sorted(tensors)[:3]}, needed those of a ResNet "
            "(model.1.weight) or U-Net (model.model.0.weight) generator"
        )
    _require_rgb(first, source)
    blocks = {m[1] for key in tensors if (m := re.match(r"model\.(\d+)\.conv_block\.", key))}
    dropout = any(".conv_block.6." in key and value.ndim == 4 for key, value in tensors.items())
    return {
        "generator": "resnet",
        "num_blocks": len(blocks),
        "ngf": first.shape[0],
        "norm": "batch" if "model.2.weight" in tensors else "instance",
        "dropout": dropout,
    }


def discriminator_architecture(tensors: Mapping[str, Tensor], source: Path) -> dict[str, Any]:
    """``discriminator``, ``d_layers``, ``ndf`` as the tensors tell them."""
    pixel = tensors.get("net.0.weight")
    if pixel is not None:
        return {"discriminator": "pixel", "ndf": pixel.shape[0]}
    convolutions = [key for key, value in tensors.items() if value.ndim == 4]
    first = tensors.get("model.0.weight")
    if first is None:
        raise CheckpointError(
            f"{source}: found tensors such as {sorted(tensors)[:3]}, needed those of an n_layers "
            "(model.0.weight) or pixel (net.0.weight) discriminator"
        )
    return {
        "discriminator": "n_layers",
        "d_layers": len(convolutions) - 2,
        "ndf": first.shape[0],
    }


def _files(source: Path, epoch: str) -> dict[str, Path]:
    """Files by network; a published single generator counts as G_A."""
    if source.is_file():
        named = re.search(r"net_(G_A|G_B|D_A|D_B)\.pth$", source.name)
        return {named[1] if named else "G_A": source}
    files = {name: source / f"{epoch}_net_{name}.pth" for name in _NAMES}
    files = {name: path for name, path in files.items() if path.is_file()}
    single = source / f"{epoch}_net_G.pth"
    if "G_A" not in files and single.is_file():
        files = {"G_A": single}
    if not any(name.startswith("G") for name in files):
        held = ", ".join(sorted(path.name for path in source.glob("*.pth"))[:5]) or "no .pth file"
        raise CheckpointError(
            f"{source}: found {held}; needed {epoch}_net_G_A.pth (and {epoch}_net_G_B.pth) or "
            f"{epoch}_net_G.pth; --epoch names another epoch"
        )
    return files


def _require_rgb(first: Tensor, source: Path) -> None:
    if first.ndim != 4 or first.shape[1] != 3:
        raise CheckpointError(
            f"{source}: the first layer has shape {list(first.shape)}, needed 3 input channels"
        )
