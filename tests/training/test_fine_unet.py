"""The U-Net that also sees the picture at its own resolution."""

import torch

from training.config import TrainConfig
from training.models.factory import build_generator
from training.models.fine_unet import FineUnetGenerator
from training.models.weight_init import init_weights
from training.standard_configs import demo


def test_it_has_the_parameters_that_it_says() -> None:
    assert sum(p.numel() for p in FineUnetGenerator(16, "batch").parameters()) == 1_897_439


def test_it_starts_as_the_identity_with_a_gradient_for_every_layer() -> None:
    network = build_generator(demo())
    init_weights(network, torch.Generator().manual_seed(0))
    x = torch.rand(2, 3, 128, 128) * 2 - 1
    torch.testing.assert_close(network(x), x)
    with torch.no_grad():
        network.output_layer.weight.normal_(0, 0.05)
    network(x).square().mean().backward()  # type: ignore[no-untyped-call]
    norms = {
        name: float(p.grad.norm()) for name, p in network.named_parameters() if p.grad is not None
    }
    assert len(norms) == len(list(network.parameters()))
    assert all(norm > 0 for name, norm in norms.items() if name.endswith("weight"))


def test_it_can_change_one_pixel_alone() -> None:
    """The reference's U-Net cannot: its last features are two pixels wide."""
    network = FineUnetGenerator(4, "batch", residual=True).eval()
    x = torch.zeros(1, 3, 128, 128)
    x[..., 64, 64] = 1
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        for layer in (network.fine[0], network.last[1], network.last[3]):
            layer.weight[0, 0, 1, 1] = 1
        change = network.draw(x)
    assert change[0, 0, 64, 64] > 0.7
    assert (change != 0).sum() == 1


def test_its_weights_are_its_own_whatever_the_configuration_says() -> None:
    config = TrainConfig(generator="fine_unet", ngf=4, load_px=128, crop_px=128)
    one, other = (build_generator(config) for _ in range(2))
    init_weights(one, torch.Generator().manual_seed(0), 0.02, "normal")
    init_weights(other, torch.Generator().manual_seed(0), 0.5, "orthogonal")
    for first, second in zip(one.parameters(), other.parameters(), strict=True):
        assert torch.equal(first, second)
