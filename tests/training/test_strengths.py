"""A generator's strength multiplies its change; a stored model keeps it beside its weights."""

import copy
import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

from core.errors import CheckpointError
from core.files import write_json
from training.config import TrainConfig
from training.models.architecture import Generator, SliceableGenerator, pixel_places
from training.models.factory import GENERATORS, build_generator
from training.pix2pix import export_reference, import_reference
from training.run.checkpoint import load_generator, load_generators, save_weights
from training.run.strengths import load_strengths

NETWORKS = [(name, residual) for name in GENERATORS for residual in (False, True)]


def _config(name: str = "resnet", *, residual: bool = False) -> TrainConfig:
    px = max(GENERATORS[name].multiple, 32)
    return TrainConfig(
        generator=name, num_blocks=1, ngf=4, ndf=4, load_px=px, crop_px=px, norm="batch",
        residual=residual,
    )  # fmt: skip


def _generator(name: str, *, residual: bool) -> Generator:
    torch.manual_seed(0)
    return build_generator(_config(name, residual=residual)).eval()


def _picture(px: int) -> Tensor:
    return torch.rand(2, 3, px, px, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.mark.parametrize(("name", "residual"), NETWORKS)
@torch.inference_mode()
def test_at_1_every_bit_is_the_references(name: str, *, residual: bool) -> None:
    network, x = _generator(name, residual=residual), _picture(_config(name).crop_px)
    drawn = network.draw(x)
    assert torch.equal(network(x), (x + drawn).clamp(-1, 1) if residual else drawn)


@pytest.mark.parametrize(("name", "residual"), NETWORKS)
@torch.inference_mode()
def test_a_strength_multiplies_the_change(name: str, *, residual: bool) -> None:
    network, x = _generator(name, residual=residual), _picture(_config(name).crop_px)
    before = set(network.state_dict())
    drawn = network.draw(x)
    change = drawn if residual else drawn - x
    for strength in (0.5, 1.25, 3.0):
        network.strength = strength
        wanted = (x + strength * change).clamp(-1, 1)
        assert torch.allclose(network(x), wanted, atol=1e-6)
        assert torch.equal(copy.deepcopy(network)(x), network(x))
    assert (wanted - x).abs().max() > 0.01
    assert wanted.abs().max() <= 1
    assert set(network.state_dict()) == before


@torch.inference_mode()
def test_a_slice_has_the_strength_of_the_whole() -> None:
    network, x = _generator("bilateral", residual=True), _picture(32)
    assert isinstance(network, SliceableGenerator)
    network.strength = 1.5
    sliced = network.slice(network.predict_grid(x), x, pixel_places(x))
    assert torch.equal(sliced, network(x))
    network.strength = 1.0
    assert not torch.equal(sliced, network(x))


def _write_model(folder: Path, stored: str | None = None) -> Path:
    folder.mkdir(parents=True)
    config = _config()
    for name in ("G_A", "G_B"):
        save_weights(folder / f"{name}.safetensors", _generator("resnet", residual=False))
    write_json(folder / "config.json", config.model_dump(mode="json"))
    if stored is not None:
        (folder / "strengths.json").write_text(stored)
    return folder


def test_a_model_has_its_strengths_and_a_checkpoint_1(tmp_path: Path) -> None:
    model = _write_model(tmp_path / "model", '{"G_A": 1.25, "G_B": 1}')
    G_A, G_B, _ = load_generators(model)
    assert (G_A.strength, G_B.strength) == (1.25, 1)
    assert load_generator(model, "G_A")[0].strength == 1.25
    checkpoint = _write_model(tmp_path / "checkpoint")
    assert [network.strength for network in load_generators(checkpoint)[:2]] == [1, 1]
    (model / "strengths.json").write_text('{"G_B": 3}')
    assert load_strengths(model) == {"G_A": 1, "G_B": 3}


@pytest.mark.parametrize(
    ("stored", "found"),
    [
        ('{"G_A": 0}', "found 0 as the strength of G_A, needed a number above 0"),
        ('{"G_A": -1}', "found -1 "),
        ('{"G_B": 3.01}', "found 3.01 as the strength of G_B, .*at most 3"),
        ('{"G_A": NaN}', "found NaN"),
        ('{"G_A": Infinity}', "found Infinity"),
        (f'{{"G_A": 1{"0" * 400}}}', "found 1000.*… as the strength"),
        ('{"G_A": "1.25"}', 'found "1.25"'),
        ('{"G_A": true}', "found true"),
        ('{"G_A": null}', "found null"),
        ('{"G_A": [1]}', r"found \[1\]"),
        ('{"g_a": 1.25}', 'found a strength of "g_a", needed those of G_A and G_B'),
        ("[1.25, 1]", "needed an object"),
        ("", "no whole JSON"),
        ("[" * 100_000, "found no strengths"),
        ("\x00\xff", "found no strengths"),
    ],
)
def test_a_strength_that_is_none_is_named(tmp_path: Path, stored: str, found: str) -> None:
    model = _write_model(tmp_path / "model", stored)
    with pytest.raises(CheckpointError, match=found) as raised:
        load_generators(model)
    assert "strengths.json" in str(raised.value)
    assert "copy the model's folder again" in str(raised.value)
    assert len(str(raised.value)) < 600


def test_the_references_files_hold_no_strength(tmp_path: Path) -> None:
    model = _write_model(tmp_path / "model", '{"G_A": 1.25}')
    with pytest.raises(
        CheckpointError, match=r"strengths G_A 1\.25 and G_B 1, .*onnx.*evaluate\.strengths \[\]"
    ):
        export_reference(model, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    (model / "strengths.json").write_text('{"G_A": 1, "G_B": 1.0}')
    assert len(export_reference(model, tmp_path / "out")) == 2


def test_an_imported_model_does_not_inherit_a_strength(tmp_path: Path) -> None:
    model = _write_model(tmp_path / "model")
    export_reference(model, tmp_path / "theirs")
    ours = tmp_path / "ours"
    for _ in range(2):
        import_reference(tmp_path / "theirs", ours)
        assert load_strengths(ours) == {"G_A": 1, "G_B": 1}
        (ours / "strengths.json").write_text(json.dumps({"G_A": 2}))
