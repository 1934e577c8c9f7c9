"""A model for other programs: ONNX or ``torch.export``, checked before it is handed over."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import logging
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from scraping.records import MissingModelError, SuyanError, atomic_file, canonical_json
from serving.card import model_card
from serving.models import Direction, Model

Format = Literal["onnx", "torch-export"]
TOLERANCE = 1e-4
_SUFFIX = {"onnx": ".onnx", "torch-export": ".pt2"}
_NEEDED = {"onnx": ("onnx", "onnxscript", "onnxruntime"), "torch-export": ()}
_OPSET = 20
_CHECKED = ((1, 64, 64), (2, 72, 104), (1, 256, 256))  # N, H, W


@dataclass(frozen=True)
class Exported:
    """An exported generator; ``max_abs_diff``: its greatest difference from PyTorch's output."""

    file: Path
    direction: Direction
    max_abs_diff: float  # outputs lie in [-1, 1]


def export(model: Model, out: Path, kind: Format, *, overwrite: bool = False) -> list[Exported]:
    """Write each generator of ``model`` and a model card into ``out``.

    N, H and W stay free (4 divides H and W). Every file is run beside the PyTorch network on random
    pictures of several sizes before it gets its name. Raises ``MissingModelError`` that names a
    missing package, ``ValueError`` for files that exist, ``SuyanError`` for one that differs by
    more than 1e-4.
    """
    missing = [name for name in _NEEDED[kind] if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingModelError(
            f"{', '.join(missing)} is not installed; install it with: pip install 'suyan[export]'"
        )
    files = {way: out / f"{_slug(model, way)}{_SUFFIX[kind]}" for way in model.directions}
    card = out / "README.md"
    there = [str(path) for path in (*files.values(), card) if path.exists()]
    if there and not overwrite:
        raise ValueError(f"{', '.join(there)} exists; --overwrite replaces it")
    done = [_export_one(model, way, file, kind) for way, file in files.items()]
    with atomic_file(card) as file:
        names = {one.direction: one.file.name for one in done}
        file.write(model_card(model, names, kind).encode())
    return done


def _slug(model: Model, way: Direction) -> str:
    source, to = model.directions[way]
    return f"{source}2{to}"


def _export_one(model: Model, way: Direction, file: Path, kind: Format) -> Exported:
    network = model.network(way)
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=file.parent, prefix=".suyan-") as folder:
        draft = Path(folder) / file.name
        with _quiet():
            program = _traced(network, model.tiling.multiple)
            if kind == "onnx":
                _write_onnx(program, draft, _described(model, way))
            else:
                torch.export.save(program, draft)
            difference = _difference(network, draft, kind)
        if not difference <= TOLERANCE:
            raise SuyanError(
                f"{file}: not written: its output differs from PyTorch's by {difference:.2e}, "
                f"more than {TOLERANCE:g}. Are there extreme weights, or versions of torch "
                "and onnxruntime that do not go together?"
            )
        with atomic_file(file) as final:
            final.write(draft.read_bytes())
    return Exported(file, way, difference)


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
def _difference(network: nn.Module, file: Path, kind: Format) -> float:
    run = _onnx_runner(file) if kind == "onnx" else _pt2_runner(file)
    rng = torch.Generator().manual_seed(0)
    worst = 0.0
    for n, height, width in _CHECKED:
        picture = torch.rand(n, 3, height, width, generator=rng) * 2 - 1
        worst = max(worst, float((network(picture) - run(picture)).abs().max()))
    return worst


def _onnx_runner(file: Path) -> Any:
    import onnxruntime

    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])

    def run(picture: Tensor) -> Tensor:
        found: list[NDArray[np.float32]] = session.run(None, {"image": picture.numpy()})
        return torch.from_numpy(found[0])

    return run


def _pt2_runner(file: Path) -> Any:
    return torch.export.load(file).module()


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
