from collections.abc import Callable

import pytest
import torch
from torch import nn

from training.config import TrainConfig
from training.models.discriminators import PatchDiscriminator, PixelDiscriminator
from training.models.factory import build_generator
from training.models.layers import InstanceNorm2d, Norm, ResizeConv, Upsampling
from training.models.resnet import ResnetGenerator
from training.models.unet import UnetGenerator
from training.models.weight_init import Init, init_weights
from training.models.winograd import conv3x3

# Mean, standard deviation and eighth value of the output, and the norm of the gradient of its sum
# of squares with respect to the input. Made with the classes of the reference's models/networks.py
# (commit 000f298, instance norm without running statistics as in its later commits) in float64 from
# the weights and pictures that _fill and _pictures give; two pictures, 2 to 4 channels.
GOLDEN = {
    ("resnet", "instance", 32): (0.139044957, 0.759037759, -0.638139356, 4262.0557182),
    ("unet_128", "instance", 128): (
        0.238134530,
        0.481592649,
        -0.064207520,
        7172.2455606,
    ),
    ("unet_256", "instance", 256): (-0.208794400, 0.413807991, 0.245729942, 4270.2085021),
    ("n_layers", "instance", 64): (0.431425502, 2.708755815, -4.281301205, 1169.9394075),
    ("pixel", "instance", 32): (-0.820478512, 0.159387775, -0.836357406, 22.937962885),
    ("resnet", "batch", 32): (0.244361697, 0.351273247, 0.223252521, 248.4345394),
    ("unet_128", "batch", 128): (0.267059624, 0.309608682, 0.232501761, 535.7801880),
    ("unet_256", "batch", 256): (-0.150717164, 0.307355002, 0.568522807, 506.4081002),
    ("n_layers", "batch", 64): (-0.272253100, 0.630487469, -0.243560655, 75.769990779),
    ("pixel", "batch", 32): (0.074974363, 0.014434393, 0.054978852, 0.243208861),
}


def _count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(("num_blocks", "expected"), [(9, 11_378_179), (6, 7_837_699)])
def test_generators_have_the_references_parameters(num_blocks: int, expected: int) -> None:
    assert _count(ResnetGenerator(num_blocks, 64)) == expected


def test_generator_keys_are_the_references() -> None:
    keys = list(ResnetGenerator(9, 64).state_dict())
    assert len(keys) == 48
    stems = {key.removesuffix(".weight").removesuffix(".bias") for key in keys}
    blocks = {f"model.{i}.conv_block.{j}" for i in range(10, 19) for j in (1, 5)}
    assert stems == {"model.1", "model.4", "model.7", "model.19", "model.22", "model.26", *blocks}


def test_discriminator_is_the_70_px_patch_gan() -> None:
    network = PatchDiscriminator(3, 64)
    stems = {key.rsplit(".", 1)[0] for key in network.state_dict()}
    assert stems == {f"model.{i}" for i in (0, 2, 5, 8, 11)}
    assert network(torch.zeros(1, 3, 256, 256)).shape == (1, 1, 30, 30)
    assert _receptive_field(network) == 70


def _receptive_field(network: PatchDiscriminator) -> int:
    field = 1
    for layer in reversed([m for m in network.model if isinstance(m, nn.Conv2d)]):
        field = (field - 1) * layer.stride[0] + layer.kernel_size[0]
    return field


def test_batch_norm_leaves_out_the_convolutions_bias() -> None:
    generator = ResnetGenerator(1, 4, "batch")
    biased = [m for m in generator.modules() if isinstance(m, nn.Conv2d) and m.bias is not None]
    assert len(biased) == 1  # the last one, which no norm follows
    assert any(isinstance(m, nn.BatchNorm2d) for m in generator.modules())


@pytest.mark.parametrize("norm", ["instance", "batch"])
def test_output_has_the_inputs_shape_and_range(norm: str) -> None:
    generator = ResnetGenerator(2, 8, norm)  # type: ignore[arg-type]
    output = generator(torch.rand(2, 3, 64, 48) * 2 - 1)
    assert output.shape == (2, 3, 64, 48)
    assert output.abs().max() <= 1


