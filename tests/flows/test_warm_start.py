"""What a training may start from by name; the training after a refresh; more epochs."""

import json
import logging
import shutil
import tarfile
from pathlib import Path

import pytest
from rich.console import Console

from cli.train import continue_alone, train_alone
from core.errors import CheckpointError, SuyanError
from core.workspace import Workspace
from flows import latest
from flows.parameters import TrainParameters
from flows.recipes import makeup
from flows.warm_start.more_epochs import continuation
from flows.warm_start.retraining import retraining, warm
from flows.warm_start.starting_points import starting_point, with_origin
from training.config import TrainConfig
from training.pix2pix import export_reference
from training.run.checkpoint import latest_checkpoint, load_config
from training.run.run_log import read_log
from training.runtime.launcher import Torchrun
from training.standard_configs import demo

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "workspace.tar.xz"
LOGGER = logging.getLogger("test")


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    with tarfile.open(GOLDEN) as archive:
        archive.extractall(tmp_path / "workspace", filter="data")
    return Workspace(tmp_path / "workspace")


@pytest.fixture
def version(workspace: Workspace) -> str:
    return next(path.name for path in workspace.recipe_models("makeup").path.glob("step*"))


@pytest.fixture
def run(workspace: Workspace) -> Path:
    return next(workspace.runs.glob("makeup-*"))


def crown(workspace: Workspace, version: str) -> None:
    pointer = workspace.recipe_models("makeup").champion
    pointer.write_text(json.dumps({"model": version, "previous": [], "history": []}))


def origin(name: str, workspace: Workspace, recipe: str = "makeup") -> str:
    with starting_point(name, workspace, recipe) as start:
        assert start is not None
        return start.origin


def test_one_model_has_one_origin_under_each_of_its_names(
    workspace: Workspace, version: str, run: Path, tmp_path: Path
) -> None:
    crown(workspace, version)
    found = origin("champion", workspace)
    assert found.startswith(f"makeup/{version}@")
    digest = found.rpartition("@")[2]
    for name in (version, f"makeup/{version}", found):
        assert origin(name, workspace) == found
    assert origin(f"makeup/{version}", workspace, "seasons") == found
    folder = workspace.recipe_models("makeup").version(version).path
    assert origin(str(folder), workspace).endswith(digest)
    of_run = origin(run.name, workspace)
    assert of_run.startswith(f"{run.name}/step_")
    assert origin(of_run, workspace) == of_run
    assert origin(str(run), workspace).rpartition("@")[2] == of_run.rpartition("@")[2]
    theirs = tmp_path / "theirs"
    config = load_config(folder)
    if not config.residual and config.upsampling == "transposed":
        (folder / "strengths.json").unlink(missing_ok=True)
        export_reference(folder, theirs, epoch="5")
        assert origin(str(theirs), workspace).startswith(f"{theirs}@")


def test_a_name_that_stands_for_nothing_says_what_there_is(
    workspace: Workspace, version: str, run: Path, tmp_path: Path
) -> None:
    with pytest.raises(SuyanError, match=f"needed champion, a version of makeup .{version}."):
        origin("step99", workspace)
    with pytest.raises(SuyanError, match=r"did you mean champion\?$"):
        origin("champin", workspace)
    with pytest.raises(SuyanError, match=rf"did you mean {run.name}\?$"):
        origin(run.name[:-1], workspace)
    (tmp_path / "empty").mkdir()
    with pytest.raises(SuyanError, match=r"holds no G_A\.safetensors"):
        origin(str(tmp_path / "empty"), workspace)
    workspace.recipe_models("makeup").champion.unlink(missing_ok=True)
    with pytest.raises(SuyanError, match="no champion"):
        origin("champion", workspace)
    recorded = origin(version, workspace)
    folder = workspace.recipe_models("makeup").version(version).path
    shutil.copy(folder / "G_B.safetensors", folder / "G_A.safetensors")
    with pytest.raises(SuyanError, match="has other weights now"):
        origin(recorded, workspace)
    shutil.rmtree(run / "checkpoints")
    with pytest.raises(SuyanError, match="has no checkpoint yet"):
        origin(run.name, workspace)
    with starting_point("", workspace, "makeup") as start:
        assert start is None
        assert with_origin(TrainConfig(), start) == TrainConfig()


