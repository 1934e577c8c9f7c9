"""Seconds per training step: ours against a plain eager step in the reference's order.

Same networks, sizes and pictures, in one process, alternating. ``plain``: pass after pass, torch's
own instance norm, contiguous, Adam tensor by tensor, nothing compiled. Then each switch apart, and
together. All but the marked ones are exact: the tests compare their gradients. The share of the
floor is the time that the step's multiplications would take at the speed of a large matrix product
here. On a GPU the same at batch 1 and 8, with bfloat16, compiled, and CUDA graphs beside.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from training.build import build, compile_networks, prepare_torch
from training.config import TrainConfig, demo

_PLAIN = {"merge_passes": False, "channels_last": False, "fused_adam": False, "compile": "off"}
_EAGER = {"compile": "off"}
_CPU: Mapping[str, Mapping[str, Any]] = {
    "plain": _PLAIN,
    "merged passes": _PLAIN | {"merge_passes": True},
    "channels-last": _PLAIN | {"channels_last": True},
    "fused Adam": _PLAIN | {"fused_adam": True},
    "all three": _EAGER,
    "all, compiled": {"compile": "on", "winograd": False},
    "all, compiled, Winograd": {"compile": "on"},
}
_GPU: Mapping[str, Mapping[str, Any]] = {
    "plain": _PLAIN,
    "all three": _EAGER,
    "all, compiled": {"compile": "on"},
    "all, compiled, bfloat16 (inexact)": {"compile": "on", "precision": "bfloat16"},
    "all, graphs, bfloat16 (inexact)": {
        "compile": "on",
        "precision": "bfloat16",
        "cuda_graphs": True,
    },
}
_FEW = ("plain", "all three", "all, compiled, Winograd")


def main() -> None:
    """Measure, print tables, and end with one line of JSON."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--quick", action="store_true", help="small sizes, few steps")
    arguments.add_argument("--every", action="store_true", help="every switch apart (longer)")
    given = arguments.parse_args()
    figures: dict[str, float] = {}
    if torch.cuda.is_available():
        for batch in (1, 8):
            config = TrainConfig(batch_size=batch)
            best = _measure(f"GPU, 256², batch {batch}", config, _GPU, 5 if given.quick else 30)
            figures[f"ratio_gpu_batch{batch}"] = max(best.values())
    few = {name: _CPU[name] for name in (_CPU if given.every else _FEW)}
    eager = {name: few[name] for name in few if "compiled" not in name}
    small = demo().model_copy(update={"device": "cpu"})
    found = _measure("CPU preset, 96², batch 4, batch norm", small, eager, 3 if given.quick else 30)
    figures["ratio_cpu_preset"] = found["all three"]
    if given.quick:
        config = TrainConfig(device="cpu", crop_px=64, load_px=64, num_blocks=2, ngf=32, ndf=16)
        few = eager
    else:
        config = TrainConfig(device="cpu")
    found = _measure(f"CPU, {config.crop_px}², batch 1", config, few, 3)
    figures["ratio_cpu"] = max(found.values())
    print(json.dumps({name: round(value, 3) for name, value in figures.items()}))


def _measure(
    title: str, config: TrainConfig, variants: Mapping[str, Mapping[str, Any]], num_steps: int
) -> dict[str, float]:
    """Print a table; how many times as fast as plain each variant is."""
    print(f"\n{title}", flush=True)
    steps: dict[str, Callable[[], None]] = {}
    for name, changes in variants.items():
        began = time.perf_counter()
        steps[name] = _stepper(config.model_copy(update=dict(changes)))
        steps[name]()
        print(f"  {name:36} first step {time.perf_counter() - began:8.2f} s", flush=True)
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(num_steps):
        for name, step in steps.items():
            began = time.perf_counter()
            step()
            seconds[name].append(time.perf_counter() - began)
    with FlopCounterMode(display=False) as counter:
        _stepper(config.model_copy(update=_PLAIN))()
    floor = counter.get_total_flops() / _flops_per_s(config)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    for name, median in medians.items():
        print(
            f"  {name:36} {median:8.3f} s (fastest {min(seconds[name]):.3f})   "
            f"{medians['plain'] / median:5.2f} x   {floor / median:4.0%} of the floor's speed"
        )
    return {name: medians["plain"] / median for name, median in medians.items()}


def _stepper(config: TrainConfig) -> Callable[[], None]:
    prepare_torch(config)
    gan = build(config)
    if config.compile == "on":
        compile_networks(gan)
    rng = torch.Generator().manual_seed(0)
    shape = (config.batch_size, 3, config.crop_px, config.crop_px)
    a, b = (torch.rand(shape, generator=rng).mul(2).sub(1).to(gan.device) for _ in range(2))

    def step() -> None:
        gan.step(a, b)
        if gan.device.type == "cuda":
            torch.cuda.synchronize()

    return step


def _flops_per_s(config: TrainConfig) -> float:
    """Of a large float32 matrix product on the device."""
    device = "cuda" if config.device == "auto" and torch.cuda.is_available() else "cpu"
    matrix = torch.rand(2048, 2048, device=device)
    best = float("inf")
    for _ in range(5):
        began = time.perf_counter()
        float((matrix @ matrix)[0, 0])
        best = min(best, time.perf_counter() - began)
    return 2 * 2048**3 / best


if __name__ == "__main__":
    main()