def test_initial_weights_follow_normal_0_002() -> None:
    network = ResnetGenerator(6, 64)
    init_weights(network, torch.Generator().manual_seed(0))
    weight = network.state_dict()["model.12.conv_block.1.weight"]
    assert abs(float(weight.mean())) < 1e-4
    assert float(weight.std()) == pytest.approx(0.02, rel=0.01)
    assert float(network.state_dict()["model.1.bias"].abs().max()) == 0


@pytest.mark.parametrize(("name", "norm", "px"), GOLDEN)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_networks_agree_with_the_references_golden_numbers(
    name: str, norm: Norm, px: int, layout: torch.memory_format
) -> None:
    networks = {
        "resnet": lambda: ResnetGenerator(2, 4, norm),
        "unet_128": lambda: UnetGenerator(7, 2, norm),
        "unet_256": lambda: UnetGenerator(8, 2, norm),
        "n_layers": lambda: PatchDiscriminator(3, 4, norm),
        "pixel": lambda: PixelDiscriminator(4, norm),
    }
    network = _fill(networks[name]()).to(memory_format=layout)
    pictures = _pictures(2, px).contiguous(memory_format=layout).requires_grad_()
    output = network(pictures)
    (gradient,) = torch.autograd.grad((output * output).sum(), pictures)
    found = (output.mean(), output.std(), output.flatten()[7], gradient.norm())
    assert [float(v.detach()) for v in found] == pytest.approx(GOLDEN[name, norm, px], rel=1e-7)


def _fill(network: nn.Module) -> nn.Module:
    for i, parameter in enumerate(network.parameters()):
        j = torch.arange(parameter.numel(), dtype=torch.float64)
        values = 0.3 * torch.sin(1 + 0.7 * i + 0.37 * j + 0.001 * j * j)
        parameter.data = values.view(parameter.shape)
    return network.double()


def _pictures(num: int, px: int) -> torch.Tensor:
    j = torch.arange(num * 3 * px * px, dtype=torch.float64)
    return torch.sin(0.011 * j + 0.2 * torch.sin(j)).view(num, 3, px, px)


@pytest.mark.parametrize(("num_downs", "expected"), [(8, 54_409_603), (7, 41_825_667)])
def test_unets_have_the_references_parameters(num_downs: int, expected: int) -> None:
    network = UnetGenerator(num_downs, 64)
    assert _count(network) == expected
    assert "model.model.1.model.3.model.1.weight" in network.state_dict()


def test_dropout_shifts_the_keys_as_in_the_reference() -> None:
    keys = ResnetGenerator(1, 4, dropout=True).state_dict()
    assert {"model.10.conv_block.1.weight", "model.10.conv_block.6.weight"} <= keys.keys()
    assert "model.10.conv_block.5.weight" not in keys


def test_instance_norm_has_the_same_gradients_in_both_layouts() -> None:
    """torch's own has wrong ones on a CPU in channels-last (found in torch 2.7 to 2.15)."""
    x = torch.rand(2, 5, 6, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    weights = torch.linspace(-1, 2, x.numel(), dtype=torch.float64).view(x.shape)

    def plain(x: torch.Tensor) -> torch.Tensor:
        mean = x.mean(dim=(2, 3), keepdim=True)
        variance = x.var(dim=(2, 3), keepdim=True, correction=0)
        return (x - mean) / (variance + 1e-5).sqrt()

    wanted = _gradient(plain, x, weights)
    for layout in (torch.contiguous_format, torch.channels_last):
        found = _gradient(InstanceNorm2d(5), x.contiguous(memory_format=layout), weights)
        torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-12)


def _gradient(
    function: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor, weights: torch.Tensor
) -> torch.Tensor:
    x = x.detach().requires_grad_()
    (gradient,) = torch.autograd.grad((function(x) * weights).sum(), x)
    return gradient