def test_the_training_after_a_refresh_starts_from_the_champion_with_the_same_network(
    workspace: Workspace, version: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    of_champion = load_config(workspace.recipe_models("makeup").version(version).path)
    config = of_champion.model_copy(update={"num_epochs": 10, "num_epochs_decay": 10})
    parameters = TrainParameters(recipe="makeup", train=config)
    workspace.recipe_models("makeup").champion.unlink(missing_ok=True)
    assert retraining(parameters, workspace, LOGGER) == config
    assert "starts from nothing" in caplog.text
    crown(workspace, version)
    started = retraining(parameters, workspace, LOGGER)
    assert (started.init_from, started.num_epochs, started.num_epochs_decay) == ("champion", 2, 3)
    assert started.pseudo_steps == 0
    assert started.learning_rate < config.learning_rate
    off = parameters.model_copy(update={"retrain_from": "nothing"})
    assert retraining(off, workspace, LOGGER) == config
    wider = config.model_copy(update={"ngf": config.ngf * 2})
    assert retraining(parameters.model_copy(update={"train": wider}), workspace, LOGGER) == wider
    assert "has another ngf" in caplog.text
    assert warm(demo(), 0.001).num_epochs + warm(demo(), 0.001).num_epochs_decay == 1


def test_more_epochs_make_a_run_of_their_own_with_one_curve(
    workspace: Workspace, run: Path
) -> None:
    console = Console(record=True, width=200)
    num_before = len(read_log(run / "log.jsonl"))
    before = load_config(latest_checkpoint(run) or run)
    new = continue_alone("makeup", "", 2, workspace, console, Torchrun())
    assert new != run
    config = load_config(latest_checkpoint(new) or new)
    assert config.continues.startswith(f"{run.name}/step_")
    num_epochs = before.num_epochs + before.num_epochs_decay
    assert config.num_epochs + config.num_epochs_decay == num_epochs + 2
    assert len(read_log(new / "log.jsonl")) > num_before
    assert len(read_log(run / "log.jsonl")) == num_before
    assert latest.run_folder(workspace, "makeup") == new
    again = continue_alone("makeup", run.name, 2, workspace, console, Torchrun())
    assert again == new
    assert "0 of them now" in console.export_text()


def test_a_run_that_is_not_at_its_end_is_not_continued(workspace: Workspace, run: Path) -> None:
    config = json.loads((run / "checkpoints" / "step_00000010" / "config.json").read_text())
    config["num_epochs"] += 5
    (run / "checkpoints" / "step_00000010" / "config.json").write_text(json.dumps(config))
    with pytest.raises(SuyanError, match="more epochs are for a finished run"):
        continuation(workspace, "makeup", run.name, 3)


def test_a_training_starts_from_a_model_and_its_configuration_says_so(
    workspace: Workspace, version: str, tmp_path: Path
) -> None:
    config = load_config(workspace.recipe_models("makeup").version(version).path)
    config = config.model_copy(
        update={"init_from": version, "num_epochs": 1, "num_epochs_decay": 0, "pseudo_steps": 0}
    )
    dataset = next(workspace.datasets.glob("makeup-bare-*")).name
    parameters = makeup().model_copy(update={"train": config})
    new = train_alone(parameters, dataset, workspace, Console(quiet=True), Torchrun())
    stored = json.loads((new / "config.json").read_text())["train"]
    assert stored["init_from"] == origin(version, workspace)
    assert (new / "starting_point" / "G_A.safetensors").is_file()
    before = {*workspace.runs.iterdir()}
    wider = parameters.model_copy(update={"train": config.model_copy(update={"ngf": 64})})
    with pytest.raises(CheckpointError, match="0% of its weights fit this training"):
        train_alone(wider, dataset, workspace, Console(quiet=True), Torchrun())
    assert {*workspace.runs.iterdir()} == before  # nor is a run without a step listed
