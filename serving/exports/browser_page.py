"""``suyan export --as browser``: one HTML file that translates photographs without a server."""

from __future__ import annotations

import base64
import html
import tempfile
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import numpy as np
import torch

from core.errors import MissingModelError, SuyanError
from core.files import atomic_file, canonical_json
from core.language.messages import localised
from serving.exports.half_weights import halve_weights
from serving.exports.portable_settings import portable_settings
from serving.model_export import GeneratorExport, export_model, require_new
from serving.models import Direction, Model
from training.data.tensors import to_tensor

PAGE_NAME = "index.html"
_USUAL_RUNTIME = Path("node_modules/onnxruntime-web/dist")
_RUNTIME_FILES = {
    "script": "ort.wasm.bundle.min.mjs",
    "program": "ort-wasm-simd-threaded.wasm",
}
_WORK_PX = 512  # a browser has one slow core for it
_MAX_DIFFERENCE = 2 / 255  # of outputs in [-1, 1]: one grey level
_TEST_PX = 128


def export_page(
    model: Model, out: Path, runtime: Path | None, *, overwrite: bool = False
) -> list[GeneratorExport]:
    """Write ``index.html`` and a model card into ``out``; the page, once for each direction.

    The page holds everything: the runtime's files from the folder ``runtime``, and the weights as
    float16. Opened from a disk or from any host, it asks no network for anything. Raises
    ``MissingModelError`` without the runtime, ``SuyanError`` where float16 changes a translation by
    more than a grey level, and what ``export_model`` raises.
    """
    parts = _runtime_parts(runtime or _USUAL_RUNTIME)
    out.mkdir(parents=True, exist_ok=True)
    require_new(out, {PAGE_NAME, "README.md"}, overwrite=overwrite)
    with tempfile.TemporaryDirectory(dir=out, prefix=".suyan-") as name:
        exports = export_model(model, Path(name), "onnx")
        files = {each.direction: each.file for each in exports}
        parts["settings"] = canonical_json(portable_settings(model, files, _WORK_PX)).encode()
        differences = {}
        for direction, file in files.items():
            parts[file.name] = halve_weights(file)
            differences[direction] = _half_difference(model, direction, parts[file.name], file.name)
        card = (Path(name) / "README.md").read_bytes()
    for target, chunks in ((PAGE_NAME, _page(model, parts)), ("README.md", [card])):
        with atomic_file(out / target) as file_out:
            file_out.writelines(chunks)
    return [
        GeneratorExport(out / PAGE_NAME, direction, difference)
        for direction, difference in differences.items()
    ]


def _runtime_parts(folder: Path) -> dict[str, bytes]:
    """The runtime's files by their roles in the page."""
    missing = [name for name in _RUNTIME_FILES.values() if not (folder / name).is_file()]
    if missing:
        raise MissingModelError(
            localised(
                "--runtime: {folder} has no {names}, needed the folder 'dist' of the npm "
                "package onnxruntime-web",
                folder=folder,
                names=" and no ".join(missing),
            ),
            remedy=localised(
                "Run 'npm install onnxruntime-web' in this folder, or name the folder with "
                "--runtime"
            ),
        )
    return {role: (folder / name).read_bytes() for role, name in _RUNTIME_FILES.items()}


def _page(model: Model, parts: dict[str, bytes]) -> Iterator[bytes]:
    """The page's bytes: the template, in which every part is a block of base64."""
    folder = resources.files("serving.exports")
    template = folder.joinpath("browser_page.html").read_text("utf-8")
    script = folder.joinpath("browser_page.js").read_text("utf-8")
    head, tail = template.replace("{script}", script).split("{parts}")
    yield head.replace("{title}", html.escape(model.name)).encode()
    for name, content in parts.items():
        yield f'<script type="application/octet-stream" id="part-{html.escape(name)}">'.encode()
        yield base64.b64encode(content)
        yield b"</script>\n"
    yield tail.encode()


def _half_difference(model: Model, direction: Direction, content: bytes, name: str) -> float:
    """The greatest difference from PyTorch's output on a random picture.

    Raises ``SuyanError`` for more than a grey level.
    """
    import onnxruntime  # noqa: PLC0415 - the packages of the extra "export"

    multiple = model.tiling.multiple
    side = -(-_TEST_PX // multiple) * multiple
    picture = np.random.default_rng(0).integers(0, 256, (1, side, side, 3), np.uint8)
    batch = to_tensor(picture)
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    (output,) = session.run(None, {"image": batch.numpy()})
    with torch.inference_mode():
        expected = model.network(direction)(batch).numpy()
    difference = float(np.abs(output - expected).max())
    if not difference <= _MAX_DIFFERENCE:
        raise SuyanError(
            localised(
                "{name}: not written: with weights of 16 bits its output differs by "
                "{difference:.2e}, more than {max_difference:.2e} (a grey level)",
                name=name,
                difference=difference,
                max_difference=_MAX_DIFFERENCE,
            ),
            remedy=localised("Use --as space, which has weights of 32 bits"),
        )
    return difference
