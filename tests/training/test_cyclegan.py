"""One step, and its parts, compared with a plain transcription of the paper's equations."""

import copy
import random
import sysconfig
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import lr_scheduler

from training.algorithm import losses
from training.algorithm.cyclegan import CycleGan
from training.algorithm.diff_augment import augment
from training.algorithm.image_pool import ImagePool
from training.algorithm.schedules import Plateau, cycle_share, feature_share, learning_rate
from training.build import build
from training.config import TrainConfig
from training.models.layers import Conv3x3
from training.models.resnet import ResnetBlock
from training.runtime.compile import compile_networks, should_compile
from training.runtime.distributed import World

SMALL = TrainConfig(
    num_blocks=1, ngf=4, ndf=4, d_layers=2, load_px=32, crop_px=32, device="cpu", seed=3
)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Networks this small run no faster on two threads, and far slower on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def _in_float64(config: TrainConfig) -> CycleGan:
    gan = build(config, to_compile=config.channels_last)  # channels-last all the same
    for network in gan.networks().values():
        network.double()
    return gan


def _adversarial(kind: str, scores: Tensor, *, real: bool) -> Tensor:
    if kind == "lsgan":
        return ((scores - float(real)) ** 2).mean()
    if kind == "vanilla":
        probability = 1 / (1 + torch.exp(-scores))
        return -torch.log(probability if real else 1 - probability).mean()
    return -scores.mean() if real else scores.mean()


def _penalty(network: nn.Module, real: Tensor, fake: Tensor, shares: Tensor) -> Tensor:
    """Equation 3 of Gulrajani et al., picture by picture."""
    parts = []
    for one, two, share in zip(real, fake, shares, strict=True):
        between = (share * one + (1 - share) * two)[None].detach().requires_grad_()
        (slope,) = torch.autograd.grad(network(between).sum(), between, create_graph=True)
        parts.append((slope.pow(2).sum().sqrt() - 1) ** 2)
    return torch.stack(parts).mean()


def _plain_step(gan: CycleGan, a: Tensor, b: Tensor) -> dict[str, float]:
    """Equations 1 to 3 and the identity loss, pass by pass, with Adam written out by torch."""
    config = gan.config

    def l1(one: Tensor, two: Tensor) -> Tensor:
        return (one - two).abs().mean()

    def way_back(there: Tensor, one: Tensor, two: Tensor) -> Tensor:
        if not config.cycle_quality:
            return l1(one, two)
        parts = [  # picture by picture
            min(1.0, max(0.0, float(scores.detach().mean()))) * l1(back, before)
            for scores, back, before in zip(there, one, two, strict=True)
        ]
        return torch.stack(parts).mean()

    def judged(scores: Tensor, *, real: bool) -> Tensor:
        return _adversarial(config.gan_loss, scores, real=real)

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
    scores_b, scores_a = gan.D_A(fake_b), gan.D_B(fake_a)
    parts = {
        "G_A": judged(scores_b, real=True),
        "G_B": judged(scores_a, real=True),
        "cycle_A": config.lambda_a * way_back(scores_b, rec_a, a),
        "cycle_B": config.lambda_b * way_back(scores_a, rec_b, b),
        "identity_A": config.lambda_b * config.lambda_identity * l1(same_b, b),
        "identity_B": config.lambda_a * config.lambda_identity * l1(same_a, a),
    }
    adam_g.zero_grad()
    sum(parts.values()).backward()  # type: ignore[union-attr]
    adam_g.step()
    adam_d.zero_grad()
    rng = torch.Generator().manual_seed(config.seed * 1_000_003)
    for name, network, real, fake in (("D_A", gan.D_A, b, fake_b), ("D_B", gan.D_B, a, fake_a)):
        scores_fake = network(fake.detach()) if config.norm == "instance" else None
        loss = judged(network(real), real=True)
        scores_fake = network(fake.detach()) if scores_fake is None else scores_fake
        loss = 0.5 * (loss + judged(scores_fake, real=False))
        if config.gan_loss == "wgangp":
            shares = torch.rand(len(real), generator=rng).double()
            loss = loss + config.gradient_penalty * _penalty(network, real, fake.detach(), shares)
        parts[name] = loss
    (parts["D_A"] + parts["D_B"]).backward()
    adam_d.step()
    return {name: float(value.detach()) for name, value in parts.items()}


def _floats(found: dict[str, Tensor]) -> dict[str, float]:
    return {name: float(value) for name, value in found.items()}


