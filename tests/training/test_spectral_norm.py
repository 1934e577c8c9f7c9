"""Discriminators whose weights are normalised instead of their features."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from preprocessing.analysis.face_windows import Alignment
from training.build import build
from training.config import TrainConfig
from training.models.factory import build_discriminator
from training.models.window_discriminator import face_windows
from training.pix2pix import export_reference
from training.train import train

SMALL = TrainConfig(
    num_blocks=1, ngf=4, ndf=4, d_layers=2, norm="batch", batch_size=4, load_px=64, crop_px=64,
    num_epochs=2, num_epochs_decay=0, checkpoint_every=3, sample_every=100, num_threads=1,
    device="cpu", discriminator_norm="spectral",
)  # fmt: skip
WINDOWS = face_windows(Alignment(eye_distance=0.36, eye_height=0.40))


def changed(**values: object) -> TrainConfig:
    return TrainConfig.model_validate(SMALL.model_dump() | values)


def convolutions(network: nn.Module) -> list[nn.Conv2d]:
    return [module for module in network.modules() if isinstance(module, nn.Conv2d)]


@pytest.mark.parametrize("kind", ["n_layers", "pixel", "windows"])
@torch.no_grad()
def test_no_layer_stretches_its_input(kind: str) -> None:
    config = changed(discriminator="pixel" if kind == "pixel" else "n_layers")
    network = build_discriminator(config, WINDOWS if kind == "windows" else ())
    layers = convolutions(network)
    assert len(layers) == {"n_layers": 4, "pixel": 3, "windows": 12}[kind]
    rng = torch.Generator().manual_seed(0)
    for layer in layers:
        layer.parametrizations["weight"].original.normal_(0, 5, generator=rng)
    for _ in range(200):  # a power iteration each
        network(torch.zeros(1, 3, 64, 64))
    network.eval()
    for layer in layers:
        largest = torch.linalg.matrix_norm(layer.weight.flatten(1), 2)
        assert largest == pytest.approx(1, abs=0.01)  # it would be 80 and more


@torch.no_grad()
def test_a_tint_of_all_pictures_is_seen_that_batch_norm_hides() -> None:
    pictures = torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(0)) - 0.5

    def moved(norm: str, seed: int) -> float:
        network = build(changed(discriminator_norm=norm, seed=seed)).D_A
        bright, dark = network(pictures + 0.3), network(pictures - 0.3)
        spread = torch.cat([bright - bright.mean(), dark - dark.mean()]).std()
        return float((bright.mean() - dark.mean()).abs() / spread)

    seen, hidden = (sum(moved(norm, seed) for seed in range(6)) for norm in ("spectral", "same"))
    assert seen > 10 * hidden


def test_real_and_translated_pictures_pass_as_one_batch_with_the_same_result() -> None:
    rng = torch.Generator().manual_seed(0)
    real, fake = torch.randn(2, 4, 3, 64, 64, generator=rng, dtype=torch.float64)
    results = []
    for merge_passes in (True, False):
        gan = build(changed(merge_passes=merge_passes), windows=WINDOWS)
        network, sizes = gan.D_A.double().eval(), []  # eval: no power iteration between passes
        network.register_forward_hook(lambda _, given, __, sizes=sizes: sizes.append(len(given[0])))
        loss = gan._discriminator_loss(network, real, fake, torch.Generator())
        loss.backward()
        results.append([loss, *(p.grad for p in network.parameters())])
        assert sizes == ([8] if merge_passes else [4, 4])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12)


def test_networks_follow_from_the_seed_alone() -> None:
    torch.manual_seed(1)
    first = build(SMALL).D_A.state_dict()
    torch.manual_seed(2)
    again = build(SMALL).D_A.state_dict()
    assert first.keys() == again.keys()
    assert all(torch.equal(again[key], value) for key, value in first.items())
    other = build(changed(seed=1)).D_A.state_dict()
    key = "model.0.parametrizations.weight.original"
    assert not torch.equal(other[key], first[key])


def test_the_generators_start_as_with_other_discriminators() -> None:
    one, other = build(SMALL), build(changed(discriminator_norm="same"))
    assert all(
        torch.equal(value, other.G_A.state_dict()[key])
        for key, value in one.G_A.state_dict().items()
    )


class _StopError(Exception):
    pass


def test_an_interrupted_training_ends_like_an_uninterrupted_one(
    dataset: Path, tmp_path: Path
) -> None:
    def stop(_stage: str, done: int, _total: int | None, _message: str) -> None:
        if done == 4:
            raise _StopError

    whole = train(SMALL, dataset, tmp_path / "whole")
    with pytest.raises(_StopError):
        train(SMALL, dataset, tmp_path / "halted", progress=stop)
    resumed = train(SMALL, dataset, tmp_path / "halted")
    assert resumed.resumed_from_step > 0
    for name in ("G_A", "D_A"):
        one, other = (load_file(run.checkpoint / f"{name}.safetensors") for run in (whole, resumed))
        assert one.keys() == other.keys()
        assert all(torch.equal(other[key], value) for key, value in one.items())


def test_the_reference_gets_the_generators_alone(dataset: Path, tmp_path: Path) -> None:
    summary = train(SMALL, dataset, tmp_path / "run")
    names = {path.name for path in export_reference(summary.checkpoint, tmp_path / "theirs")}
    assert names == {"latest_net_G_A.pth", "latest_net_G_B.pth"}
