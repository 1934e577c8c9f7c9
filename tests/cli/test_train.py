"""``suyan train`` and ``suyan evaluate``: stages alone, without Prefect."""

import os
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from PIL import Image
from rich.console import Console

from cli.options import load_parameters
from cli.train import evaluate_alone, train_alone
from core.config_identity import identity
from core.errors import SuyanError
from core.files import claim_folder, digest
from core.workspace import Workspace
from flows import latest
from training.config import TrainConfig
from training.runtime.launcher import Torchrun

TINY = TrainConfig(
    num_blocks=1, ngf=4, ndf=4, d_layers=2, load_px=32, crop_px=32, num_epochs=1,
    num_epochs_decay=0, device="cpu", num_threads=1,
)  # fmt: skip


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for side in ("trainA", "trainB"):
        (tmp_path / "mine" / side).mkdir(parents=True)
        for index in range(3):
            picture = Image.fromarray(rng.integers(0, 256, (40, 40, 3), np.uint8))
            picture.save(tmp_path / "mine" / side / f"{index}.png")
    return tmp_path / "mine"


def test_a_folder_of_pictures_is_trained_on_once(pictures: Path, tmp_path: Path) -> None:
    console, home = Console(record=True, width=200), tmp_path / "workspace"

    def train(config: TrainConfig = TINY) -> Path:
        return train_alone(config, "makeup", str(pictures), Workspace(home), console, Torchrun())

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
    from evaluation.config import EvaluateConfig, PromoteConfig

    with pytest.raises(SuyanError, match=r"dataset version of its training: .*mine is not there"):
        evaluate_alone(
            EvaluateConfig(), PromoteConfig(), "makeup", "newest", Workspace(home), console
        )


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


def _train(config: TrainConfig, pictures: Path, home: Path) -> Path:
    return train_alone(
        config, "makeup", str(pictures), Workspace(home), Console(quiet=True), Torchrun(),
    )  # fmt: skip


def test_a_folder_with_other_pictures_is_another_run(pictures: Path, tmp_path: Path) -> None:
    first = _train(TINY, pictures, tmp_path / "home")
    Image.new("RGB", (40, 40), "red").save(pictures / "trainA" / "more.png")
    second = _train(TINY, pictures, tmp_path / "home")
    assert second != first
    assert (second / "checkpoints" / "step_00000004").is_dir()
    (pictures / "trainA" / "more.png").unlink()
    (tmp_path / "other").mkdir()
    elsewhere = pictures.rename(tmp_path / "other" / "mine")
    assert _train(TINY, elsewhere, tmp_path / "home") == first  # the path does not name it
    Image.new("RGB", (40, 40), "blue").save(elsewhere / "trainB" / "1.png")
    assert _train(TINY, elsewhere, tmp_path / "home") not in {first, second}


def test_a_run_that_was_named_by_the_folders_path_goes_on_while_nothing_changed(
    pictures: Path, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    by_path = f"mine-{digest(str(pictures.resolve()), 8)}"
    former = Workspace(home).run(latest.run_name(TINY, by_path))
    claim_folder(former.path, {"train": identity(TINY), "dataset": "mine"})
    assert _train(TINY, pictures, home) == former.path
    assert _train(TINY, pictures, home) == former.path
    (pictures / "trainA" / "0.png").unlink()
    assert _train(TINY, pictures, home) != former.path


def test_a_former_run_is_left_alone_when_its_folder_is_newer(
    pictures: Path, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    by_path = f"mine-{digest(str(pictures.resolve()), 8)}"
    former = Workspace(home).run(latest.run_name(TINY, by_path))
    claim_folder(former.path, {"train": identity(TINY), "dataset": "mine"})
    os.utime(former.config, (0, 0))
    assert _train(TINY, pictures, home) != former.path
