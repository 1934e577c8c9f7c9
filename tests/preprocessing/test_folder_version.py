"""A folder of pictures as the reference takes them becomes a dataset version."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.tables import Picture, read_rows
from core.workspace import Workspace
from core.workspace_folders import DatasetFolder
from preprocessing.version.folder_version import domains_of, version_of_folder


def draw(folder: Path, num: int, seed: int, suffix: str = ".png") -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    paths = []
    for _ in range(num):
        paths.append(folder / f"{len(list(folder.iterdir()))}{suffix}")
        Image.fromarray(rng.integers(0, 256, (40, 48, 3), np.uint8)).save(paths[-1])
    return paths


@pytest.fixture
def horses(tmp_path: Path) -> Path:
    """20 and 16 pictures, without test folders."""
    draw(tmp_path / "horse2zebra" / "trainA", 20, 0)
    draw(tmp_path / "horse2zebra" / "trainB", 16, 1)
    return tmp_path / "horse2zebra"


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "workspace")


def rows_of(dataset: Path) -> list[Picture]:
    return read_rows(DatasetFolder(dataset).manifest, Picture)


def held_out(dataset: Path) -> set[str]:
    return {row.sha256 for row in rows_of(dataset) if row.split == "test"}


def test_pictures_are_held_out_by_their_content(horses: Path, workspace: Workspace) -> None:
    version = version_of_folder(horses, workspace, test_fraction=0.3)
    counts = version.counts
    assert counts["trainA"] + counts["testA"] == 20
    assert counts["testA"] >= 2
    assert counts["testB"] >= 2
    for row in rows_of(version.dataset):
        assert (version.dataset / row.file).read_bytes() == (horses / row.url).read_bytes()
        assert (row.domain, row.original) == ({"A": "horse", "B": "zebra"}[row.side], "")
    before = held_out(version.dataset)
    draw(horses / "trainA", 10, 2)
    after = version_of_folder(horses, workspace, test_fraction=0.3)
    assert after.dataset != version.dataset
    assert before <= held_out(after.dataset)


def test_an_equal_folder_is_the_same_version_wherever_it_lies(
    horses: Path, workspace: Workspace, tmp_path: Path
) -> None:
    first = version_of_folder(horses, workspace, test_fraction=0.3)
    assert not first.reused
    moved = shutil.move(horses, tmp_path / "elsewhere" / "horse2zebra")
    again = version_of_folder(Path(moved), workspace, test_fraction=0.3)
    assert (again.dataset, again.reused, again.counts) == (first.dataset, True, first.counts)
    assert not list(workspace.datasets.glob(".*"))


def test_test_folders_are_taken_as_they_are(horses: Path, workspace: Workspace) -> None:
    draw(horses / "testA", 3, 5)
    version = version_of_folder(horses, workspace, test_fraction=0.3)
    assert (version.counts["trainA"], version.counts["testA"]) == (20, 3)
    assert version.counts["testB"] >= 2


def test_what_cannot_be_used_is_a_row_with_its_reason(horses: Path, workspace: Workspace) -> None:
    (horses / "trainA" / "torn.jpg").write_bytes(b"\xff\xd8no picture")
    shutil.copy(horses / "trainA" / "0.png", horses / "trainA" / "copy.png")
    shutil.copy(horses / "trainA" / "1.png", horses / "trainB" / "both.png")
    version = version_of_folder(horses, workspace, test_fraction=0.3)
    reasons = {row.url: row.reason for row in rows_of(version.dataset) if row.status == "rejected"}
    assert reasons["trainA/torn.jpg"] == "undecodable"
    assert reasons["trainA/copy.png"].startswith("duplicate-of:")
    assert reasons["trainA/1.png"] == reasons["trainB/both.png"] == "in-both-domains"
    assert version.rejected == {"undecodable": 1, "duplicate-of": 1, "in-both-domains": 2}


def test_a_folder_without_pictures_names_what_is_missing(
    horses: Path, workspace: Workspace
) -> None:
    for path in (horses / "trainB").iterdir():
        path.write_bytes(b"no picture")
    with pytest.raises(ValueError, match=r"trainB and testB \(rejected undecodable: 16\)"):
        version_of_folder(horses, workspace, test_fraction=0.3)
    assert not list(workspace.datasets.glob("*"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every file")
def test_a_file_that_may_not_be_read_costs_itself_alone(horses: Path, workspace: Workspace) -> None:
    (horses / "trainA" / "0.png").chmod(0)
    version = version_of_folder(horses, workspace, test_fraction=0.3)
    assert version.rejected == {"file-missing": 1}


@pytest.mark.parametrize(
    ("name", "domains"),
    [
        ("horse2zebra", ("horse", "zebra")),
        ("summer2winter_yosemite", ("summer", "winter")),
        ("mine", ("a", "b")),
        ("x2x", ("a", "b")),
    ],
)
def test_a_name_may_tell_the_domains(name: str, domains: tuple[str, str]) -> None:
    assert domains_of(Path("/data") / name) == domains
