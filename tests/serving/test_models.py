"""Models: found by champion, version and path; the reference's weights work too."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from model_maker import ModelMaker

from core.errors import CheckpointError, MissingModelError
from core.files import write_json
from core.workspace import Workspace
from serving.models import find_model, open_model
from serving.translate import TranslateOptions, Translation, Translator
from training.config import TrainConfig
from training.models.resnet import ResnetGenerator
from training.run.checkpoint import save_weights


def test_models_are_found_by_champion_version_and_path(
    make_model: ModelMaker, tmp_path: Path
) -> None:
    model = make_model()
    workspace = model.parents[2]
    assert find_model(Workspace(workspace), "makeup") == model
    assert find_model(Workspace(workspace), "makeup", "step1-abc") == model
    assert find_model(Workspace(workspace), "makeup", "step1") == model  # unique so far
    assert find_model(Workspace(tmp_path), "other", str(model)) == model
    shutil.copytree(model, model.parent / "step1-xyz")
    with pytest.raises(MissingModelError, match="step1-abc, step1-xyz"):
        find_model(Workspace(workspace), "makeup", "step1")
    with pytest.raises(MissingModelError, match=r"there are: step1-abc, step1-xyz.*suyan import"):
        find_model(Workspace(workspace), "makeup", "step2")


def test_a_missing_champion_says_how_to_get_one(make_model: ModelMaker, tmp_path: Path) -> None:
    with pytest.raises(MissingModelError, match=r"suyan run --small .*suyan demo"):
        find_model(Workspace(tmp_path), "makeup")
    model = make_model()
    write_json(model.parent / "champion.json", {"model": "gone"})
    with pytest.raises(MissingModelError, match=r"'gone', which is not whole; .*step1-abc"):
        find_model(Workspace(model.parents[2]), "makeup")
    write_json(model.parent / "champion.json", {"model": "../../../elsewhere"})
    with pytest.raises(MissingModelError, match="not whole"):
        find_model(Workspace(model.parents[2]), "makeup")


def test_directions_go_by_domain_and_by_name(make_model: ModelMaker) -> None:
    model = open_model(Workspace(make_model().parents[2]), "makeup")
    assert model.direction(None) == "A2B"
    assert model.direction("bare") == "A2B"
    assert model.direction("makeup") == "B2A"
    assert model.direction("B2A") == "B2A"
    with pytest.raises(ValueError, match=r"bare \(from makeup\), makeup \(from bare\)"):
        model.direction("winter")


def test_a_torn_model_is_named(make_model: ModelMaker) -> None:
    folder = make_model()
    (folder / "G_A.safetensors").write_bytes(b"torn")
    model = open_model(Workspace(folder.parents[2]), "makeup")
    with pytest.raises(CheckpointError, match="G_A"):
        model.generator("A2B")
    (folder / "config.json").unlink()
    with pytest.raises(CheckpointError, match=r"config\.json"):
        open_model(Workspace(folder.parents[2]), "makeup")


def test_a_runs_checkpoint_knows_how_its_pictures_were_prepared(
    make_model: ModelMaker, tmp_path: Path
) -> None:
    folder = make_model()
    checkpoint = tmp_path / "runs" / "r" / "checkpoints" / "step_00000001"
    checkpoint.parent.mkdir(parents=True)
    shutil.copytree(folder, checkpoint)
    write_json(tmp_path / "runs" / "r" / "config.json", {"dataset": "d"})
    (tmp_path / "datasets" / "d").mkdir(parents=True)
    (checkpoint / "prepare.json").rename(tmp_path / "datasets" / "d" / "config.json")
    assert open_model(Workspace(tmp_path), "makeup", str(checkpoint)).prepare.domain_a == "makeup"


def test_a_model_of_another_version_of_suyan_still_works(make_model: ModelMaker) -> None:
    folder = make_model()
    before = json.loads((folder / "prepare.json").read_text(encoding="utf-8"))
    write_json(folder / "prepare.json", before | {"a_field_of_old": 9.0})
    assert open_model(Workspace(folder.parents[2]), "makeup").prepare.domain_b == "bare"
    write_json(folder / "prepare.json", {"domain_a": "makeup"})
    with pytest.raises(ValueError, match="domain_b"):
        open_model(Workspace(folder.parents[2]), "makeup")


def test_one_generator_of_the_reference_translates_whole_photographs(tmp_path: Path) -> None:
    """As horse2zebra is published: one network, its keys, and nothing about its pictures."""
    folder = tmp_path / "horse2zebra"
    folder.mkdir()
    network = ResnetGenerator(9, 4)
    assert {"model.1.weight", "model.10.conv_block.1.weight", "model.26.bias"} <= set(
        network.state_dict()
    )
    save_weights(folder / "G_A.safetensors", network)
    config = TrainConfig(num_blocks=9, ngf=4)
    write_json(folder / "config.json", config.model_dump(mode="json"))
    model = open_model(Workspace(tmp_path), "makeup", str(folder))
    assert list(model.directions) == ["A2B"]
    picture = np.random.default_rng(0).integers(0, 256, (70, 90, 3), np.uint8)
    done = Translator(model, "A2B").translate(picture, TranslateOptions())
    assert isinstance(done, Translation)
    with torch.inference_mode():
        padded = torch.from_numpy(np.pad(picture, ((0, 2), (0, 2), (0, 0)), mode="symmetric"))
        wanted = network.eval()(padded.permute(2, 0, 1)[None] / 127.5 - 1)
    levels = ((wanted[0].permute(1, 2, 0) + 1) * 127.5)[:70, :90].numpy()
    assert np.abs(done.pixels - levels).max() <= 0.6
