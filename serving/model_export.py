"""A model for other programs: ONNX, ``torch.export`` or the reference's files, checked."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import logging
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from core.errors import MissingModelError, SuyanError
from core.files import atomic_file, canonical_json
from serving.export_card import model_card
from serving.models import Direction, Model
from training.pix2pix import export_reference, read_pth

Format = Literal["onnx", "torch-export", "reference"]
TOLERANCE = 1e-4
_SUFFIX = {"onnx": ".onnx", "torch-export": ".pt2"}
_NEEDED = {"onnx": ("onnx", "onnxscript", "onnxruntime")}
_OPSET = 20
_CHECKED = ((1, 64, 64), (2, 72, 104), (1, 256, 256))  # N, H, W; at least
_CARD = "README.md"


@dataclass(frozen=True)
class Exported:
    """An exported generator; ``max_abs_diff``: its greatest difference from PyTorch's output."""

    file: Path
    direction: Direction
    max_abs_diff: float  # outputs lie in [-1, 1]


def export(model: Model, out: Path, kind: Format, *, overwrite: bool = False) -> list[Exported]:
    """Write each generator of ``model`` and a model card into ``out``; the generators.

    In ``onnx`` and ``torch-export`` N, H and W stay free (H and W are multiples of 4, for a U-Net
    of 128 or 256). ``reference`` writes discriminators too, where there are any. Every generator
    is run beside the PyTorch network on random pictures of several sizes before it gets its name.
    Raises ``MissingModelError`` that names a missing package, ``ValueError`` for files that exist,
    ``CheckpointError`` for layers that the reference lacks, ``SuyanError`` for an output that
    differs by more than 1e-4.
    """
    missing = [name for name in _NEEDED.get(kind, ()) if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingModelError(
            f"{', '.join(missing)} is not installed; install it with: pip install 'suyan[export]'"
        )
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out, prefix=".suyan-") as name:
        drafts = _reference(model, Path(name)) if kind == "reference" else {}
        names = {way: file.name for way, file in drafts.items()} or {
            way: f"{source}2{to}{_SUFFIX[kind]}" for way, (source, to) in model.directions.items()
        }
        _refuse_to_replace(
            out, {*names.values(), _CARD, *(path.name for path in Path(name).iterdir())}, overwrite
        )
        done = []
        for way, file_name in names.items():
            difference = _made(model, way, Path(name) / file_name, kind)
            done.append(Exported(out / file_name, way, difference))
        (Path(name) / _CARD).write_text(model_card(model, names, kind), encoding="utf-8")
        for draft in sorted(Path(name).iterdir()):
            with atomic_file(out / draft.name) as file:
                file.write(draft.read_bytes())
    return done


def _refuse_to_replace(out: Path, names: set[str], overwrite: bool) -> None:
    there = sorted(str(out / name) for name in names if (out / name).exists())
    if there and not overwrite:
        raise ValueError(f"{', '.join(there)} exists; --overwrite replaces it")


def _reference(model: Model, folder: Path) -> dict[Direction, Path]:
    """The files of every network in ``folder``; of each direction, the generator's."""
    files = {
        path.stem.partition("_net_")[2]: path for path in export_reference(model.folder, folder)
    }
    ways: dict[str, Direction] = {"G": "A2B", "G_A": "A2B", "G_B": "B2A"}
    return {way: files[name] for name, way in ways.items() if name in files}


def _made(model: Model, way: Direction, draft: Path, kind: Format) -> float:
    """Write ``draft``, if it is not there; how far its output is from PyTorch's."""
    network, multiple = model.network(way), model.tiling.multiple
    with _quiet():
        if kind == "onnx":
            _write_onnx(_traced(network, multiple), draft, _described(model, way))
            run = _onnx_runner(draft)
        elif kind == "torch-export":
            torch.export.save(_traced(network, multiple), draft)
            run = torch.export.load(draft).module()
        else:
            again = model.network(way)
            again.load_state_dict(read_pth(draft))
            run = again
        difference = _difference(network, run, multiple)
    if not difference <= TOLERANCE:
        raise SuyanError(
            f"{draft.name}: not written: its output differs from PyTorch's by {difference:.2e}, "
            f"more than {TOLERANCE:g}. Are there extreme weights, or versions of torch and "
            "onnxruntime that do not go together?"
        )
    return difference


def _traced(network: nn.Module, multiple: int) -> torch.export.ExportedProgram:
    # sizes of 0 and 1 would be taken for constants
    example = torch.zeros(2, 3, 3 * multiple, 2 * multiple)
    height, width = torch.export.Dim("quarter_height"), torch.export.Dim("quarter_width")
    sizes = {0: torch.export.Dim("n"), 2: multiple * height, 3: multiple * width}
    return torch.export.export(network, (example,), dynamic_shapes=(sizes,))


def _write_onnx(
    program: torch.export.ExportedProgram, draft: Path, about: Mapping[str, str]
) -> None:
    import onnx

    made = torch.onnx.export(
        program,
        input_names=["image"],
        output_names=["translation"],
        opset_version=_OPSET,
        dynamo=True,
        verbose=False,
    )
    assert made is not None
    proto = made.model_proto
    for key, value in about.items():
        proto.metadata_props.add(key=key, value=value)
    onnx.checker.check_model(proto)
    onnx.save(proto, draft)


def _described(model: Model, way: Direction) -> dict[str, str]:
    """What an ONNX file says about itself."""
    source, to = model.directions[way]
    return {
        "model": model.name,
        "from": source,
        "to": to,
        "input": "image: float32 [N, 3, H, W], RGB in [-1, 1], 4 divides H and W",
        "prepare": canonical_json(model.prepare.model_dump(mode="json")),
    }


@torch.inference_mode()
def _difference(network: nn.Module, run: Callable[[Tensor], Tensor], multiple: int) -> float:
    rng = torch.Generator().manual_seed(0)
    worst = 0.0
    for n, *sides in _CHECKED:
        height, width = (-(-side // multiple) * multiple for side in sides)
        picture = torch.rand(n, 3, height, width, generator=rng) * 2 - 1
        worst = max(worst, float((network(picture) - run(picture)).abs().max()))
    return worst


def _onnx_runner(file: Path) -> Callable[[Tensor], Tensor]:
    import onnxruntime

    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])

    def run(picture: Tensor) -> Tensor:
        found: list[NDArray[np.float32]] = session.run(None, {"image": picture.numpy()})
        return torch.from_numpy(found[0])

    return run


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Exporters print and warn about their own insides; errors still come through."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "torch.export", "onnxscript")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