SWITCHES = ("merge_passes", "channels_last", "fused_adam")


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"norm": "batch"},
        {"gan_loss": "vanilla"},
        {"gan_loss": "wgangp"},
        {"gan_loss": "wgangp", "merge_passes": False, "channels_last": False},
        {"discriminator": "pixel"},
        {"cycle_quality": True, "init_gain": 0.2},
        {"generator": "unet_128", "ngf": 2, "crop_px": 128, "load_px": 128},
        {"generator": "bilateral", "init_gain": 0.2},
        {"generator": "bilateral", "norm": "batch", "residual": True},
        {"lambda_a": 3.0, "lambda_b": 7.0, "lambda_identity": 0.25, "beta1": 0.9},
        *({name: False} for name in SWITCHES),
        dict.fromkeys(SWITCHES, False),
    ],
    ids=str,
)
def test_a_step_is_the_papers(changes: dict[str, Any]) -> None:
    """Losses, gradients and weights after one step, for each kind of network, loss and switch."""
    config = TrainConfig.model_validate(SMALL.model_dump() | {"batch_size": 2} | changes)
    gan = _in_float64(config)
    plain = copy.deepcopy(gan)
    for network in plain.networks().values():
        network.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    generator = torch.Generator().manual_seed(1)
    px = config.crop_px
    a, b = (torch.rand(2, 3, px, px, generator=generator).double() * 2 - 1 for _ in range(2))
    ours, theirs = _floats(gan.step(a, b)), _plain_step(plain, a, b)
    assert ours == pytest.approx(theirs, rel=1e-10)
    for name, network in gan.networks().items():
        wanted = dict(plain.networks()[name].named_parameters())
        for key, tensor in network.named_parameters():
            # A bias before an instance norm has a true gradient of zero, which Adam blows up.
            if config.norm == "batch" or key.endswith("weight"):
                assert tensor.grad is not None
                torch.testing.assert_close(tensor.grad, wanted[key].grad, rtol=1e-7, atol=1e-12)
                torch.testing.assert_close(tensor, wanted[key], rtol=1e-6, atol=1e-9)
        wanted_buffers = dict(plain.networks()[name].named_buffers())
        for key, tensor in network.named_buffers():
            torch.testing.assert_close(tensor, wanted_buffers[key], rtol=1e-9, atol=1e-12)


def test_a_float32_step_agrees_to_rounding() -> None:
    config = SMALL.model_copy(update={"batch_size": 2})
    gan, exact = build(config), _in_float64(config)
    generator = torch.Generator().manual_seed(1)
    a, b = (torch.rand(2, 3, 32, 32, generator=generator) * 2 - 1 for _ in range(2))
    ours, wanted = _floats(gan.step(a, b)), _floats(exact.step(a.double(), b.double()))
    assert ours == pytest.approx(wanted, rel=1e-5)


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # torch's compiler has deprecations of its own
def test_a_compiled_block_with_winograd_is_the_plain_one() -> None:
    torch.manual_seed(0)
    plain = ResnetBlock(8, "instance").to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    compiled = copy.deepcopy(plain)
    for module in compiled.modules():
        if isinstance(module, Conv3x3):
            module.winograd = True
    compiled.compile(dynamic=False)
    x = torch.randn(2, 8, 8, 12).to(memory_format=torch.channels_last).requires_grad_()
    pull = torch.randn(2, 8, 8, 12)
    wanted, found = plain(x), compiled(x)
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)
    names = [name for name, _ in plain.named_parameters() if name.endswith("weight")]
    gradients = [
        torch.autograd.grad(
            output, [x, *(dict(block.named_parameters())[name] for name in names)], pull
        )
        for output, block in ((wanted, plain), (found, compiled))
    ]
    for one, two in zip(*gradients, strict=True):
        assert float((one - two).norm() / one.norm()) < 1e-4


def test_compiling_is_for_networks_that_gain_by_it_where_it_is_possible(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gan = build(SMALL)
    assert not should_compile(gan.config, 10**6)
    large = build(SMALL.model_copy(update={"ngf": 32, "crop_px": 64, "load_px": 64}))
    assert should_compile(large.config, 10**6)
    monkeypatch.setattr(sysconfig, "get_path", lambda _: str(tmp_path))  # without headers
    assert not should_compile(large.config, 10**6)
    compile_networks(large)
    assert [m.winograd for m in large.G_A.modules() if isinstance(m, Conv3x3)] == [True, True]


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


def test_wgan_losses_are_means_and_vanilla_is_cross_entropy() -> None:
    scores = torch.tensor([0.5, -1.5])
    assert float(losses.adversarial(scores, real=True, kind="wgangp")) == 0.5
    assert float(losses.adversarial(scores, real=False, kind="wgangp")) == -0.5
    for real in (True, False):
        wanted = nn.functional.binary_cross_entropy_with_logits(
            scores, torch.full((2,), float(real))
        )
        found = losses.adversarial(scores, real=real, kind="vanilla")
        assert float(found) == pytest.approx(float(wanted))


def test_the_gradient_penalty_in_closed_form() -> None:
    """A linear judge has the same slope everywhere: 3 for three equal weights of sqrt(3)."""
    penalty = losses.gradient_penalty(
        lambda x: x.sum(dim=(1, 2, 3)) * 3**0.5,
        torch.rand(2, 3, 1, 1),
        torch.rand(2, 3, 1, 1),
        torch.rand(2),
    )
    assert float(penalty) == pytest.approx((3 - 1) ** 2)


@pytest.mark.parametrize("policy", ["step", "cosine", "plateau"])
def test_other_policies_are_torchs(policy: str) -> None:
    config = TrainConfig(
        lr_policy=policy,  # type: ignore[arg-type]
        num_epochs=20,
        num_epochs_decay=10,
        decay_step=7,
        learning_rate=1e-3,
    )
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1e-3)
    values = [10 / (1 + min(epoch, 9)) for epoch in range(30)]
    schedulers = {
        "step": lambda: lr_scheduler.StepLR(optimizer, step_size=7, gamma=0.1),
        "cosine": lambda: lr_scheduler.CosineAnnealingLR(optimizer, T_max=20),
        "plateau": lambda: lr_scheduler.ReduceLROnPlateau(
            optimizer, factor=0.2, threshold=0.01, patience=5
        ),
    }
    scheduler, plateau = schedulers[policy](), Plateau()
    for epoch, value in enumerate(values, start=1):
        wanted = optimizer.param_groups[0]["lr"]
        assert learning_rate(config, epoch, plateau) == pytest.approx(wanted, rel=1e-9, abs=1e-15)
        optimizer.step()
        scheduler.step(value) if policy == "plateau" else scheduler.step()  # type: ignore[call-arg]
        plateau.after_epoch(value)


