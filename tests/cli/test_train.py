"""``suyan train`` and ``suyan evaluate``: stages alone, without Prefect."""

import json
from pathlib import Path

import numpy as np
import pytest
from cli_runs import Suyan, printed_commands
from filelock import FileLock
from PIL import Image
from rich.console import Console

from cli.options import load_parameters
from cli.train import train_alone
from core.errors import SuyanError
from core.workspace import Workspace
from flows import latest
from flows.recipes import makeup
from training.config import TrainConfig
from training.runtime.launcher import Torchrun

TINY = TrainConfig(
    num_blocks=1, ngf=4, ndf=4, d_layers=2, load_px=32, crop_px=32, num_epochs=1,
    num_epochs_decay=0, device="cpu", num_threads=1,
)  # fmt: skip


TINY_OPTIONS = {
    name: getattr(TINY, name)
    for name in ("num_blocks", "ngf", "ndf", "d_layers", "load_px", "crop_px", "num_epochs",
                 "num_epochs_decay", "device", "num_threads")
}  # fmt: skip
PARAMETERS = makeup().model_copy(update={"train": TINY})


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for side, num in (("trainA", 3), ("trainB", 3), ("testA", 2), ("testB", 2)):
        (tmp_path / "mine" / side).mkdir(parents=True)
        for index in range(num):
            picture = Image.fromarray(rng.integers(0, 256, (40, 40, 3), np.uint8))
            picture.save(tmp_path / "mine" / side / f"{index}.png")
    return tmp_path / "mine"


def test_a_folder_of_pictures_is_trained_on_once(pictures: Path, tmp_path: Path) -> None:
    console, home = Console(record=True, width=200), tmp_path / "workspace"

    def train() -> Path:
        return train_alone(PARAMETERS, str(pictures), Workspace(home), console, Torchrun())

    run = train()
    assert latest.run_folder(Workspace(home), "makeup") == run
    assert (run / "checkpoints" / "step_00000003" / "G_A.safetensors").is_file()
    assert train() == run
    said = console.export_text()
    assert "step_00000003: 3 steps\n" in said
    assert "step_00000003: 3 steps, 0 of them now" in said
    assert "suyan translate PHOTO --model" in said
    with (
        FileLock(run.parent / f".{run.name}.lock"),
        pytest.raises(SuyanError, match="another process trains it now"),
    ):
        train()
    assert "3 and 3 pictures to train on, 2 and 2 held out" in said
    assert "Measure it:" in said


def test_a_tracker_without_its_package_is_refused_before_a_run_begins(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.tracking.tracker.importlib.util.find_spec", {}.get)
    console, home = Console(record=True), tmp_path / "workspace"
    train = TINY.model_copy(update={"track": ("wandb",)})
    parameters = PARAMETERS.model_copy(update={"train": train})
    with pytest.raises(SuyanError, match=r"track: got wandb, .*\[wandb\]"):
        train_alone(parameters, str(pictures), Workspace(home), console, Torchrun())
    assert "train takes" not in console.export_text()
    assert not list(Workspace(home).runs.glob("*"))


def _set(*changes: str) -> TrainConfig:
    workspace = Workspace(Path("none"))
    return load_parameters("makeup", workspace=workspace, changes=changes, stage="train").train


def test_options_are_changed_by_name_and_checked() -> None:
    changes = ["ngf=8", "learning_rate=1e-3", "generator=unet_128", 'diff_augment=["cutout"]']
    config = _set(*changes)
    assert (config.ngf, config.learning_rate, config.generator) == (8, 1e-3, "unet_128")
    assert config.diff_augment == ("cutout",)
    with pytest.raises(
        ValueError, match=r"--set: got 'nfg=8', an unknown option; did you mean ngf"
    ):
        _set("nfg=8")
    with pytest.raises(ValueError, match=r"train\.ngf: got 'many'"):
        _set("ngf=many")


def _train(pictures: Path, home: Path) -> Path:
    return train_alone(
        PARAMETERS, str(pictures), Workspace(home), Console(quiet=True), Torchrun()
    )  # fmt: skip


def test_a_folder_with_other_pictures_is_another_run(pictures: Path, tmp_path: Path) -> None:
    first = _train(pictures, tmp_path / "home")
    Image.new("RGB", (40, 40), "red").save(pictures / "trainA" / "more.png")
    second = _train(pictures, tmp_path / "home")
    assert second != first
    assert (second / "checkpoints" / "step_00000004").is_dir()
    (pictures / "trainA" / "more.png").unlink()
    (tmp_path / "other").mkdir()
    elsewhere = pictures.rename(tmp_path / "other" / "mine")
    assert _train(elsewhere, tmp_path / "home") == first  # the path does not name it
    Image.new("RGB", (40, 40), "blue").save(elsewhere / "trainB" / "1.png")
    assert _train(elsewhere, tmp_path / "home") not in {first, second}


def test_a_folder_of_ones_own_is_trained_measured_and_used_by_its_name(
    suyan: Suyan, pictures: Path, tmp_path: Path
) -> None:
    """Without test folders; its recipe, and so its champion, is apart from make-up's."""
    horses = pictures.rename(tmp_path / "horse2zebra")
    for side in ("testA", "testB"):
        for path in (horses / side).iterdir():
            path.rename(horses / f"train{side[-1]}" / f"more-{path.name}")
        (horses / side).rmdir()
    home = tmp_path / "home"
    place = ("--workspace", str(home))
    options = [f"--set={name}={value}" for name, value in TINY_OPTIONS.items()]
    status, output = suyan("train", str(horses), *options, *place)
    assert status == 0, output
    assert "held out" in output
    commands = printed_commands(output)
    measure = next(words for words in commands if words[0] == "evaluate")
    assert measure[measure.index("--recipe") + 1] == "horse2zebra"
    assert "folders:" in (home / "recipes" / "horse2zebra.yaml").read_text()
    status, output = suyan(
        *measure, "--set=num_bootstrap=20", "--set=inception=never", "--set=num_gallery=1"
    )
    assert status == 0, output
    (model,) = (home / "models" / "horse2zebra").glob("step*")
    assert json.loads((model / "model.json").read_text())["domains"] == {"A": "horse", "B": "zebra"}
    photo = next((horses / "trainA").iterdir())
    status, output = suyan(
        "translate", str(photo), "--recipe", "horse2zebra", "--model", model.name,
        "--out", str(tmp_path / "out"), *place,
    )  # fmt: skip
    assert status == 0, output
    assert not (home / "models" / "makeup").exists()
