from dataclasses import replace
from pathlib import Path

import pytest

from core.errors import SuyanError
from core.files import write_json
from core.tables import Picture, write_rows
from core.workspace import Workspace
from flows import latest

BLANK = Picture(
    sha256="", domain="bare", side="A", split="train", file="", status="ok", reason="", cluster="",
    phash="", face_phash="", width=1, height=1, keypoints=[], transform=[], sharpness=0.0,
    phrase="", url="", original="",
)  # fmt: skip


def _dataset(workspace: Path, version: str, pictures: str, config: dict[str, int]) -> Path:
    folder = workspace / "datasets" / version
    rows = [replace(BLANK, sha256=letter) for letter in pictures]
    rows.append(replace(BLANK, sha256="never used", status="rejected"))
    write_rows(folder / "manifest.parquet", Picture, rows)
    write_json(folder / "config.json", config)
    return folder


def test_the_changed_share_counts_what_only_one_version_has(tmp_path: Path) -> None:
    old = _dataset(tmp_path, "old", "abcdefgh", {"crop_px": 64})
    new = _dataset(tmp_path, "new", "abcdefij", {"crop_px": 64})
    assert latest.changed_share(new, old) == pytest.approx(4 / 10)
    assert latest.changed_share(old, old) == 0
    assert latest.changed_share(new, None) == 1


def test_other_settings_change_every_picture(tmp_path: Path) -> None:
    old = _dataset(tmp_path, "old", "abcd", {"crop_px": 64})
    assert latest.changed_share(_dataset(tmp_path, "new", "abcd", {"crop_px": 128}), old) == 1


def test_changes_add_up_until_a_training_is_asked_for(tmp_path: Path) -> None:
    _dataset(tmp_path, "v1", "a", {})
    latest.remember_dataset(Workspace(tmp_path), "makeup", "v1")
    latest.remember_trained_for(Workspace(tmp_path), "makeup", "v1")
    _dataset(tmp_path, "v2", "ab", {})
    Workspace(tmp_path).dataset("v2").split("trainA").mkdir()
    latest.remember_dataset(Workspace(tmp_path), "makeup", "v2")
    assert latest.dataset_folder(Workspace(tmp_path), "makeup").name == "v2"
    reference = latest.trained_for(Workspace(tmp_path), "makeup")
    assert reference is not None
    assert reference.name == "v1"


def test_a_reference_that_was_removed_is_none(tmp_path: Path) -> None:
    latest.remember_trained_for(Workspace(tmp_path), "makeup", "gone")
    assert latest.trained_for(Workspace(tmp_path), "makeup") is None


def test_nothing_yet_says_what_to_run_first(tmp_path: Path) -> None:
    with pytest.raises(SuyanError, match="refresh-dataset/makeup"):
        latest.dataset_folder(Workspace(tmp_path), "makeup")
    with pytest.raises(SuyanError, match="train/makeup"):
        latest.run_folder(Workspace(tmp_path), "makeup")


@pytest.mark.parametrize("name", ["../../etc", "a/b", "", ".hidden", "x" * 300])
def test_only_names_of_folders_are_taken(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="needed the name of a folder"):
        latest.dataset_folder(Workspace(tmp_path), "makeup", name)


def test_a_torn_pointer_counts_as_none(tmp_path: Path) -> None:
    pointer = tmp_path / "recipes" / "makeup" / "run.json"
    pointer.parent.mkdir(parents=True)
    pointer.write_text("{")
    with pytest.raises(SuyanError, match="no run"):
        latest.run_folder(Workspace(tmp_path), "makeup")
    latest.remember_run(Workspace(tmp_path), "makeup", "r1")
    assert pointer.read_text().startswith("{")
