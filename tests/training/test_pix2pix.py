"""Checkpoints of the reference are read and written; others are refused."""

import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from core.errors import CheckpointError
from training.config import TrainConfig
from training.models.factory import build_discriminator, build_generator
from training.pix2pix import export_reference, import_reference
from training.run.checkpoint import load_generator, load_generators, save_weights

CONFIGS = [
    TrainConfig(num_blocks=2, ngf=4, ndf=4),
    TrainConfig(num_blocks=3, ngf=4, ndf=4, norm="batch", d_layers=2),
    TrainConfig(num_blocks=2, ngf=4, ndf=4, dropout=True, discriminator="pixel"),
    TrainConfig(generator="unet_128", ngf=2, ndf=4),
    TrainConfig(generator="unet_256", ngf=2, ndf=4, norm="batch"),
]


def _networks(config: TrainConfig) -> dict[str, nn.Module]:
    torch.manual_seed(0)
    generators = {name: build_generator(config) for name in ("G_A", "G_B")}
    return generators | {name: build_discriminator(config) for name in ("D_A", "D_B")}


def _reference_folder(folder: Path, config: TrainConfig, epoch: str = "latest") -> Path:
    """Save networks like the reference's ``save_networks``."""
    folder.mkdir()
    for name, network in _networks(config).items():
        torch.save(network.state_dict(), folder / f"{epoch}_net_{name}.pth")
    return folder


@pytest.mark.parametrize("config", CONFIGS, ids=["resnet", "batch", "dropout", "u128", "u256"])
def test_a_reference_checkpoint_comes_in_and_goes_out_unchanged(
    config: TrainConfig, tmp_path: Path
) -> None:
    source = _reference_folder(tmp_path / "theirs", config, "200")
    found = import_reference(source, tmp_path / "ours", epoch="200")
    wanted = config.model_dump(include={"generator", "ngf", "norm", "ndf", "discriminator"})
    assert found.model_dump(include=set(wanted)) == wanted
    g_a, g_b, _ = load_generators(tmp_path / "ours")
    picture = torch.rand(1, 3, 256, 256) * 2 - 1
    theirs = _networks(config)
    assert torch.equal(g_a(picture), theirs["G_A"].eval()(picture))
    assert torch.equal(g_b(picture), theirs["G_B"].eval()(picture))
    files = export_reference(tmp_path / "ours", tmp_path / "back", epoch="200")
    assert len(files) == 4
    for file in files:
        there = torch.load(source / file.name, weights_only=True)
        back = torch.load(file, weights_only=True)
        assert list(back) == list(there)
        assert all(torch.equal(back[key], there[key]) for key in there)


def test_a_published_model_has_one_direction(tmp_path: Path) -> None:
    network = build_generator(CONFIGS[0])
    folder = tmp_path / "horse2zebra"
    folder.mkdir()
    torch.save(network.state_dict(), folder / "latest_net_G.pth")
    import_reference(folder, tmp_path / "ours")
    ours, config = load_generator(tmp_path / "ours", "G_A")
    assert config.num_blocks == 2
    assert all(torch.equal(ours.state_dict()[k], v) for k, v in network.state_dict().items())
    with pytest.raises(CheckpointError, match=r"G_B.*other direction alone"):
        load_generator(tmp_path / "ours", "G_B")
    (file,) = export_reference(tmp_path / "ours", tmp_path / "back")
    assert file.name == "latest_net_G.pth"


def test_old_files_carry_statistics_prefixes_and_another_format(tmp_path: Path) -> None:
    network = build_generator(CONFIGS[0])
    old = dict(network.state_dict())
    for name, module in network.named_modules():
        if isinstance(module, nn.InstanceNorm2d):
            old[f"{name}.running_mean"] = torch.zeros(module.num_features)
            old[f"{name}.running_var"] = torch.ones(module.num_features)
            old[f"{name}.num_batches_tracked"] = torch.tensor(3)
    old = {f"module.{key}": value for key, value in old.items()}
    path = tmp_path / "horse2zebra.pth"
    torch.save(old, path, _use_new_zipfile_serialization=False)
    import_reference(path, tmp_path / "ours")
    ours, _ = load_generator(tmp_path / "ours", "G_A")
    assert list(ours.state_dict()) == list(network.state_dict())


def test_batch_norm_keeps_its_statistics(tmp_path: Path) -> None:
    source = _reference_folder(tmp_path / "theirs", CONFIGS[1])
    tensors = torch.load(source / "latest_net_G_A.pth", weights_only=True)
    tensors["model.2.running_mean"].fill_(0.25)
    torch.save(tensors, source / "latest_net_G_A.pth")
    import_reference(source, tmp_path / "ours")
    ours, _ = load_generator(tmp_path / "ours", "G_A")
    assert float(ours.state_dict()["model.2.running_mean"][0]) == 0.25


