"""Exports hold every accepted picture, and equal datasets give equal files."""

import gc
import json
import zipfile
from pathlib import Path

import pytest
import webdataset
from PIL import Image
from torchvision.datasets import ImageFolder

from core.files import write_json
from core.tables import Picture, write_rows
from preprocessing.version.dataset_export import Format, export


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    folder = tmp_path / "a-b-0123"
    rows = []
    for number, place in enumerate(["trainA", "trainA", "trainA", "trainB", "testA", "testB", ""]):
        name = f"{number:064x}"
        file = f"{place}/{name[-16:]}.png" if place else ""
        if place:
            (folder / place).mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (8, 8), (number * 30, 0, 0)).save(folder / file)
        side = place[-1:] or "A"
        rows.append(
            Picture(name, "a", side, place[:-1], file, "ok" if place else "rejected",
                    "" if place else "blurred", name, "", "", 9, 9, [], [], 1.0, "素颜", "", "o")
        )  # fmt: skip
    write_rows(folder / "manifest.parquet", Picture, rows)
    for name in ("config.json", "card.json", "card.md"):
        write_json(folder / name, {})
    return folder


def test_a_zip_holds_the_folders_that_tools_read(dataset: Path, tmp_path: Path) -> None:
    (path,) = export(dataset, tmp_path / "out", "zip")
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        names = {name.removeprefix(f"{dataset.name}/") for name in archive.namelist()}
    pictures = {str(path.relative_to(dataset)) for path in dataset.glob("*/*.png")}
    assert names == pictures | {"config.json", "card.json", "card.md", "manifest.parquet"}
    assert len(pictures) == 6
    before = path.read_bytes()
    (again,) = export(dataset, tmp_path / "out", "zip", overwrite=True)
    assert again.read_bytes() == before


# the library's reader leaves its files to the garbage collector
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_shards_are_read_by_the_library(dataset: Path, tmp_path: Path) -> None:
    paths = export(dataset, tmp_path / "out", "webdataset", shard_pictures=2)
    assert [path.name.removeprefix(f"{dataset.name}-") for path in paths] == [
        "testA-000000.tar", "testB-000000.tar", "trainA-000000.tar", "trainA-000001.tar",
        "trainB-000000.tar",
    ]  # fmt: skip
    read = webdataset.WebDataset([str(p) for p in paths], shardshuffle=False).decode("rgb8")
    samples = list(read)
    gc.collect()
    assert len(samples) == 6
    for sample in samples:
        assert sample["png"].shape == (8, 8, 3)
        assert sample["png"][0, 0, 0] == int(sample["json"]["sha256"], 16) * 30
        assert sample["json"]["phrase"] == "素颜"
    again = export(dataset, tmp_path / "again", "webdataset", shard_pictures=2)
    assert [p.read_bytes() for p in again] == [p.read_bytes() for p in paths]
    assert json.dumps(samples[0]["json"])


def test_another_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"found no manifest\.parquet"):
        export(tmp_path, tmp_path / "out", "zip")


def test_an_image_folder_has_splits_and_labels(dataset: Path, tmp_path: Path) -> None:
    (path,) = export(dataset, tmp_path / "out", "imagefolder")
    with zipfile.ZipFile(path) as archive:
        archive.extractall(tmp_path / "unpacked")
    assert {each.name for each in (tmp_path / "unpacked").iterdir()} == {"train", "test"}
    train = ImageFolder(str(tmp_path / "unpacked" / "train"))
    assert (train.classes, len(train)) == (["a"], 4)  # the domain of all pictures here is a


@pytest.mark.parametrize("kind", ["zip", "imagefolder", "webdataset"])
def test_an_export_is_replaced_only_when_told_to(
    dataset: Path, tmp_path: Path, kind: Format
) -> None:
    files = export(dataset, tmp_path / "out", kind)
    files[0].write_bytes(b"mine")
    with pytest.raises(ValueError, match=r"exists already.*--overwrite"):
        export(dataset, tmp_path / "out", kind)
    assert files[0].read_bytes() == b"mine"
    assert export(dataset, tmp_path / "out", kind, overwrite=True) == files
    assert files[0].read_bytes() != b"mine"
