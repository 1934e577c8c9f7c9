"""Milliseconds per 256 px face on the CPU: Suyan's optimised network, PyTorch eager, onnxruntime.

The network is the paper's (9 blocks, 64 channels) with random weights. All three take turns in one
process with the same number of threads. The least time of each counts, because other load on the
machine only adds to it. Also measured: the greatest difference of each from eager (outputs lie in
[-1, 1]), the time of ``suyan translate`` for a tiny picture beyond importing torch, and the
halos around lips, lids and brows (``benchmarks/halos.py``), with ``--model`` also those of a model.

onnxruntime comes with ``pip install -e '.[export]'``.

``--generator bilateral`` measures something else: the seconds and the memory that photographs of 12
megapixels take at full resolution, a whole picture and a face, with reading and writing left out.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from halos import Generators, Halo, blend_seconds, draw_faces, measure_halos
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from core.files import write_json
from core.workspace import Workspace
from preprocessing.config import PrepareConfig
from scraping.offline.corpus import portrait
from scraping.offline.landscapes import draw
from serving.cpu_inference import optimize_for_cpu
from serving.model_export import export_model
from serving.models import open_model
from serving.translate import TranslateOptions, Translator
from training.config import TrainConfig
from training.models.factory import build_generator
from training.models.resnet import ResnetGenerator
from training.models.weight_init import init_weights
from training.run.checkpoint import save_weights
from training.standard_configs import demo

_PX = 256
_BATCH = 4


def main() -> None:
    """Measure, print a table, and end with one line of JSON."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--quick", action="store_true", help="fewer rounds")
    arguments.add_argument("--model", help="folder of a model of make-up to bare, for its halos")
    arguments.add_argument("--generator", choices=("resnet", "bilateral"), default="resnet")
    options = arguments.parse_args()
    quick = options.quick
    threads = len(os.sched_getaffinity(0))
    torch.set_num_threads(threads)
    if options.generator == "bilateral":
        _report_slices(threads, rounds=1 if quick else 5)
        return
    with tempfile.TemporaryDirectory(prefix="suyan-bench-") as name:
        folder = _model(Path(name))
        model = open_model(Workspace(Path(name)), "makeup", str(folder))
        (exported, *_) = export_model(model, Path(name) / "onnx", "onnx")
        network = model.network("A2B")
        runners = {
            "eager": network,
            "suyan": optimize_for_cpu(model.network("A2B")),
            "onnxruntime": _onnx(exported.file, threads),
        }
        batches = (1, 2 if quick else _BATCH)
        times, differences = _measure(runners, batches, rounds=4 if quick else 16)
        start_s = _start_time(Path(name), folder, rounds=1 if quick else 5)
    figures = _report(times, differences, batches, threads, start_s, exported.max_abs_diff)
    figures |= _halos(2 if quick else 12, options.model, face_s=times["suyan", 1])
    print(json.dumps({name: float(f"{value:.4g}") for name, value in figures.items()}))


def _model(workspace: Path) -> Path:
    folder = workspace / "models" / "makeup" / "bench"
    folder.mkdir(parents=True)
    network = ResnetGenerator(9, 64)
    init_weights(network, torch.Generator().manual_seed(0))
    save_weights(folder / "G_A.safetensors", network)
    write_json(folder / "config.json", TrainConfig().model_dump(mode="json"))
    return folder


def _onnx(file: Path, threads: int) -> Callable[[Tensor], Tensor]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    return lambda x: torch.from_numpy(session.run(None, {"image": x.numpy()})[0])