def test_better_cycles_let_go_of_pixels() -> None:
    config = TrainConfig(num_epochs=3, num_epochs_decay=2, cycle_end=0.2, cycle_features=0.5)
    assert [round(cycle_share(config, epoch), 3) for epoch in range(1, 6)] == [
        1,
        0.8,
        0.6,
        0.4,
        0.2,
    ]
    assert [feature_share(config, epoch) for epoch in (1, 3, 5)] == [0, 0.25, 0.5]
    gan = build(SMALL)
    gan.set_cycle_shares(0.5, 0.25)
    a, b = (torch.rand(1, 3, 32, 32) * 2 - 1 for _ in range(2))
    with torch.no_grad():
        reconstructed = gan.G_B(gan.G_A(a))
        features = losses.cycle(gan.D_B.features(reconstructed), gan.D_B.features(a))  # type: ignore[operator]
        wanted = 10 * 0.5 * (0.75 * losses.cycle(reconstructed, a) + 0.25 * features)
    assert float(gan.step(a, b)["cycle_A"]) == pytest.approx(float(wanted), rel=1e-5)


def test_unreal_translations_need_not_come_back() -> None:
    scores = torch.tensor([[0.5, 1.5], [-3.0, 1.0], [0.2, 0.4]]).view(3, 1, 1, 2)
    weights = losses.quality(scores)
    torch.testing.assert_close(weights, torch.tensor([1.0, 0.0, 0.3]))
    likely = losses.quality(torch.zeros(1, 1, 2, 2), "vanilla")
    assert float(likely) == 0.5
    one, two = torch.zeros(3, 3, 4, 4), torch.ones(3, 3, 4, 4)
    assert float(losses.cycle(one, two, weights)) == pytest.approx(1.3 / 3)
    with pytest.raises(ValueError, match="cycle_quality: needs gan_loss"):
        TrainConfig(cycle_quality=True, gan_loss="wgangp")


def test_the_average_follows_the_weights() -> None:
    gan = build(SMALL.model_copy(update={"ema_decay": 0.5}))
    before = copy.deepcopy(gan.averages["G_A"].network.state_dict())
    a, b = (torch.rand(1, 3, 32, 32) * 2 - 1 for _ in range(2))
    gan.step(a, b)
    decay = 2 / 11  # early on: (1 + steps) / (10 + steps)
    for key, average in gan.averages["G_A"].network.state_dict().items():
        now = gan.G_A.state_dict()[key]
        torch.testing.assert_close(average, decay * before[key] + (1 - decay) * now)


@pytest.mark.parametrize("policy", ["color", "translation", "cutout"])
def test_differentiable_augmentation_changes_pictures_and_passes_gradients(policy: str) -> None:
    pictures = torch.rand(3, 3, 16, 16, requires_grad=True)
    changed = augment(pictures, [policy], torch.Generator().manual_seed(0), World())
    again = augment(pictures, [policy], torch.Generator().manual_seed(0), World())
    assert changed.shape == pictures.shape
    assert torch.equal(changed, again)
    assert not torch.equal(changed, pictures)
    (gradient,) = torch.autograd.grad(changed.sum(), pictures)
    assert float(gradient.abs().sum()) > 0
    halves = [
        augment(pictures[part], [policy], torch.Generator().manual_seed(0), World(rank, 3))
        for rank, part in enumerate((slice(0, 1), slice(1, 2), slice(2, 3)))
    ]
    torch.testing.assert_close(torch.cat(halves), changed)


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


@pytest.mark.slow
def test_networks_overfit_one_pair() -> None:
    gan = build(SMALL.model_copy(update={"learning_rate": 2e-3, "lambda_identity": 0.0}))
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.rand(1, 3, 32, 32, generator=generator) * 2 - 1 for _ in range(2))
    first = gan.step(a, b)
    for _ in range(150):
        last = gan.step(a, b)
    assert last["cycle_A"] + last["cycle_B"] < 0.6 * (first["cycle_A"] + first["cycle_B"])