def test_winograd_is_the_direct_convolution_and_so_are_its_gradients() -> None:
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(2, 6, 10, 14, generator=rng, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(5, 6, 3, 3, generator=rng, dtype=torch.float64, requires_grad=True)
    wanted, found = nn.functional.conv2d(x, weight), conv3x3(x, weight)
    torch.testing.assert_close(found, wanted, rtol=1e-10, atol=1e-12)
    pull = torch.randn(wanted.shape, generator=rng, dtype=torch.float64)
    for one, two in zip(
        torch.autograd.grad(found, (x, weight), pull),
        torch.autograd.grad(wanted, (x, weight), pull),
        strict=True,
    ):
        torch.testing.assert_close(one, two, rtol=1e-10, atol=1e-12)
    single = conv3x3(x.detach().float(), weight.detach().float())
    assert float((single - wanted.detach()).norm() / wanted.detach().norm()) < 1e-5


def test_resize_convolutions_leave_no_grid_on_a_flat_picture() -> None:
    """A constant comes out constant (up to the border); transposed convolutions alternate."""
    torch.manual_seed(0)
    flat = torch.ones(1, 4, 8, 8)
    resize = ResizeConv(4, 2, bias=True)(flat)
    transposed = nn.ConvTranspose2d(4, 2, 3, stride=2, padding=1, output_padding=1)(flat)
    assert float(resize.detach().std(dim=(2, 3)).max()) < 1e-6
    assert float(transposed.detach()[:, :, 2:-2, 2:-2].std(dim=(2, 3)).max()) > 1e-3


@pytest.mark.parametrize("upsampling", ["transposed", "resize"])
def test_a_unet_enlarges_as_configured(upsampling: Upsampling) -> None:
    network = UnetGenerator(7, 2, upsampling=upsampling)
    output = network(torch.rand(1, 3, 128, 256))
    assert output.shape == (1, 3, 128, 256)
    kinds = {type(module) for module in network.modules()}
    assert (ResizeConv in kinds) == (upsampling == "resize")
    assert (nn.ConvTranspose2d in kinds) == (upsampling == "transposed")


@pytest.mark.parametrize("how", ["xavier", "kaiming", "orthogonal"])
def test_other_initialisations_are_torchs(how: Init) -> None:
    network = PatchDiscriminator(2, 4)
    init_weights(network, torch.Generator().manual_seed(3), 0.5, how)
    rng = torch.Generator().manual_seed(3)
    for layer in (m for m in network.model if isinstance(m, nn.Conv2d)):
        wanted = torch.empty_like(layer.weight)
        {
            "xavier": lambda w: nn.init.xavier_normal_(w, gain=0.5, generator=rng),
            "kaiming": lambda w: nn.init.kaiming_normal_(w, a=0, mode="fan_in", generator=rng),
            "orthogonal": lambda w: nn.init.orthogonal_(w, gain=0.5, generator=rng),
        }[how](wanted)
        assert torch.equal(layer.weight, wanted)
        assert float(layer.bias.detach().abs().max()) == 0  # type: ignore[union-attr]


@pytest.mark.parametrize("generator", ["resnet", "unet_128"])
@pytest.mark.parametrize("upsampling", ["transposed", "resize"])
def test_a_residual_generator_starts_as_the_identity_and_stays_in_range(
    generator: str, upsampling: Upsampling
) -> None:
    network = build_generator(
        TrainConfig.model_validate(
            {"generator": generator, "upsampling": upsampling, "num_blocks": 1, "ngf": 2}
            | {"residual": True}
        )
    )
    x = torch.rand(2, 3, 128, 128) * 2 - 1
    init_weights(network, torch.Generator().manual_seed(0))
    torch.testing.assert_close(network(x), x)
    (network(x) - 1).square().mean().backward()
    last = network.output_layer.weight
    assert last.grad is not None
    assert last.grad.abs().max() > 0  # it can learn all the same
    torch.nn.init.normal_(last)
    assert network(x).abs().max() <= 1