@torch.inference_mode()
def _measure(
    runners: dict[str, Callable[[Tensor], Tensor]], batches: tuple[int, ...], rounds: int
) -> tuple[dict[tuple[str, int], float], dict[str, float]]:
    """Least seconds per picture by runner and batch size, and differences from eager by runner.

    Each runner gets about ``rounds`` pictures of each batch size; its first batch does not count.
    """
    best: dict[tuple[str, int], float] = {}
    differences = dict.fromkeys(runners, 0.0)
    rng = torch.Generator().manual_seed(1)
    for batch in batches:
        pictures = torch.rand(batch, 3, _PX, _PX, generator=rng) * 2 - 1
        for turn in range(max(2, rounds // batch) + 1):
            outputs = {}
            for name, run in runners.items():
                started = time.perf_counter()
                outputs[name] = run(pictures)
                took_s = (time.perf_counter() - started) / batch
                if turn:  # the first warms up
                    best[name, batch] = min(took_s, best.get((name, batch), np.inf))
        for name, output in outputs.items():
            difference = float((output - outputs["eager"]).abs().max())
            differences[name] = max(differences[name], difference)
    return best, differences


def _start_time(workspace: Path, model: Path, rounds: int) -> float:
    """Least seconds that the command takes for a tiny picture beyond importing torch."""
    photo = workspace / "photo.png"
    Image.new("RGB", (8, 8), "teal").save(photo)
    command = ["-m", "cli.main", "translate", str(photo), "--whole", "--overwrite"]
    command += ["--model", str(model), "--out", str(workspace / "out")]
    code = f"import sys; sys.argv = {command[1:]!r}; from cli.main import main; main()"
    whole = min(_seconds(code) for _ in range(rounds))
    return whole - min(_seconds("import torch") for _ in range(rounds))


def _seconds(code: str) -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    return time.perf_counter() - started


def _report_slices(threads: int, rounds: int) -> None:
    """Measure the bilateral generator on photographs, print a table and one line of JSON."""
    photos = {
        "whole": (draw(1, winter=True), (4000, 3000)),
        "face": (portrait("makeup", 3), (3000, 4000)),
    }
    figures = {}
    with tempfile.TemporaryDirectory(prefix="suyan-bench-") as name:
        folder = _bilateral_model(Path(name))
        translator = Translator(open_model(Workspace(Path(name)), "makeup", str(folder)), "A2B")
        for kind, (picture, size) in photos.items():
            photo = np.array(Image.fromarray(picture).resize(size, Image.Resampling.BICUBIC))
            options = TranslateOptions(mode="whole" if kind == "whole" else "faces")
            translator.translate(photo, options)  # warms up
            timings = [_timed(translator, photo, options) for _ in range(rounds)]
            figures[f"s_{kind}_12mp"] = min(wall_s for wall_s, _ in timings)
            figures[f"cpu_s_{kind}_12mp"] = min(cpu_s for _, cpu_s in timings)
    peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    figures["peak_gib"] = peak_kib / 2**20
    print(f"\nA photograph of 12 megapixels, bilateral grid, {threads} CPU threads, seconds")
    for kind in photos:
        wall_s, cpu_s = figures[f"s_{kind}_12mp"], figures[f"cpu_s_{kind}_12mp"]
        print(f"{kind:6} {wall_s:6.2f}, of processor time {cpu_s:6.2f}")
    print(f"The process took {figures['peak_gib']:.2f} GiB at most")
    print(json.dumps({name: float(f"{value:.4g}") for name, value in figures.items()}))


def _timed(
    translator: Translator, photo: NDArray[np.uint8], options: TranslateOptions
) -> tuple[float, float]:
    """Seconds that a translation takes, by the clock and of processor time."""
    started, cpu_started = time.perf_counter(), time.process_time()
    translator.translate(photo, options)
    return time.perf_counter() - started, time.process_time() - cpu_started


def _bilateral_model(workspace: Path) -> Path:
    folder = workspace / "models" / "makeup" / "bench"
    folder.mkdir(parents=True)
    changes = {"generator": "bilateral"}
    config = TrainConfig.model_validate(demo().model_dump() | changes)
    network = build_generator(config)
    init_weights(network, torch.Generator().manual_seed(0))
    torch.nn.init.normal_(network.output_layer.weight, 0, 0.02)
    save_weights(folder / "G_A.safetensors", network)
    write_json(folder / "config.json", config.model_dump(mode="json"))
    prepare = PrepareConfig(domain_a="makeup", domain_b="bare", crop_px=config.crop_px)
    write_json(folder / "prepare.json", prepare.model_dump(mode="json"))
    return folder


def _report(
    times: dict[tuple[str, int], float],
    differences: dict[str, float],
    batches: tuple[int, ...],
    threads: int,
    start_s: float,
    onnx_max_abs_diff: float,
) -> dict[str, float]:
    print(f"\nA {_PX} px face, resnet_9blocks, {threads} CPU threads, milliseconds a face")
    print(f"{'':14}" + "".join(f"{f'batch {batch}':>10}" for batch in batches) + "   from eager")
    for name, difference in differences.items():
        cells = "".join(f"{1e3 * times[name, batch]:10.0f}" for batch in batches)
        print(f"{name:14}{cells}   {difference:10.1e}")
    print(f"suyan translate starts in {start_s:.2f} s beyond importing torch")
    return {
        "ratio_eager": times["eager", 1] / times["suyan", 1],
        "ratio_eager_batch": times["eager", batches[-1]] / times["suyan", batches[-1]],
        "ratio_onnxruntime": times["onnxruntime", 1] / times["suyan", 1],
        "ms_face": 1e3 * times["suyan", 1],
        "start_s": start_s,
        "fast_max_abs_diff": differences["suyan"],
        "onnx_max_abs_diff": max(onnx_max_abs_diff, differences["onnxruntime"]),
    }


def _halos(num_people: int, model: str | None, face_s: float) -> dict[str, float]:
    """Figures of halos and of blending's time, before and after; prints them as a table."""
    faces = draw_faces(num_people)
    figures = _halo_figures("", measure_halos(faces))
    print(f"\nHalos on {len(faces)} drawn faces of 1,024 px, grey levels   before   after")
    rows = {"the true change at 128 px": ""}
    if model is not None:
        figures |= _halo_figures("model_", measure_halos(faces, _generators(model)))
        rows["the model"] = "model_"
    for name, prefix in rows.items():
        for part in ("halo", "inside"):
            before, after = (figures[f"{prefix}{part}_{when}"] for when in ("before", "after"))
            print(f"{name + ', ' + part:49}{before:9.2f}{after:8.2f}")
    before_s, after_s = blend_seconds(faces[0], rounds=5 if num_people < 5 else 20)
    print(f"{'blending such a face, ms':49}{1e3 * before_s:9.0f}{1e3 * after_s:8.0f}")
    return figures | {
        "ms_blend_before": 1e3 * before_s,
        "ms_blend_after": 1e3 * after_s,
        "blend_share": (after_s - before_s) / (face_s + before_s),
    }


def _halo_figures(prefix: str, halos: tuple[Halo, Halo]) -> dict[str, float]:
    return {
        f"{prefix}{part}_{when}": value
        for when, halo in zip(("before", "after"), halos, strict=True)
        for part, value in (("halo", halo.ring), ("inside", halo.inside))
    }


def _generators(folder: str) -> Generators:
    model = open_model(Workspace(Path()), "makeup", folder)
    return model.generator("A2B"), model.generator("B2A")


if __name__ == "__main__":
    main()
