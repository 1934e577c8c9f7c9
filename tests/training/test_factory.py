"""Only the factory names the generators: a new one is a module and a line."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import ValidationError
from torch import Tensor, nn

from core.errors import CheckpointError
from training.config import TrainConfig
from training.models.architecture import Architecture, Generator
from training.models.factory import (
    GENERATORS,
    GeneratorEntry,
    architecture_of,
    build_generator,
    recognise_generator,
)
from training.models.weight_init import init_weights
from training.pix2pix import export_reference
from training.run.checkpoint import load_generator
from training.runtime.compile import should_compile
from training.train import train

OUR_OWN = {"fine_unet", "bilateral"}  # generators that the reference does not have


class TinyGenerator(Generator):
    """A generator of one convolution, for pictures whose sides are multiples of 3."""

    def __init__(self, *, residual: bool) -> None:
        super().__init__(residual=residual)
        self.convolution = nn.Conv2d(3, 3, 3, padding=1)

    @property
    def output_layer(self) -> nn.Conv2d:
        return self.convolution

    def draw(self, x: Tensor) -> Tensor:
        assert x.shape[2] % 3 == x.shape[3] % 3 == 0
        return torch.tanh(self.convolution(x))


def build(config: TrainConfig) -> TinyGenerator:
    """The function that every generator's module has; this module is that of a new generator."""
    return TinyGenerator(residual=config.residual)


def architecture(_config: TrainConfig) -> Architecture:
    return Architecture(label="one convolution", multiple=3, least_px=3, margin_px=1, tile_px=96)


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> TrainConfig:
    """A configuration of a generator that only the factory names."""
    monkeypatch.setitem(sys.modules, "tiny_generator", sys.modules[__name__])
    monkeypatch.setitem(GENERATORS, "tiny", GeneratorEntry("tiny_generator", multiple=3))
    return TrainConfig(
        generator="tiny", ndf=4, d_layers=2, load_px=33, crop_px=33, num_epochs=1,
        num_epochs_decay=0, num_threads=1, device="cpu",
    )  # fmt: skip


def test_a_new_generator_is_built_described_and_offered(tiny: TrainConfig) -> None:
    assert isinstance(build_generator(tiny), TinyGenerator)
    facts = architecture_of(tiny)
    assert (facts.label, facts.multiple) == ("one convolution", 3)
    assert not should_compile(tiny, 10**9)
    properties = TrainConfig.model_json_schema()["properties"]
    names = ["resnet", "unet_128", "unet_256", "fine_unet", "bilateral", "tiny"]
    assert properties["generator"]["enum"] == names
    with pytest.raises(ValidationError, match=r"crop_px: got 32, needed a multiple of 3 for tiny"):
        TrainConfig(generator="tiny", load_px=33, crop_px=32)


def test_a_new_generator_trains_and_is_loaded(tiny: TrainConfig, tmp_path: Path) -> None:
    for side in ("trainA", "trainB"):
        (tmp_path / side).mkdir()
        pixels = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / side / "0.png")
    summary = train(tiny, tmp_path, tmp_path / "run")
    assert summary.steps == 1
    generator, config = load_generator(summary.checkpoint, "G_A")
    assert config == tiny
    assert generator(torch.zeros(1, 3, 33, 66)).shape == (1, 3, 33, 66)
    with pytest.raises(CheckpointError, match="generator is tiny, which the reference does not"):
        export_reference(summary.checkpoint, tmp_path / "reference")


def test_a_new_residual_generator_starts_as_the_identity(tiny: TrainConfig) -> None:
    network = build_generator(tiny.model_copy(update={"residual": True}))
    init_weights(network, torch.Generator().manual_seed(0))
    x = torch.rand(2, 3, 6, 9) * 2 - 1
    torch.testing.assert_close(network(x), x)


@pytest.mark.parametrize("name", GENERATORS)
@pytest.mark.parametrize("norm", ["instance", "batch"])
def test_a_generator_agrees_with_its_facts_and_is_recognised(name: str, norm: str) -> None:
    config = TrainConfig.model_validate(
        {"generator": name, "norm": norm, "num_blocks": 2, "ngf": 2}
    )
    network, facts = build_generator(config), architecture_of(config)
    assert facts.multiple == GENERATORS[name].multiple
    assert facts.tile_px > 2 * facts.margin_px
    shape = (2, 3, facts.least_px, facts.least_px + facts.multiple)
    assert network.eval()(torch.zeros(shape)).shape == shape
    blocks = [m for block in network.repeated_blocks() for m in block.modules()]
    widths = {module.in_channels for module in blocks if isinstance(module, nn.Conv2d)}
    assert widths == ({facts.block_channels} if facts.block_channels else set())
    fields = recognise_generator(network.state_dict())
    assert (fields is not None) == facts.is_in_reference == (name not in OUR_OWN)
    if fields is not None:
        assert fields == config.model_dump(include=set(fields))


def test_a_generator_that_is_not_registered_is_refused_by_name() -> None:
    with pytest.raises(ValidationError, match="got 'vit', needed one of resnet, unet_128"):
        TrainConfig(generator="vit")
    assert recognise_generator({"classifier.weight": torch.zeros(3)}) is None
