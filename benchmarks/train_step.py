"""Seconds per training step: Suyan's, compared with a plain eager step in the reference's order.

Same networks, sizes and pictures, in one process, alternating. ``plain``: pass after pass, torch's
own instance norm, contiguous, Adam tensor by tensor, nothing compiled. Then each option alone, and
all together (compiled ones not with ``--quick``: compiling takes a minute); the presets in bfloat16
too, which are fast on a CPU with instructions for it alone. ``gradient`` is the distance of all
weights' gradients in the first step from those of a step in float64, as a share of their length:
that of plain comes from float32's rounding where a ReLU's input is near zero. The share of the
floor is the time that the step's multiplications would take at the speed of a large matrix product
here.

On a GPU the same at batch 1 and 8, with TF32, bfloat16, compiled, and CUDA graphs beside. There
torch itself convolves in TF32, and so does the reference: ratios are against the faster of the
two plain steps. ``…_exact`` is the best of float32 against plain float32. Gradients are compared at
batch 1.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from preprocessing.analysis.face_windows import Alignment
from training.algorithm.cyclegan import CycleGan
from training.build import build
from training.config import TrainConfig
from training.models.layers import Conv3x3, InstanceNorm2d
from training.models.resnet import ResnetBlock
from training.models.window_discriminator import face_windows
from training.runtime.compile import compile_networks
from training.runtime.device import prepare_torch
from training.standard_configs import demo, hour

_PLAIN = {
    "merge_passes": False, "channels_last": False, "fused_adam": False, "compile": "off",
    "precision": "float32",
}  # fmt: skip
_DEFAULTS = {"compile": "off", "precision": "float32"}
_CPU: Mapping[str, Mapping[str, Any]] = {
    "plain": _PLAIN,
    "merged passes": _PLAIN | {"merge_passes": True},
    "channels-last": _PLAIN | {"channels_last": True},
    "fused Adam": _PLAIN | {"fused_adam": True},
    "all, not compiled": _DEFAULTS,
    "all, compiled": {"compile": "on", "winograd": False},
    "all, compiled, Winograd": {"compile": "on"},
}
_PRESET: Mapping[str, Mapping[str, Any]] = {
    name: _CPU[name] for name in ("plain", "channels-last", "fused Adam", "all, not compiled")
} | {"all, bfloat16": {"compile": "off", "precision": "bfloat16"}}
_ALIGNMENT = Alignment(eye_distance=0.36, eye_height=0.40)
_GRAPHS = {"compile": "on", "cuda_graphs": True}
_GPU: Mapping[str, Mapping[str, Any]] = {
    "plain": _PLAIN,
    "plain, TF32 (torch's default)": _PLAIN | {"precision": "tf32"},
    "all, not compiled": _DEFAULTS,
    "all, compiled": {"compile": "on"},
    "all, graphs": _GRAPHS,
    "all, compiled, TF32": {"compile": "on", "precision": "tf32"},
    "all, compiled, bfloat16": {"compile": "on", "precision": "bfloat16"},
    "all, graphs, bfloat16": _GRAPHS | {"precision": "bfloat16"},
}


def main() -> None:
    """Measure, print tables, and end with one line of JSON."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--quick", action="store_true", help="small sizes, few steps")
    arguments.add_argument("--only", choices=("cpu", "gpu"), help="one kind of device")
    given = arguments.parse_args()
    figures: dict[str, float] = {}
    if given.only != "cpu" and torch.cuda.is_available():
        figures |= _on_gpu(quick=given.quick)
    if given.only != "gpu":
        figures |= _on_cpu(quick=given.quick)
    print(json.dumps({name: round(value, 3) for name, value in figures.items()}))


def _on_gpu(*, quick: bool) -> dict[str, float]:
    figures = {}
    for batch in (1, 8):
        config = TrainConfig(device="cuda", batch_size=batch)
        if quick:
            config = config.model_copy(update={"crop_px": 64, "num_blocks": 3})
        title = f"GPU, {config.crop_px}², batch {batch}"
        seconds = _measure(title, config, _GPU, 3 if quick else 30)
        plain = min(s for name, s in seconds.items() if name.startswith("plain"))
        ours = {name: s for name, s in seconds.items() if name.startswith("all")}
        exact = [
            s for name, s in ours.items() if _GPU[name].get("precision", "float32") == "float32"
        ]
        figures[f"ratio_gpu_batch{batch}"] = plain / min(ours.values())
        figures[f"ratio_gpu_batch{batch}_exact"] = seconds["plain"] / min(exact)
    return figures


