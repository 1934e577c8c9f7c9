import pytest
import torch
from torch import nn

from training.networks import PatchDiscriminator, ResnetGenerator, init_weights


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
