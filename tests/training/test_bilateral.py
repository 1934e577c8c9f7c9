"""Colours change by local matrices, which each pixel takes by its place and its own colour."""

import itertools
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional as F

from training.config import TrainConfig
from training.models.architecture import pixel_places
from training.models.bilateral import BilateralGenerator, Guide, sample_grid
from training.models.factory import architecture_of
from training.models.weight_init import init_weights
from training.run.checkpoint import load_generators
from training.train import train

TINY = TrainConfig(
    generator="bilateral",
    residual=True,
    norm="batch",
    ngf=4,
    ndf=4,
    d_layers=2,
    load_px=36,
    crop_px=32,
    batch_size=2,
    pool_size=3,
    num_epochs=4,
    num_epochs_decay=4,
    ema_decay=0.9,
    checkpoint_every=3,
    num_threads=1,
    device="cpu",
)


def _random(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(shape, generator=generator, dtype=torch.float64) * 2 - 1


def _network(*, residual: bool = True) -> BilateralGenerator:
    """In float64, with weights that change pictures much."""
    network = BilateralGenerator(4, "batch", residual=residual)
    init_weights(network, torch.Generator().manual_seed(0), gain=0.3)
    torch.nn.init.normal_(
        network.output_layer.weight, 0, 0.3, generator=torch.Generator().manual_seed(1)
    )
    return network.double().eval()


@pytest.mark.parametrize("norm", ["batch", "instance"])
def test_it_starts_as_the_identity(norm: str) -> None:
    network = BilateralGenerator(4, norm, residual=True)  # type: ignore[arg-type]
    init_weights(network, torch.Generator().manual_seed(0))
    x = _random(2, 3, 16, 24).float()
    assert torch.equal(network(x), x)


def test_it_has_the_parameters_that_it_says() -> None:
    assert sum(p.numel() for p in BilateralGenerator(16, "batch").parameters()) == 298_441


def test_the_first_guide_is_the_luminance_and_random_weights_leave_it() -> None:
    network = BilateralGenerator(4, residual=True)
    init_weights(network, torch.Generator().manual_seed(0))
    x = _random(1, 3, 8, 8).float()
    luminance = 0.299 * x[:, 0] + 0.587 * x[:, 1] + 0.114 * x[:, 2]
    torch.testing.assert_close(network.guide(x), torch.tanh(1.5 * luminance))
    assert len(list(Guide().parameters())) == 4


def _hat(distance: float) -> float:
    return max(0.0, 1 - abs(distance))


def test_a_slice_is_the_plain_sum_over_all_cells() -> None:
    """Every cell counts by its three distances from the pixel, at the edges as at the middle."""
    network = _network()
    x = _random(1, 3, 16, 16)
    grid = network.predict_grid(x)[0]
    pixels = _random(1, 3, 5, 7, seed=1)
    places = _random(1, 5, 7, 2, seed=2) * 0.6 + 0.5  # beyond the view, too
    _, depth, height, width = grid.shape
    guide = network.guide(pixels)[0]
    with torch.inference_mode():
        sliced = network.slice(grid[None], pixels, places)[0]
        for i, j in itertools.product(range(5), range(7)):
            share_x, share_y = places[0, i, j].tolist()
            x_cell = min(max(share_x * width - 0.5, 0), width - 1)
            y_cell = min(max(share_y * height - 0.5, 0), height - 1)
            z_cell = (float(guide[i, j]) + 1) / 2 * (depth - 1)
            matrix = torch.zeros(12, dtype=torch.float64)
            for z, y, column in itertools.product(range(depth), range(height), range(width)):
                weight = _hat(z - z_cell) * _hat(y - y_cell) * _hat(column - x_cell)
                matrix += weight * grid[:, z, y, column]
            matrix = matrix.reshape(3, 4)
            pixel = pixels[0, :, i, j]
            expected = (pixel + matrix[:, :3] @ pixel + matrix[:, 3]).clamp(-1, 1)
            torch.testing.assert_close(sliced[:, i, j], expected, rtol=1e-10, atol=1e-10)


def test_a_slice_is_torchs_sample_of_five_dimensions() -> None:
    grid, guide = _random(2, 12, 8, 6, 5), _random(2, 9, 11, seed=1)
    places = _random(2, 9, 11, 2, seed=2) / 2 + 0.5
    corners_aligned = torch.tensor([4 / 5, 5 / 6])  # of what torch takes for -1 to 1
    across_down = ((2 * places - 1) / corners_aligned).clamp(-1, 1)
    points = torch.cat([across_down, guide[..., None]], dim=-1)[:, None]
    expected = F.grid_sample(grid, points, padding_mode="border", align_corners=True)[:, :, 0]
    torch.testing.assert_close(sample_grid(grid, guide, places), expected)


@pytest.mark.parametrize("residual", [True, False])
def test_no_pixel_depends_on_those_beside_it(residual: bool) -> None:
    """A picture in parts, or in any order, is the picture; its own grid makes its translation."""
    network = _network(residual=residual)
    x = _random(2, 3, 24, 32)
    places = pixel_places(x)
    with torch.inference_mode():
        grid = network.predict_grid(x)
        whole = network.slice(grid, x, places)
        torch.testing.assert_close(whole, network(x))
        for num in (1, 5, 24):
            parts = [
                network.slice(grid, rows, where)
                for rows, where in zip(x.split(num, 2), places.split(num, 1), strict=True)
            ]
            torch.testing.assert_close(torch.cat(parts, dim=2), whole, rtol=1e-12, atol=1e-12)
        order = torch.randperm(32, generator=torch.Generator().manual_seed(0))
        shuffled = network.slice(grid, x[..., order], places[:, :, order])
        torch.testing.assert_close(shuffled, whole[..., order], rtol=1e-12, atol=1e-12)


def test_its_gradients_are_those_of_differences() -> None:
    grid = _random(2, 3, 4, 3, 4).requires_grad_()
    guide = _random(2, 3, 5, seed=1).requires_grad_()
    places = _random(1, 3, 5, 2, seed=2) / 2 + 0.5
    assert torch.autograd.gradcheck(lambda *args: sample_grid(*args, places), (grid, guide))
    network, x = _network(), (_random(1, 3, 16, 16, seed=3) / 4).requires_grad_()
    assert torch.autograd.gradcheck(network, (x,), fast_mode=True)


def test_a_few_steps_learn_a_change_of_colour() -> None:
    network = BilateralGenerator(8, "batch", residual=True)
    init_weights(network, torch.Generator().manual_seed(0))
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)
    x = _random(2, 3, 16, 16).float()
    target = torch.where(x.mean(dim=1, keepdim=True) > 0, 0.5 * x, x)  # of light pixels alone
    losses = []
    for _ in range(30):
        loss = (network(x) - target).abs().mean()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[1] < losses[0]
    assert losses[-1] < 0.5 * losses[0]