def _on_cpu(*, quick: bool) -> dict[str, float]:
    presets = {}
    for name, preset in (("small", demo()), ("hour", hour())):
        config = preset.model_copy(update={"device": "cpu"})
        title = f"CPU, the preset {name}, {config.crop_px}², batch {config.batch_size}"
        seconds = _measure(title, config, _PRESET, 3 if quick else 20)
        presets[f"ratio_cpu_{name}"] = seconds["plain"] / seconds["all, not compiled"]
        presets[f"ratio_cpu_{name}_bfloat16"] = seconds["plain"] / seconds["all, bfloat16"]
    variants = _CPU
    config = TrainConfig(device="cpu")
    if quick:
        config = TrainConfig(device="cpu", crop_px=64, load_px=64, num_blocks=3, ndf=16)
        variants = {name: how for name, how in _CPU.items() if how["compile"] == "off"}
    title = f"CPU, {config.crop_px}², batch 1, instance norm, {config.num_blocks} blocks"
    seconds = _measure(title, config, variants, 3 if quick else 4)
    _explain_rounding(px=32)
    on_by_default = list(seconds.values())[-1]
    return presets | {"ratio_cpu": seconds["plain"] / on_by_default}


def _measure(
    title: str, config: TrainConfig, variants: Mapping[str, Mapping[str, Any]], num_steps: int
) -> dict[str, float]:
    """Print a table; the median seconds of a step of each variant."""
    print(f"\n{title}", flush=True)
    a, b = _pictures(config)
    steps: dict[str, Callable[[], None]] = {}
    gradient_errors: dict[str, float] = {}
    exact = None
    if config.device == "cpu" or config.batch_size == 1:  # a GPU's memory may not hold more
        exact = _exact_gradients(config, a, b)
    for name, changes in variants.items():
        began = time.perf_counter()
        gan = _built(config.model_copy(update=dict(changes)), alone=name == "channels-last")
        steps[name] = _stepper(gan, a, b)
        steps[name]()
        gradient_errors[name] = _distance(_gradients(gan), exact) if exact else float("nan")
        print(f"  {name:36} first step {time.perf_counter() - began:8.2f} s", flush=True)
    for step in list(steps.values()) * (2 if config.device == "cuda" else 0):
        step()  # graphs are recorded, and convolutions chosen, in the first few
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(num_steps):
        for name, step in steps.items():
            began = time.perf_counter()
            step()
            seconds[name].append(time.perf_counter() - began)
    with FlopCounterMode(display=False) as counter:
        _stepper(_built(config.model_copy(update=_PLAIN)), a, b)()
    floor = counter.get_total_flops() / _flops_per_s(config, a.device)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    for name, median in medians.items():
        print(
            f"  {name:36} {median:8.3f} s (fastest {min(seconds[name]):.3f})   "
            f"{medians['plain'] / median:5.2f} x   {floor / median:4.0%} of the floor's speed   "
            f"gradient {gradient_errors[name]:.1e}"
        )
    return medians


def _pictures(config: TrainConfig) -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(0)
    shape = (config.batch_size, 3, config.crop_px, config.crop_px)
    a, b = (torch.rand(shape, generator=rng).mul(2).sub(1).to(config.device) for _ in range(2))
    return a, b


def _built(config: TrainConfig, *, alone: bool = False) -> CycleGan:
    """``alone``: channels-last even where the layout is chosen otherwise."""
    prepare_torch(config)
    windows = face_windows(_ALIGNMENT) if config.face_windows else ()
    gan = build(config, windows=windows, to_compile=config.compile == "on" or alone)
    if config.compile == "on":
        compile_networks(gan)
    return gan


def _stepper(gan: CycleGan, a: Tensor, b: Tensor) -> Callable[[], None]:
    def step() -> None:
        prepare_torch(gan.config)  # a setting of the process, which other variants change
        gan.step(a, b)
        if gan.device.type == "cuda":
            torch.cuda.synchronize()

    return step


