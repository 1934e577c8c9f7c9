"""Export of a model: ONNX, ``torch.export`` or the reference's files, compared with PyTorch."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import logging
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.fx.experimental import _config as fx_config

from core.commands import install_command
from core.errors import MissingModelError, SuyanError
from core.files import atomic_file, canonical_json, file_sha256
from core.language.messages import localised
from core.workspace_folders import ModelFolder
from evaluation.features.training_statistics import statistics_to_json
from evaluation.model_registry.model_card import ExportedFile, load_facts, model_card
from serving.models import Direction, Model, weights_file
from training.models.factory import architecture_of
from training.pix2pix import export_reference, read_pth

Format = Literal["onnx", "torch-export", "reference"]
MAX_DIFFERENCE = 1e-4
_SUFFIXES: Mapping[Format, str] = {"onnx": ".onnx", "torch-export": ".pt2"}
_PACKAGES = {"onnx": ("onnx", "onnxscript", "onnxruntime")}
_OPSET = 20
_TEST_SHAPES = ((1, 64, 64), (2, 72, 104), (1, 256, 256))  # N, H, W; rounded up to the multiple
_CARD_NAME = "README.md"
_STATISTICS_NAME = "training_statistics.json"


@dataclass(frozen=True)
class GeneratorExport:
    """The file of one direction's generator."""

    file: Path
    direction: Direction
    max_abs_diff: float  # from PyTorch's outputs, which lie in [-1, 1]


def export_model(
    model: Model, out: Path, file_format: Format, *, overwrite: bool = False
) -> list[GeneratorExport]:
    """Write each generator of ``model`` and a model card into ``out``; the generators' files.

    Beside them are the statistics of its training pictures as JSON, where the model has them.

    In ``onnx`` and ``torch-export`` files N, H and W are free (H and W are multiples of the
    architecture's). ``reference`` also writes the discriminators, if the model has them. Every
    generator is compared with PyTorch on random pictures of several sizes; if outputs differ by
    more than 1e-4, nothing is written and ``SuyanError`` is raised. Raises ``MissingModelError``
    for a missing package, ``ValueError`` for files that exist, and ``CheckpointError`` for layers
    that the reference does not have.
    """
    packages = _PACKAGES.get(file_format, ())
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingModelError(
            localised(
                "{names} is not installed, needed for --format {file_format}; run: {command}",
                names=", ".join(missing),
                file_format=file_format,
                command=install_command("export"),
            )
        )
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out, prefix=".suyan-") as name:
        folder = Path(name)
        if file_format == "reference":
            files = _export_reference(model, folder)
        else:
            files = {
                direction: folder / f"{source}2{target}{_SUFFIXES[file_format]}"
                for direction, (source, target) in model.directions.items()
            }
        if model.training_statistics is not None:
            statistics = canonical_json(statistics_to_json(model.training_statistics))
            (folder / _STATISTICS_NAME).write_text(statistics, encoding="utf-8")
        names = {path.name for path in (*files.values(), *folder.iterdir())}
        require_new(out, {*names, _CARD_NAME}, overwrite=overwrite)
        exports = []
        for direction, file in files.items():
            difference = _export_checked(model, direction, file, file_format)
            exports.append(GeneratorExport(out / file.name, direction, difference))
        card = _card(model, files, file_format)
        (folder / _CARD_NAME).write_text(card, encoding="utf-8")
        for draft in sorted(folder.iterdir()):
            with atomic_file(out / draft.name) as target:
                target.write(draft.read_bytes())
    return exports


def onnx_metadata(model: Model, direction: Direction) -> dict[str, str]:
    """The metadata of a direction's ONNX file."""
    source, target = model.directions[direction]
    facts = architecture_of(model.config)
    return {
        "model": model.name,
        "from": source,
        "to": target,
        "trained_on": model.trained_on,
        "generator": facts.label,
        "input": "image: float32 [N, 3, H, W], RGB in [-1, 1]; H and W are multiples of "
        f"{facts.multiple}",
        "prepare": canonical_json(model.prepare.model_dump(mode="json")),
    }


def require_new(out: Path, names: set[str], *, overwrite: bool) -> None:
    """Raise ``ValueError`` for files of these names in ``out``, unless they may be overwritten."""
    existing = sorted(str(out / name) for name in names if (out / name).exists())
    if existing and not overwrite:
        raise ValueError(
            localised("{names} exists; --overwrite replaces it", names=", ".join(existing))
        )


def _card(model: Model, files: Mapping[Direction, Path], file_format: Format) -> str:
    facts = load_facts(ModelFolder(model.folder), model.name)
    return model_card(
        replace(facts, config=model.config, prepare=model.prepare),
        files=[
            ExportedFile(
                file.name,
                *model.directions[direction],
                file_sha256(weights_file(model.folder, direction)),
            )
            for direction, file in files.items()
        ],
        file_format=file_format,
    )


