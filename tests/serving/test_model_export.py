"""Exported files compute the same as PyTorch, at every size, and describe themselves.

The kind: what the product says of itself (cards, metadata, documents, help texts) is typed, and
something else is true. The boundary: cards and metadata are made from the network and its scores;
``tests/test_documents.py`` compares documents with the code.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from model_maker import ModelMaker
from training_pictures import write_statistics
from typer.testing import CliRunner

from cli.main import app
from core.errors import CheckpointError, MissingModelError, SuyanError
from core.files import load_json, write_json
from core.workspace import Workspace
from serving import model_export as exporting
from serving.model_export import export_model, onnx_metadata
from serving.models import open_model
from serving.translate import TranslateOptions, Translation, Translator


@pytest.mark.slow
def test_onnx_is_the_same_function_at_any_size(make_model: ModelMaker, tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    model = open_model(Workspace(make_model().parents[2]), "makeup")
    done = export_model(model, tmp_path / "out", "onnx")
    assert [one.file.name for one in done] == ["makeup2bare.onnx", "bare2makeup.onnx"]
    assert all(one.max_abs_diff <= 1e-4 for one in done)
    session = onnxruntime.InferenceSession(done[0].file, providers=["CPUExecutionProvider"])
    for shape in ((1, 3, 20, 36), (3, 3, 64, 48)):
        picture = np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)
        (found,) = session.run(["translation"], {"image": picture})
        with torch.inference_mode():
            wanted = model.network("A2B")(torch.from_numpy(picture)).numpy()
        assert np.abs(found - wanted).max() < 1e-4
    about = session.get_modelmeta().custom_metadata_map
    assert (about["from"], about["to"]) == ("makeup", "bare")
    card = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert "`makeup2bare.onnx` | makeup → bare" in card
    assert "not measured" in card


@pytest.mark.slow
@pytest.mark.parametrize("changes", [{}, {"generator": "bilateral", "norm": "batch"}])
def test_a_strength_is_part_of_the_exported_function(
    make_model: ModelMaker, tmp_path: Path, changes: dict[str, Any]
) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    folder = make_model(residual=True, **changes)
    write_json(folder / "strengths.json", {"G_A": 1.25, "G_B": 1})
    model = open_model(Workspace(folder.parents[2]), "makeup")
    first, _ = export_model(model, tmp_path / "onnx", "onnx")
    second, _ = export_model(model, tmp_path / "pt2", "torch-export")
    picture = torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(0)) - 0.5
    with torch.inference_mode():
        network = model.network("A2B")
        wanted = network(picture)
        moved = (picture + 1.25 * network.draw(picture)).clamp(-1, 1)
        assert torch.allclose(wanted, moved, atol=1e-5)
        assert (wanted - picture - network.draw(picture)).abs().max() > 1e-3
        program = torch.export.load(second.file).module()
        assert (program(picture) - wanted).abs().max() < 1e-4
    session = onnxruntime.InferenceSession(first.file, providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"image": picture.numpy()})
    assert np.abs(found - wanted.numpy()).max() < 1e-4


def test_the_reference_cannot_hold_a_strength(make_model: ModelMaker, tmp_path: Path) -> None:
    folder = make_model()
    model = open_model(Workspace(folder.parents[2]), "makeup")
    write_json(folder / "strengths.json", {"G_A": 1.25, "G_B": 1})
    with pytest.raises(CheckpointError, match=r"strengths G_A 1\.25 and G_B 1.*cannot hold"):
        export_model(model, tmp_path / "reference", "reference")


GENERATORS = [
    ({"num_blocks": 1}, "ResNet, 1 block", 4),
    ({"num_blocks": 6}, "ResNet, 6 blocks", 4),
    ({"generator": "unet_128", "crop_px": 128, "load_px": 128}, "U-Net, 7 halvings", 128),
    ({"generator": "unet_256", "crop_px": 256, "load_px": 256}, "U-Net, 8 halvings", 256),
]


@pytest.mark.parametrize(("changes", "label", "multiple"), GENERATORS)
def test_card_and_metadata_describe_the_generator_that_is_there(
    make_model: ModelMaker, tmp_path: Path, changes: dict[str, Any], label: str, multiple: int
) -> None:
    model = open_model(Workspace(make_model(**changes).parents[2]), "makeup")
    metadata = onnx_metadata(model, "A2B")
    assert metadata["generator"] == label
    assert metadata["input"].endswith(f"H and W are multiples of {multiple}")
    export_model(model, tmp_path / "out", "reference")
    card = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert f"Generator: {label}, 4 channels, instance normalisation." in card
    assert f"H and W are multiples of {multiple}." in card
    assert card.startswith("---\nlibrary_name: suyan\npipeline_tag: image-to-image\ntags:\n")


@pytest.mark.slow
def test_a_u_net_as_onnx_says_and_needs_its_multiple(
    make_model: ModelMaker, tmp_path: Path
) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    folder = make_model(generator="unet_128", crop_px=128, load_px=128)
    model = open_model(Workspace(folder.parents[2]), "makeup")
    first, _ = export_model(model, tmp_path / "out", "onnx")
    session = onnxruntime.InferenceSession(first.file, providers=["CPUExecutionProvider"])
    assert "128" in session.get_modelmeta().custom_metadata_map["input"]
    picture = np.random.default_rng(0).uniform(-1, 1, (1, 3, 128, 256)).astype(np.float32)
    (found,) = session.run(["translation"], {"image": picture})
    with torch.inference_mode():
        wanted = model.network("A2B")(torch.from_numpy(picture)).numpy()
    assert np.abs(found - wanted).max() < 1e-4


@pytest.mark.slow
def test_a_u_net_as_a_program_takes_the_size_that_it_was_trained_at(
    make_model: ModelMaker, tmp_path: Path
) -> None:
    folder = make_model(generator="unet_128", crop_px=128, load_px=128)
    out = tmp_path / "out"
    arguments = ["--out", str(out), "--workspace", str(folder.parents[2])]
    done = CliRunner().invoke(app, ["export", "--format", "torch-export", *arguments])
    assert done.exit_code == 0, done.output
    program = torch.export.load(out / "makeup2bare.pt2").module()
    network = open_model(Workspace(folder.parents[2]), "makeup").network("A2B")
    for shape in ((1, 3, 128, 128), (2, 3, 128, 384)):
        picture = torch.rand(shape, generator=torch.Generator().manual_seed(0)) * 2 - 1
        with torch.inference_mode():
            assert (program(picture) - network(picture)).abs().max() < 1e-4


def test_a_generator_that_cannot_be_exported_is_an_error_with_a_remedy(
    make_model: ModelMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("Guard failed: x.size()[3] // 128 != 1\nmore")

    model = open_model(Workspace(make_model().parents[2]), "makeup")
    monkeypatch.setattr(exporting, "_trace", fail)
    with pytest.raises(
        SuyanError, match=r"\(AssertionError: Guard failed.*1\)\. Try --format onnx"
    ):
        export_model(model, tmp_path / "out", "torch-export")
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.slow
def test_a_bilateral_grid_is_exported_whole(make_model: ModelMaker, tmp_path: Path) -> None:
    """Both formats agree with PyTorch at every size of whose sides 8 is a divisor."""
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    folder = make_model(generator="bilateral", norm="batch", residual=True)
    model = open_model(Workspace(folder.parents[2]), "makeup")
    first, _ = export_model(model, tmp_path / "onnx", "onnx")
    second, _ = export_model(model, tmp_path / "pt2", "torch-export")
    session = onnxruntime.InferenceSession(first.file, providers=["CPUExecutionProvider"])
    assert session.get_modelmeta().custom_metadata_map["input"].endswith("multiples of 8")
    program = torch.export.load(second.file).module()
    network = model.network("A2B")
    for shape in ((1, 3, 24, 40), (3, 3, 136, 128)):
        picture = torch.rand(shape, generator=torch.Generator().manual_seed(0)) * 2 - 1
        with torch.inference_mode():
            expected = network(picture)
            assert (expected - picture).abs().max() > 0.01
            assert (program(picture) - expected).abs().max() < 1e-4
        (output,) = session.run(None, {"image": picture.numpy()})
        assert np.abs(output - expected.numpy()).max() < 1e-4
    card = (tmp_path / "onnx" / "README.md").read_text(encoding="utf-8")
    assert "Generator: bilateral grid, 3 blocks, 4 channels, batch normalisation." in card
    assert "H and W are multiples of 8." in card
    with pytest.raises(CheckpointError, match="generator is bilateral, which the reference"):
        export_model(model, tmp_path / "reference", "reference")


@pytest.mark.slow
def test_torch_export_is_a_program_of_its_own(make_model: ModelMaker, tmp_path: Path) -> None:
    folder = make_model(norm="batch")
    figure = {"value": 0.0123, "low": 0.01, "high": 0.02}
    direction = {
        "from": "makeup", "to": "bare", "kid": figure, "kid_baseline": figure | {"value": 0.0456},
        "fid": {"value": 45.6, "low": 45.6, "high": 45.6},
    }  # fmt: skip
    features = {"name": "EfficientNet-Lite0, 1280 features", "comparable_with_published": False}
    scores = {"directions": {"A2B": direction}, "px": 64, "features": features}
    write_json(folder / "scores.json", scores)
    write_json(folder / "model.json", {"phrases": {"makeup": ["妆容"]}, "dataset": "makeup-v1"})
    out = tmp_path / "out"
    arguments = ["--out", str(out), "--workspace", str(folder.parents[2])]
    done = CliRunner().invoke(app, ["export", "--format", "torch-export", *arguments])
    assert done.exit_code == 0, done.output
    program = torch.export.load(out / "makeup2bare.pt2").module()
    picture = torch.rand(2, 3, 40, 28) * 2 - 1
    with torch.inference_mode():
        wanted = open_model(Workspace(folder.parents[2]), "makeup").network("A2B")(picture)
        assert (program(picture) - wanted).abs().max() < 1e-5
    card = (out / "README.md").read_text(encoding="utf-8")
    assert "**makeup → bare**" in card
    assert "| KID to real pictures | 0.0123 (0.0100 … 0.0200) | 0.0456 (0.0100 … 0.0200) |" in card
    assert "| FID to real pictures | 45.6 |" in card
    assert "use the features of EfficientNet-Lite0, 1280 features, of pictures at 64 px." in card
    assert "- makeup: 妆容" in card
    assert "{" not in card
    assert "batch normalisation" in card
    again = CliRunner().invoke(app, ["export", "--format", "torch-export", *arguments])
    assert "--overwrite" in str(again.exception)


def test_a_file_that_computes_something_else_is_not_written(
    make_model: ModelMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = open_model(Workspace(make_model().parents[2]), "makeup")
    monkeypatch.setattr(exporting, "_difference", lambda *_: 2e-4)
    with pytest.raises(SuyanError, match=r"differs from PyTorch's by 2\.00e-04"):
        export_model(model, tmp_path / "out", "torch-export")
    assert list((tmp_path / "out").iterdir()) == []


def test_the_references_files_come_back_as_they_were(
    make_model: ModelMaker, tmp_path: Path
) -> None:
    folder, out = make_model(), tmp_path / "out"
    done = export_model(open_model(Workspace(folder.parents[2]), "makeup"), out, "reference")
    assert [one.file.name for one in done] == ["latest_net_G_A.pth", "latest_net_G_B.pth"]
    assert [one.max_abs_diff for one in done] == [0, 0]
    assert "`latest_net_G_B.pth` | bare → makeup" in (out / "README.md").read_text(encoding="utf-8")
    back = tmp_path / "back"
    command = ["import", str(out), "--out", str(back), "--domain-a", "horse", "--domain-b", "zebra"]
    imported = CliRunner().invoke(app, command)
    assert imported.exit_code == 0, imported.output
    model = open_model(Workspace(tmp_path), "makeup", str(back))
    assert model.direction("zebra") == "A2B"
    picture = np.random.default_rng(0).integers(0, 256, (50, 70, 3), np.uint8)
    made = Translator(model, "A2B").translate(picture, TranslateOptions())
    assert isinstance(made, Translation)
    assert made.pixels.shape == picture.shape


def test_a_missing_package_is_named(
    make_model: ModelMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(exporting._PACKAGES, "onnx", ("no_such_package",))
    model = open_model(Workspace(make_model().parents[2]), "makeup")
    with pytest.raises(MissingModelError, match=r"no_such_package.*pip install -e .*\[export\]"):
        export_model(model, tmp_path / "out", "onnx")


def test_the_statistics_of_the_training_pictures_lie_beside_an_export(
    make_model: ModelMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "_export_checked", lambda _model, _direction, file, _format: (
        float(file.write_bytes(b"a program") * 0)
    ))  # fmt: skip
    folder = make_model()
    model = open_model(Workspace(folder.parents[2]), "makeup")
    export_model(model, tmp_path / "without", "torch-export")
    assert not (tmp_path / "without" / "training_statistics.json").exists()
    write_statistics(folder / "training_statistics.safetensors", knows_them=True)
    model = open_model(Workspace(folder.parents[2]), "makeup")
    export_model(model, tmp_path / "out", "torch-export")
    told = load_json(tmp_path / "out" / "training_statistics.json")
    assert told["trained_on"] == "no-drawings"
    assert told["sides"]["A"].keys() >= {"mean", "directions", "variances", "rest", "threshold"}
    assert "`training_statistics.json` tells" in (tmp_path / "out" / "README.md").read_text()
    with pytest.raises(ValueError, match=r"training_statistics\.json.* exists; --overwrite"):
        export_model(model, tmp_path / "out", "torch-export")
