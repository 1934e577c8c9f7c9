"""Exported files compute what PyTorch computes, at every size, and say what they are."""

from pathlib import Path

import numpy as np
import pytest
import torch
from model_maker import ModelMaker
from typer.testing import CliRunner

from cli.main import app
from core.errors import MissingModelError, SuyanError
from core.files import write_json
from core.workspace import Workspace
from serving import model_export as exporting
from serving.model_export import export
from serving.models import open_model
from serving.translate import Translation, Translator, Wish


def test_onnx_is_the_same_function_at_any_size(make_model: ModelMaker, tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    model = open_model(Workspace(make_model().parents[2]), "makeup")
    done = export(model, tmp_path / "out", "onnx")
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


def test_torch_export_is_a_program_of_its_own(make_model: ModelMaker, tmp_path: Path) -> None:
    folder = make_model(norm="batch")
    direction = {"from": "makeup", "to": "bare", "kid": {"value": 0.0123}, "fid": {"value": 45.6}}
    scores = {"directions": {"A2B": direction}, "px": 64, "features": "lite0"}
    write_json(folder / "scores.json", scores)
    out = tmp_path / "out"
    arguments = ["--out", str(out), "--workspace", str(folder.parents[2])]
    done = CliRunner().invoke(app, ["export", "--format", "torch-export", *arguments])
    assert done.exit_code == 0, done.output
    program = torch.export.load(out / "makeup2bare.pt2").module()
    picture = torch.rand(2, 3, 40, 28) * 2 - 1
    with torch.inference_mode():
        wanted = open_model(Workspace(folder.parents[2]), "makeup").network("A2B")(picture)
        assert (program(picture) - wanted).abs().max() < 1e-5
    assert "makeup → bare | 0.0123 | – | 45.6" in (out / "README.md").read_text(encoding="utf-8")
    again = CliRunner().invoke(app, ["export", "--format", "torch-export", *arguments])
    assert "--overwrite" in str(again.exception)


def test_a_file_that_computes_something_else_is_not_written(
    make_model: ModelMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = open_model(Workspace(make_model().parents[2]), "makeup")
    monkeypatch.setattr(exporting, "_difference", lambda *_: 2e-4)
    with pytest.raises(SuyanError, match=r"differs from PyTorch's by 2\.00e-04"):
        export(model, tmp_path / "out", "torch-export")
    assert list((tmp_path / "out").iterdir()) == []


def test_the_references_files_come_back_as_they_were(
    make_model: ModelMaker, tmp_path: Path
) -> None:
    folder, out = make_model(), tmp_path / "out"
    done = export(open_model(Workspace(folder.parents[2]), "makeup"), out, "reference")
    assert [one.file.name for one in done] == ["latest_net_G_A.pth", "latest_net_G_B.pth"]
    assert [one.max_abs_diff for one in done] == [0, 0]
    assert "`latest_net_G_B.pth` | bare → makeup" in (out / "README.md").read_text("utf-8")
    back = tmp_path / "back"
    command = ["import", str(out), "--out", str(back), "--domain-a", "horse", "--domain-b", "zebra"]
    imported = CliRunner().invoke(app, command)
    assert imported.exit_code == 0, imported.output
    model = open_model(Workspace(tmp_path), "makeup", str(back))
    assert model.direction("zebra") == "A2B"
    picture = np.random.default_rng(0).integers(0, 256, (50, 70, 3), np.uint8)
    made = Translator(model, "A2B").translate(picture, Wish())
    assert isinstance(made, Translation)
    assert made.pixels.shape == picture.shape


def test_a_missing_package_is_named(
    make_model: ModelMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(exporting._NEEDED, "onnx", ("no_such_package",))
    model = open_model(Workspace(make_model().parents[2]), "makeup")
    with pytest.raises(MissingModelError, match=r"no_such_package.*suyan\[export\]"):
        export(model, tmp_path / "out", "onnx")