def _export_reference(model: Model, folder: Path) -> dict[Direction, Path]:
    """Write the files of every network into ``folder``; the generator's file per direction."""
    files = {
        path.stem.partition("_net_")[2]: path for path in export_reference(model.folder, folder)
    }
    directions: dict[str, Direction] = {"G": "A2B", "G_A": "A2B", "G_B": "B2A"}
    return {direction: files[name] for name, direction in directions.items() if name in files}


def _export_checked(model: Model, direction: Direction, file: Path, file_format: Format) -> float:
    """Write ``file`` (or check a reference file); returns the greatest difference from PyTorch.

    Raises ``SuyanError`` for a difference above ``MAX_DIFFERENCE``.
    """
    network, multiple = model.network(direction), model.tiling.multiple
    run: Callable[[Tensor], Tensor]
    if file_format == "reference":
        run = model.network(direction)
        run.load_state_dict(read_pth(file))
        difference = _difference(network, run, multiple)
    else:
        try:
            with _silent_exporters():
                if file_format == "onnx":
                    _write_onnx(_trace(network, multiple), file, onnx_metadata(model, direction))
                    run = _onnx_runner(file)
                else:
                    # otherwise a size of one block would be refused: 128 px by a U-Net of 128
                    with fx_config.patch(backed_size_oblivious=True):  # type: ignore[attr-defined]
                        torch.export.save(_trace(network, multiple), file)
                    run = torch.export.load(file).module()
                difference = _difference(network, run, multiple)
        except OSError:
            raise
        except Exception as error:  # exporters raise what they like
            other = "torch-export" if file_format == "onnx" else "onnx"
            message = str(error).partition("\n")[0]
            raise SuyanError(
                localised(
                    "{name}: not written: this generator cannot be exported as {file_format} "
                    "({error}: {message})",
                    name=file.name,
                    file_format=file_format,
                    error=type(error).__name__,
                    message=message,
                ),
                remedy=localised("Try --format {other}, and report it", other=other),
            ) from error
    if not difference <= MAX_DIFFERENCE:
        raise SuyanError(
            localised(
                "{name}: not written: its output differs from PyTorch's by {difference:.2e}, "
                "more than {max_difference:g}. Are there extreme weights, or versions of "
                "torch and onnxruntime that do not go together?",
                name=file.name,
                difference=difference,
                max_difference=MAX_DIFFERENCE,
            )
        )
    return difference


def _trace(network: nn.Module, multiple: int) -> torch.export.ExportedProgram:
    # torch.export would take sizes of 0 and 1 for constants
    example = torch.zeros(2, 3, 3 * multiple, 2 * multiple)
    rows, columns = torch.export.Dim("row_blocks"), torch.export.Dim("column_blocks")
    sizes = {0: torch.export.Dim("n"), 2: multiple * rows, 3: multiple * columns}
    return torch.export.export(network, (example,), dynamic_shapes=(sizes,))


def _write_onnx(
    program: torch.export.ExportedProgram, file: Path, metadata: Mapping[str, str]
) -> None:
    import onnx

    onnx_program = torch.onnx.export(
        program,
        input_names=["image"],
        output_names=["translation"],
        opset_version=_OPSET,
        dynamo=True,
        verbose=False,
    )
    assert onnx_program is not None
    proto = onnx_program.model_proto
    for key, value in metadata.items():
        proto.metadata_props.add(key=key, value=value)
    onnx.checker.check_model(proto)
    onnx.save(proto, file)


@torch.inference_mode()
def _difference(network: nn.Module, run: Callable[[Tensor], Tensor], multiple: int) -> float:
    """The greatest absolute difference of outputs on random pictures of several sizes."""
    rng = torch.Generator().manual_seed(0)
    greatest = 0.0
    for n, *sides in _TEST_SHAPES:
        height, width = (-(-side // multiple) * multiple for side in sides)
        picture = torch.rand(n, 3, height, width, generator=rng) * 2 - 1
        greatest = max(greatest, float((network(picture) - run(picture)).abs().max()))
    return greatest


def _onnx_runner(file: Path) -> Callable[[Tensor], Tensor]:
    import onnxruntime

    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])

    def run(picture: Tensor) -> Tensor:
        outputs: list[NDArray[np.float32]] = session.run(None, {"image": picture.numpy()})
        return torch.from_numpy(outputs[0])

    return run


@contextlib.contextmanager
def _silent_exporters() -> Iterator[None]:
    """Suppress the exporters' output and warnings about their own internals; errors are raised."""
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
