"""The network for inference computes the same function as the trained network."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from serving.cpu_convolution import WinogradConv, transforms
from serving.cpu_inference import FastResnet, InstanceNorm, optimize_for_cpu, shared_statistics
from training.models.architecture import SliceableGenerator
from training.models.bilateral import BilateralGenerator
from training.models.resnet import ResnetGenerator
from training.models.weight_init import init_weights


def _network(
    norm: str, ngf: int = 8, blocks: int = 2, *, residual: bool = False
) -> ResnetGenerator:
    rng = torch.Generator().manual_seed(1)
    network = ResnetGenerator(blocks, ngf, norm)
    init_weights(network, rng, gain=0.1)
    network.residual = residual
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d) and module.bias is not None:
            nn.init.normal_(module.bias, generator=rng)
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, generator=rng)
            nn.init.uniform_(module.running_var, 0.5, 2, generator=rng)
            nn.init.normal_(module.bias, generator=rng)
    return network.eval()


def test_winograds_transforms_are_exact() -> None:
    outputs, taps, inputs = transforms()
    rng = np.random.default_rng(0)
    signal, kernel = rng.normal(size=6), rng.normal(size=3)
    found = outputs @ ((taps @ kernel) * (inputs @ signal))
    assert np.allclose(found, np.correlate(signal, kernel, "valid"), atol=1e-12)


@pytest.mark.parametrize("size", [(3, 3), (6, 9), (18, 18), (13, 34)])
def test_winograd_is_a_convolution(size: tuple[int, int]) -> None:
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(2, 5, *size, generator=rng)
    weight, bias = torch.randn(7, 5, 3, 3, generator=rng), torch.randn(7, generator=rng)
    direct = F.conv2d(x.double(), weight.double(), bias.double())
    assert torch.allclose(WinogradConv(weight, bias)(x).double(), direct, atol=5e-5)


@pytest.mark.parametrize(
    ("norm", "residual"), [("instance", False), ("instance", True), ("batch", False)]
)
@pytest.mark.parametrize("strength", [1, 1.5])
@pytest.mark.parametrize("size", [(32, 32), (20, 44)])
@torch.inference_mode()
def test_a_rearranged_generator_is_the_same_function(
    norm: str, size: tuple[int, int], strength: float, *, residual: bool
) -> None:
    network = _network(norm, residual=residual)
    network.strength = strength
    x = torch.rand(3, 3, *size, generator=torch.Generator().manual_seed(0)) * 2 - 1
    wanted = network(x)
    assert wanted.std() > 0.05
    fast = optimize_for_cpu(network)
    assert isinstance(fast, FastResnet)
    assert (fast(x) - wanted).abs().max() < 1e-4


@torch.inference_mode()
def test_another_network_only_has_its_norms_exchanged() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Sequential(nn.InstanceNorm2d(4)), nn.ReLU())
    x = torch.rand(2, 3, 16, 16)
    wanted = network(x)
    arranged = optimize_for_cpu(network)
    assert arranged is network
    assert any(isinstance(module, InstanceNorm) for module in network.modules())
    assert torch.allclose(arranged(x), wanted, atol=1e-5)


@torch.inference_mode()
def test_shared_statistics_are_those_of_all_pieces_and_end_with_the_block() -> None:
    norm = InstanceNorm()
    pieces = torch.randn(4, 3, 8, 8) * 3 + 1
    alone = norm(pieces)
    with shared_statistics(norm, pieces):
        together = norm(pieces)
        assert together.mean(dim=(0, 2, 3)).abs().max() < 1e-5
        assert torch.equal(norm(pieces[:1]), together[:1])  # no longer depends on the piece
    assert not torch.allclose(together, alone)
    assert torch.equal(norm(pieces), alone)


@torch.inference_mode()
def test_a_bilateral_generator_stays_one_that_can_be_sliced() -> None:
    network = BilateralGenerator(4, "instance", residual=True)
    x = torch.rand(2, 3, 24, 40, generator=torch.Generator().manual_seed(0)) * 2 - 1
    expected = network.eval()(x)
    fast = optimize_for_cpu(network)
    assert isinstance(fast, SliceableGenerator)
    assert any(isinstance(module, InstanceNorm) for module in fast.modules())
    assert (fast(x) - expected).abs().max() < 1e-5
