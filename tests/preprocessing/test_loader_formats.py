"""Exports for other people's loaders hold every accepted picture with label, split and source."""

import io
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image

from core.files import write_json
from core.tables import DRAWN_HOST, Picture, write_rows
from flows.removal.archives import remove_entries
from flows.removal.file_copies import exported_folders, find_archives, find_files
from preprocessing.version.dataset_export import Format, export
from preprocessing.version.export_record import FOLDER_FORMATS
from storage.forgotten_record import ForgottenRecord

PLACES = ("trainA", "trainA", "trainB", "testA", "testB", "")
NAMES = [f"{0xABCDEF + number:016x}" * 4 for number in range(len(PLACES))]
PYTHON = os.environ.get("SUYAN_TEST_DATASETS_PYTHON", sys.executable)
LOAD = """
import json, sys
import datasets
kind, folder = sys.argv[1:]
loaded = datasets.load_dataset(folder)
rows = [
    {"split": split, "label": dataset.features["label"].int2str(row["label"])
     if hasattr(dataset.features["label"], "int2str") else row["label"],
     "pixel": row["image"].getpixel((0, 0))[0], "sha256": row["sha256"],
     "phrases": row["phrases"], "license": row["license"]}
    for split, dataset in loaded.items() for row in dataset
]
print(json.dumps(rows))
"""


def pictures() -> list[Picture]:
    rows = []
    for number, (name, place) in enumerate(zip(NAMES, PLACES, strict=True)):
        side = place[-1:] or "A"
        file = f"{place}/{name[:16]}.png" if place else ""
        rows.append(
            Picture(name, {"A": "makeup", "B": "bare"}[side], side, place[:-1], file,
                    "ok" if place else "rejected", "" if place else "blurred", NAMES[0], "", "",
                    9, 9, [1.5, 2.5], [], float(number), "素颜", "http://x", "o",
                    phrases=["素颜", "淡妆"], license="CC0" if number == 2 else "")
        )  # fmt: skip
    return rows


def write_dataset(folder: Path, rows: list[Picture]) -> Path:
    for number, row in enumerate(rows):
        if row.file:
            (folder / row.file).parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (8, 8), (number * 30, 0, 0)).save(folder / row.file)
    write_rows(folder / "manifest.parquet", Picture, rows)
    write_json(folder / "config.json", {"crop_px": 8})
    return folder


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    return write_dataset(tmp_path / "makeup-bare-0123", pictures())