class _Evil:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self.mark,)


def test_hostile_and_broken_files_are_refused_and_not_executed(tmp_path: Path) -> None:
    mark = tmp_path / "executed"
    path = tmp_path / "latest_net_G.pth"
    path.write_bytes(pickle.dumps({"model.1.weight": _Evil(mark)}))
    with pytest.raises(CheckpointError, match="cannot be read as weights only"):
        import_reference(path, tmp_path / "ours")
    torch.save({"model.1.weight": _Evil(mark)}, path)
    with pytest.raises(CheckpointError, match=r"weights only \(it wants to run getattr") as error:
        import_reference(path, tmp_path / "ours")
    assert "weights_only" not in str(error.value)  # torch's advice is to run it
    assert not mark.exists()
    for content, message in (
        ([1, 2], "found a list"),
        ({}, "found an empty dict"),
        ({"state_dict": {}}, "found a dict under 'state_dict', needed a tensor"),
        ({"model.1.weight": torch.full((4, 3, 7, 7), torch.nan)}, r"model\.1\.weight is not made"),
        ({"model.1.weight": torch.zeros(4, 3, 7, 7) * 1j}, r"model\.1\.weight is not made"),
        ({"classifier.weight": torch.zeros(3)}, r"classifier\.weight.*needed those of a ResNet"),
        ({"model.1.weight": torch.zeros(4, 1, 7, 7)}, r"\[4, 1, 7, 7\], needed 3 input channels"),
    ):
        torch.save(content, path)
        with pytest.raises(CheckpointError, match=message):
            import_reference(path, tmp_path / "ours")
    tensors = build_generator(CONFIGS[0]).state_dict()
    torch.save({k: v for k, v in tensors.items() if k != "model.4.bias"}, path)
    with pytest.raises(CheckpointError, match=r"1 missing \(model\.4\.bias\).*incomplete"):
        import_reference(path, tmp_path / "ours")
    torch.save(tensors | {"model.4.weight": torch.zeros(8, 9, 3, 3)}, path)
    with pytest.raises(CheckpointError, match=r"model\.4\.weight has shape \[8, 9, 3, 3\]"):
        import_reference(path, tmp_path / "ours")
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(CheckpointError, match="cannot be read"):
        import_reference(path, tmp_path / "ours")
    assert not (tmp_path / "ours").exists()


def test_a_folder_without_the_files_says_what_it_holds(tmp_path: Path) -> None:
    (tmp_path / "5_net_G_A.pth").write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"found 5_net_G_A\.pth; needed latest_net_G_A\.pth"):
        import_reference(tmp_path, tmp_path / "ours")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"upsampling": "resize"}, "upsampling is resize"),
        ({"upsampling": "resize", "generator": "unet_256"}, "upsampling is resize"),
        ({"residual": True}, "its generators are residual"),
    ],
)
def test_layers_that_the_reference_lacks_are_not_exported(
    tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    from core.files import write_json

    config = TrainConfig(num_blocks=1, ngf=4, **changes)
    save_weights_folder = tmp_path / "ours"
    save_weights_folder.mkdir()
    save_weights(save_weights_folder / "G_A.safetensors", build_generator(config))
    write_json(save_weights_folder / "config.json", config.model_dump(mode="json"))
    with pytest.raises(CheckpointError, match=words):
        export_reference(save_weights_folder, tmp_path / "back")


def test_an_imported_model_translates_a_photo(tmp_path: Path) -> None:
    from PIL import Image
    from typer.testing import CliRunner

    from cli.main import app

    source = _reference_folder(tmp_path / "theirs", CONFIGS[0])
    Image.new("RGB", (90, 70), "orange").save(tmp_path / "horse.jpg")
    model = str(tmp_path / "model")
    names = ["--domain-a", "horse", "--domain-b", "zebra"]
    done = CliRunner().invoke(app, ["import", str(source), "--out", model, *names])
    assert done.exit_code == 0, done.output
    out = ["--out", str(tmp_path / "out"), "--to", "zebra"]
    done = CliRunner().invoke(
        app, ["translate", str(tmp_path / "horse.jpg"), "--model", model, *out]
    )
    assert done.exit_code == 0, done.output
    with Image.open(tmp_path / "out" / "horse.jpg") as image:
        assert image.size == (90, 70)
    done = CliRunner().invoke(
        app, ["export", "--format", "reference", "--model", model, "--out", str(tmp_path / "back")]
    )
    assert done.exit_code == 0, done.output
    assert (tmp_path / "back" / "latest_net_D_B.pth").is_file()