def _exact_gradients(config: TrainConfig, a: Tensor, b: Tensor) -> list[Tensor]:
    gan = _built(config.model_copy(update=_PLAIN))
    for network in gan.networks().values():
        network.double()
    gan.step(a.double(), b.double())
    return _gradients(gan)


def _gradients(gan: CycleGan) -> list[Tensor]:
    """Gradients of all weights in the last step; that of a bias before an instance norm is
    rounding.
    """
    return [
        weight.grad.double()
        for network in (gan.G_A, gan.G_B, gan.D_A, gan.D_B)
        for name, weight in network.named_parameters()
        if weight.grad is not None and name.endswith("weight")
    ]


def _distance(found: list[Tensor], wanted: list[Tensor]) -> float:
    squared = sum(float((f - w).square().sum()) for f, w in zip(found, wanted, strict=True))
    return float((squared / sum(float(w.square().sum()) for w in wanted)) ** 0.5)


def _explain_rounding(px: int) -> None:
    """One residual block in float32 and float64: the error by rounding, and its growth by ReLUs.

    A ReLU whose input is zero but for rounding passes its gradient or not: one among N moves the
    whole gradient by about 1 / √N, with direct convolutions as with Winograd's.
    """
    print(f"\nA residual block, 256 channels, {px}², batch 2: input gradient against float64")
    shape = (2, 256, px, px)
    for smooth, name, layout, winograd in (
        (False, "ReLU, contiguous", torch.contiguous_format, False),
        (False, "ReLU, channels-last", torch.channels_last, False),
        (False, "ReLU, channels-last, Winograd", torch.channels_last, True),
        (True, "softplus, channels-last", torch.channels_last, False),
        (True, "softplus, channels-last, Winograd", torch.channels_last, True),
    ):
        told = []
        for seed in range(4):
            rng = torch.Generator().manual_seed(seed)
            x, pull = torch.randn(shape, generator=rng).relu(), torch.randn(shape, generator=rng)
            exact, signs = _block_gradient(x, pull, smooth=smooth, exact=True)
            found, theirs = _block_gradient(
                x, pull, smooth=smooth, layout=layout, winograd=winograd
            )
            flipped = int((signs != theirs).sum()) if not smooth else 0
            told.append(f"{_distance([found], [exact]):.1e} ({flipped})")
        print(f"  {name:36} {'  '.join(told)}" + "   (ReLUs that differ)" * (not smooth))


def _block_gradient(
    x: Tensor,
    pull: Tensor,
    *,
    smooth: bool,
    exact: bool = False,
    layout: torch.memory_format = torch.contiguous_format,
    winograd: bool = False,
) -> tuple[Tensor, Tensor]:
    """The input's gradient by way of the convolutions, and the signs of what the ReLU gets."""
    torch.manual_seed(1)
    block = ResnetBlock(x.shape[1], "instance")
    for module in block.modules():
        if isinstance(module, Conv3x3):
            nn.init.normal_(module.weight, 0.0, 0.02)
            module.winograd = winograd
    signs: list[Tensor] = []
    norm = block.conv_block[2]
    assert isinstance(norm, InstanceNorm2d)
    norm.register_forward_hook(lambda _m, _i, output: signs.append(output > 0))
    if smooth:
        block.conv_block[3] = nn.Softplus()
    dtype = torch.float64 if exact else torch.float32
    block.to(dtype).to(memory_format=layout)
    x = x.to(dtype).contiguous(memory_format=layout).requires_grad_()
    (gradient,) = torch.autograd.grad(block(x), x, pull.to(dtype))
    return (gradient - pull).double(), signs[0]


def _flops_per_s(config: TrainConfig, device: torch.device) -> float:
    """Speed of a large matrix product on the device, in the arithmetic that ``config`` allows."""
    prepare_torch(config)
    matrix = torch.rand(2048, 2048, device=device)
    best = float("inf")
    for _ in range(5):
        began = time.perf_counter()
        float((matrix @ matrix)[0, 0])
        best = min(best, time.perf_counter() - began)
    return 2 * 2048**3 / best


if __name__ == "__main__":
    main()