def front_matter(folder: Path) -> dict[str, Any]:
    _, front, _ = (folder / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    content = yaml.safe_load(front)
    assert isinstance(content, dict)
    return content


def expected_rows() -> list[dict[str, Any]]:
    rows = [
        {"split": row.split, "label": row.domain, "pixel": number * 30, "sha256": row.sha256,
         "phrases": ["素颜", "淡妆"], "license": row.license}
        for number, row in enumerate(pictures()) if row.file
    ]  # fmt: skip
    return sorted(rows, key=lambda row: str(row["sha256"]))


def test_parquet_shards_hold_pictures_labels_and_provenance(dataset: Path, tmp_path: Path) -> None:
    (folder,) = export(dataset, tmp_path / "out", "huggingface", shard_pictures=2)
    assert folder.name == "makeup-bare-0123-huggingface"
    shards = sorted(path.name for path in (folder / "data").iterdir())
    assert shards == [
        "test-00000-of-00001.parquet", "train-00000-of-00002.parquet",
        "train-00001-of-00002.parquet",
    ]  # fmt: skip
    rows = []
    for shard in shards:
        table = pq.read_table(folder / "data" / shard)
        features = json.loads(table.schema.metadata[b"huggingface"])["info"]["features"]
        assert list(features) == table.column_names
        names = features["label"]["names"]
        for row in table.to_pylist():
            with Image.open(io.BytesIO(row["image"]["bytes"])) as image:
                pixel = image.getpixel((0, 0))
            assert row["image"]["path"] == f"{row['sha256'][:16]}.png"
            assert shard.startswith(row["split"])
            assert isinstance(pixel, tuple)
            rows.append(
                {"split": row["split"], "label": names[row["label"]], "pixel": pixel[0],
                 "sha256": row["sha256"], "phrases": row["phrases"], "license": row["license"]}
            )  # fmt: skip
    assert sorted(rows, key=lambda row: row["sha256"]) == expected_rows()
    assert "original" not in features
    (again,) = export(dataset, tmp_path / "again", "huggingface", shard_pictures=2)
    for path in sorted(each for each in folder.rglob("*") if each.is_file()):
        assert path.read_bytes() == (again / path.relative_to(folder)).read_bytes()


def test_folders_describe_each_picture_in_a_line(dataset: Path, tmp_path: Path) -> None:
    (folder,) = export(dataset, tmp_path / "out", "folders")
    rows = []
    for split in ("train", "test"):
        for line in (folder / split / "metadata.jsonl").read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            with Image.open(folder / split / row["file_name"]) as image:
                pixel = image.getpixel((0, 0))
            assert isinstance(pixel, tuple)
            assert row["file_name"].startswith(f"{row['label']}/")
            rows.append(
                {"split": row["split"], "label": row["label"], "pixel": pixel[0],
                 "sha256": row["sha256"], "phrases": row["phrases"], "license": row["license"]}
            )  # fmt: skip
    assert sorted(rows, key=lambda row: row["sha256"]) == expected_rows()
    assert (folder / "credits.csv").read_text().splitlines()[1].startswith("train/bare/")


@pytest.mark.parametrize("kind", FOLDER_FORMATS)
def test_the_library_datasets_loads_the_export(dataset: Path, tmp_path: Path, kind: Format) -> None:
    """In a process of its own: ``SUYAN_TEST_DATASETS_PYTHON`` may name another environment."""
    probe = subprocess.run([PYTHON, "-c", "import datasets"], capture_output=True, check=False)
    if probe.returncode:
        pytest.skip("needs the package datasets, here or in SUYAN_TEST_DATASETS_PYTHON")
    (folder,) = export(dataset, tmp_path / "out", kind)
    home = {"HF_HOME": str(tmp_path / "hf"), "HF_HUB_OFFLINE": "1"}
    loaded = subprocess.run(
        [PYTHON, "-c", LOAD, kind, str(folder)],
        env=os.environ | home, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert loaded.returncode == 0, loaded.stderr
    rows = json.loads(loaded.stdout)
    assert sorted(rows, key=lambda row: row["sha256"]) == expected_rows()


@pytest.mark.parametrize("kind", FOLDER_FORMATS)
def test_the_card_has_front_matter_and_says_who_is_shown(
    dataset: Path, tmp_path: Path, kind: Format
) -> None:
    (folder,) = export(dataset, tmp_path / "out", kind)
    content = front_matter(folder)
    assert content["license"] == "other"
    assert content["size_categories"] == ["n<1K"]
    assert {"makeup", "bare"} < set(content["tags"])
    splits = [each["split"] for each in content["configs"][0]["data_files"]]
    assert splits == ["train", "test"]
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "| train | makeup | 2 |" in card
    assert "show people who were not asked" in card
    assert "Licences: none stated: 4, CC0: 1." in card
    page = f"https://{DRAWN_HOST}/1"
    drawn = [replace(row, page_url=page) for row in pictures()]
    (other,) = export(write_dataset(tmp_path / "drawn", drawn), tmp_path / "out", kind)
    text = (other / "README.md").read_text(encoding="utf-8")
    assert "was drawn by the offline engine" in text
    assert "not asked" not in text


@pytest.mark.parametrize("kind", FOLDER_FORMATS)
def test_a_folder_is_replaced_whole_and_only_when_told_to(
    dataset: Path, tmp_path: Path, kind: Format
) -> None:
    (folder,) = export(dataset, tmp_path / "out", kind)
    (folder / "README.md").write_text("mine")
    (folder / "older.txt").write_text("of another export")
    with pytest.raises(ValueError, match=r"exists already.*--overwrite"):
        export(dataset, tmp_path / "out", kind)
    assert (folder / "README.md").read_text() == "mine"
    assert export(dataset, tmp_path / "out", kind, overwrite=True) == [folder]
    assert not (folder / "older.txt").exists()
    assert [path.name for path in (tmp_path / "out").iterdir()] == [folder.name]


@pytest.mark.parametrize("kind", FOLDER_FORMATS)
def test_what_is_forgotten_leaves_the_export(dataset: Path, tmp_path: Path, kind: Format) -> None:
    """Its rows, credits and files go; those of its near duplicates, named after it, stay."""
    out = tmp_path / "out"
    (folder,) = export(dataset, out, kind)
    for forgotten in (NAMES[0], NAMES[2]):
        record = ForgottenRecord(pictures=frozenset({forgotten}))
        archives = list(find_archives([out], record))
        assert archives
        for archive in archives:
            remove_entries(archive, record)
        for path in find_files(exported_folders([out]), record, progress=lambda *_: None):
            path.unlink()
        assert list(find_archives([out], record)) == []
    assert {path.stem for path in folder.rglob("*.png")} & {NAMES[0][:16], NAMES[2][:16]} == set()
    if kind == "huggingface":
        rows = [
            row for path in (folder / "data").iterdir() for row in pq.read_table(path).to_pylist()
        ]
    else:
        files = folder.glob("*/metadata.jsonl")
        rows = [json.loads(line) for path in files for line in path.read_text().splitlines()]
    assert {row["sha256"] for row in rows} == {NAMES[1], NAMES[3], NAMES[4]}
    assert {row["cluster"] for row in rows} == {NAMES[0]}