@pytest.mark.slow
def test_an_interrupted_run_ends_like_an_uninterrupted_one(dataset: Path, tmp_path: Path) -> None:
    whole = train(TINY, dataset, tmp_path / "whole")

    def stop(_stage: str, done: int, _total: int | None, _message: str) -> None:
        if done == 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(TINY, dataset, tmp_path / "halted", progress=stop)
    resumed = train(TINY, dataset, tmp_path / "halted")
    assert 0 < resumed.resumed_from_step <= 8
    files = sorted(whole.checkpoint.glob("*.safetensors"))
    assert {path.stem for path in files} >= {"G_A", "G_A_ema", "D_B"}
    for path in files:
        first, second = load_file(path), load_file(resumed.checkpoint / path.name)
        assert all(torch.equal(first[key], second[key]) for key in first), path.name
    averaged, _, config = load_generators(resumed.checkpoint, averaged=True)
    assert isinstance(averaged, BilateralGenerator)
    assert config == TINY


def test_its_facts() -> None:
    facts = architecture_of(TINY)
    assert (facts.multiple, facts.least_px, facts.is_in_reference) == (8, 16, False)
    network = _network()
    x = _random(1, 3, 320, 320)
    other = x.clone()
    other[:, :, :, : 160 - facts.margin_px] *= -1
    with torch.inference_mode():
        change = (network.predict_grid(x) - network.predict_grid(other)).abs()
    assert change[..., 80:].max() < 1e-9
    assert change.max() > 1e-3
