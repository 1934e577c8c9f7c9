"""One step against a plain transcription of the paper's equations, and the parts of it."""

import copy
import random
from collections import Counter

import pytest
import torch
from torch import Tensor

from training import losses
from training.config import TrainConfig
from training.pool import ImagePool
from training.schedule import learning_rate
from training.step import CycleGan, build

SMALL = TrainConfig(
    num_blocks=1, ngf=4, ndf=4, d_layers=2, load_px=32, crop_px=32, device="cpu", seed=3
)


def _in_float64(config: TrainConfig) -> CycleGan:
    gan = build(config)
    for network in gan.networks().values():
        network.double()
    return gan


def _plain_step(gan: CycleGan, a: Tensor, b: Tensor) -> dict[str, float]:
    """Equations 1 to 3 and the identity loss, pass by pass, with Adam written out by torch."""
    config = gan.config

    def mse(scores: Tensor, target: float) -> Tensor:
        return ((scores - target) ** 2).mean()

    def l1(one: Tensor, two: Tensor) -> Tensor:
        return (one - two).abs().mean()

    betas = (config.beta1, 0.999)
    adam_g = torch.optim.Adam(
        [*gan.G_A.parameters(), *gan.G_B.parameters()], config.learning_rate, betas
    )
    adam_d = torch.optim.Adam(
        [*gan.D_A.parameters(), *gan.D_B.parameters()], config.learning_rate, betas
    )
    fake_b = gan.G_A(a)
    rec_a = gan.G_B(fake_b)
    fake_a = gan.G_B(b)
    rec_b = gan.G_A(fake_a)
    same_b, same_a = gan.G_A(b), gan.G_B(a)
    parts = {
        "G_A": mse(gan.D_A(fake_b), 1),
        "G_B": mse(gan.D_B(fake_a), 1),
        "cycle_A": config.lambda_a * l1(rec_a, a),
        "cycle_B": config.lambda_b * l1(rec_b, b),
        "identity_A": config.lambda_b * config.lambda_identity * l1(same_b, b),
        "identity_B": config.lambda_a * config.lambda_identity * l1(same_a, a),
    }
    adam_g.zero_grad()
    sum(parts.values()).backward()  # type: ignore[union-attr]
    adam_g.step()
    adam_d.zero_grad()
    parts["D_A"] = 0.5 * (mse(gan.D_A(b), 1) + mse(gan.D_A(fake_b.detach()), 0))
    parts["D_B"] = 0.5 * (mse(gan.D_B(a), 1) + mse(gan.D_B(fake_a.detach()), 0))
    (parts["D_A"] + parts["D_B"]).backward()
    adam_d.step()
    return {name: float(value.detach()) for name, value in parts.items()}


@pytest.mark.parametrize("norm", ["instance", "batch"])
def test_a_step_is_the_papers(norm: str) -> None:
    config = SMALL.model_copy(update={"norm": norm, "batch_size": 2})
    gan = _in_float64(config)
    plain = copy.deepcopy(gan)
    for network in plain.networks().values():
        network.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    generator = torch.Generator().manual_seed(1)
    a, b = (torch.rand(2, 3, 32, 32, generator=generator).double() * 2 - 1 for _ in range(2))
    ours, theirs = gan.step(a, b), _plain_step(plain, a, b)
    assert ours == pytest.approx(theirs, rel=1e-10)
    for name, network in gan.networks().items():
        wanted = plain.networks()[name].state_dict()
        for key, tensor in network.state_dict().items():
            # A bias before an instance norm has a true gradient of zero, which Adam blows up.
            if norm == "batch" or key.endswith("weight"):
                torch.testing.assert_close(tensor, wanted[key], rtol=1e-6, atol=1e-9)


def test_least_squares_losses_in_closed_form() -> None:
    scores = torch.tensor([0.0, 2.0])
    assert float(losses.adversarial(scores, real=True)) == 1
    assert float(losses.adversarial(scores, real=False)) == 2
    assert float(losses.discriminator(torch.ones(3), torch.zeros(3))) == 0


def test_the_pool_returns_new_pictures_until_it_is_full() -> None:
    pool = ImagePool(3, random.Random(0))
    for value in range(3):
        new = torch.full((1, 3, 2, 2), float(value))
        assert torch.equal(pool.exchange(new), new)


def test_a_full_pool_exchanges_every_other_picture() -> None:
    pool = ImagePool(5, random.Random(0))
    returned = [
        float(pool.exchange(torch.full((1, 3, 1, 1), float(v)))[0, 0, 0, 0]) for v in range(2005)
    ]
    exchanged = sum(got != value for value, got in enumerate(returned))
    assert 900 < exchanged < 1100
    assert max(Counter(returned).values()) <= 2  # the first ones were shown when stored


def test_a_pool_of_none_returns_what_comes() -> None:
    new = torch.rand(2, 3, 4, 4)
    assert torch.equal(ImagePool(0, random.Random(0)).exchange(new), new)


@pytest.mark.parametrize(
    ("decay", "factors"),
    [
        ("after-epoch", {1: 1.0, 100: 1.0, 101: 1 - 1 / 101, 200: 1 / 101}),
        ("before-epoch", {1: 1.0, 99: 1.0, 100: 1 - 1 / 101, 200: 0.0}),
    ],
)
def test_the_rate_decays_as_in_the_reference(decay: str, factors: dict[int, float]) -> None:
    config = TrainConfig(decay=decay, learning_rate=1.0e-3)  # type: ignore[arg-type]
    for epoch, factor in factors.items():
        assert learning_rate(config, epoch) == pytest.approx(1.0e-3 * factor, abs=1e-12)


def test_networks_overfit_one_pair() -> None:
    gan = build(SMALL.model_copy(update={"learning_rate": 2e-3, "lambda_identity": 0.0}))
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.rand(1, 3, 32, 32, generator=generator) * 2 - 1 for _ in range(2))
    first = gan.step(a, b)
    for _ in range(150):
        last = gan.step(a, b)
    assert last["cycle_A"] + last["cycle_B"] < 0.6 * (first["cycle_A"] + first["cycle_B"])
