"""The arithmetic of convolutions: exact unless asked otherwise, and bfloat16 where it is fast."""

import pytest
import torch
from torch import nn

from training.build import build
from training.config import TrainConfig
from training.models.factory import build_generator
from training.models.layers import ReflectConv3x3, ResizeConv, without_autocast
from training.runtime import device
from training.runtime.device import arithmetic_of
from training.standard_configs import demo, hour

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        ({"amx_bf16": True, "avx512_bf16": True}, "bfloat16"),
        ({"amx_bf16": False, "avx512_bf16": True}, "bfloat16"),
        ({"amx_bf16": False, "avx512_bf16": False, "avx512_f": True}, "float32"),
        ({"architecture": "aarch64"}, "float32"),
    ],
)
def test_auto_is_bfloat16_where_the_cpu_has_instructions_for_it(
    known: dict[str, object], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: known, False)
    device._multiplies_bfloat16.cache_clear()
    try:
        for config in (demo(), hour()):
            assert arithmetic_of(config, CPU) == expected
            assert arithmetic_of(config, CUDA) == "float32"
        assert arithmetic_of(TrainConfig(), CPU) == "float32"  # the reference's mathematics
        assert arithmetic_of(TrainConfig(precision="tf32"), CUDA) == "tf32"
    finally:
        device._multiplies_bfloat16.cache_clear()


def test_a_torch_that_does_not_know_its_cpu_is_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    device._multiplies_bfloat16.cache_clear()
    try:
        assert arithmetic_of(demo(), CPU) == "float32"
    finally:
        device._multiplies_bfloat16.cache_clear()


def test_a_convolution_mirrors_the_picture_at_its_edges() -> None:
    theirs = nn.Conv2d(3, 5, 3, padding=1, padding_mode="reflect")
    ours = ReflectConv3x3(3, 5)
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(2, 3, 9, 7)
    assert torch.equal(ours(x), theirs(x))


@pytest.mark.parametrize("layer", [ReflectConv3x3(3, 4), ResizeConv(3, 4, bias=True)])
def test_pixels_are_moved_in_their_own_type(layer: nn.Module) -> None:
    x = torch.randn(1, 3, 8, 8, dtype=torch.bfloat16)
    convolution = layer.conv if isinstance(layer, ResizeConv) else layer
    found = []
    whole = torch.nn.functional.pad
    assert isinstance(convolution, nn.Conv2d)
    with torch.autocast("cpu", torch.bfloat16):
        assert whole(x, (1, 1, 1, 1), mode="reflect").dtype == torch.float32  # what costs time
        with without_autocast(x):
            found.append(whole(x, (1, 1, 1, 1), mode="reflect").dtype)
        found.append(layer(x).dtype)
    assert found == [torch.bfloat16, torch.bfloat16]


@pytest.mark.parametrize(
    "config", [demo(), TrainConfig(generator="bilateral")], ids=["fine_unet", "bilateral"]
)
def test_the_work_of_a_network_is_counted_without_computing_it(config: TrainConfig) -> None:
    with torch.device("meta"):
        generator = build_generator(config)
        assert generator(torch.empty(1, 3, 128, 128)).shape == (1, 3, 128, 128)


def test_weights_stay_exact_and_losses_are_numbers() -> None:
    small = {
        "generator": "fine_unet", "ngf": 4, "ndf": 4, "load_px": 128, "crop_px": 128,
        "norm": "batch", "batch_size": 2, "residual": True, "device": "cpu",
    }  # fmt: skip
    pictures = torch.rand(2, 2, 3, 128, 128, generator=torch.Generator().manual_seed(0)) * 2 - 1
    losses = {}
    for precision in ("float32", "bfloat16"):
        gan = build(TrainConfig.model_validate({**small, "precision": precision}))
        losses[precision] = gan.step(*pictures)
        assert all(p.dtype == torch.float32 for p in gan.G_A.parameters())
    for name, value in losses["float32"].items():
        assert losses["bfloat16"][name].isfinite()
        assert float(losses["bfloat16"][name]) == pytest.approx(float(value), rel=0.05, abs=0.01)
