"""The export of a dataset version for other tools, in the form that their loaders read."""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Literal

import webdataset

from core.files import atomic_file, canonical_json, sync_file, sync_folder, try_load_json
from core.language.messages import localised
from core.progress import Progress, silent
from core.tables import Picture, iter_rows
from core.workspace_folders import DatasetFolder
from preprocessing.exports.dataset_card import dataset_card
from preprocessing.exports.labelled_folders import write_folders
from preprocessing.exports.parquet_shards import write_shards
from preprocessing.version.credits import CREDITS_NAME, credits_table
from preprocessing.version.export_record import FOLDER_FORMATS

Format = Literal["zip", "imagefolder", "webdataset", "huggingface", "folders"]

_PATTERNS: Mapping[Format, str] = {
    "zip": ".zip",
    "imagefolder": "-imagefolder.zip",
    "webdataset": "-*.tar",
    "huggingface": "-huggingface",
    "folders": "-folders",
}  # of what an export writes, after the version's name
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the same in every archive, so that equal datasets give equal ones
_FILE_MODE = 0o644 << 16  # as a zip's entries have it


def export(
    dataset: Path,
    out: Path,
    kind: Format,
    *,
    overwrite: bool = False,
    shard_pictures: int = 1000,
    progress: Progress = silent,
) -> list[Path]:
    """Write the accepted pictures of a version into the folder ``out``; returns the files, or the
    one folder that holds them.

    ``zip`` is one archive of trainA, trainB, testA and testB with manifest and card, as CycleGAN
    tools read it. ``imagefolder`` is one archive of ``train/<domain>`` and ``test/<domain>``, which
    torchvision's and Hugging Face's image folders take for splits and labels. ``webdataset``
    is tar shards ``<split>-000000.tar`` of at most ``shard_pictures`` pictures, each of which is
    ``<key>.png`` beside ``<key>.json`` (its manifest row). ``huggingface`` is a folder of Parquet
    shards with the pictures in them, ``folders`` one of ``<split>/<domain>`` with a
    ``metadata.jsonl`` in each split; both have a card with front matter, and every row its
    provenance. Where pictures have licences, all but ``webdataset`` come with ``credits.csv``, in
    the archive or folder, or beside it. Equal versions give equal files. Raises ``ValueError`` for
    a folder that is no dataset, and where an export of it is in ``out`` unless ``overwrite``.
    """
    folder = DatasetFolder(dataset)
    if not folder.manifest.is_file():
        versions = sorted(path.parent.name for path in dataset.parent.glob("*/trainA"))
        hint = f"; the datasets beside it are {', '.join(versions)}" if versions else ""
        raise ValueError(
            localised(
                "{dataset}: found no {name}, needed the folder of a dataset{hint}",
                dataset=dataset,
                name=folder.manifest.name,
                hint=hint,
            )
        )
    rows = [row for row in iter_rows(folder.manifest, Picture) if row.status == "ok"]
    rows.sort(key=lambda row: row.file)
    existing = sorted(out.glob(f"{folder.path.name}{_PATTERNS[kind]}"))
    if existing and not overwrite:
        raise ValueError(
            localised(
                "{existing} exists already; choose another folder, or replace it with --overwrite",
                existing=existing[0],
            )
        )
    out.mkdir(parents=True, exist_ok=True)
    if kind == "webdataset":
        return _write_shards(dataset, rows, out, shard_pictures, progress)
    target = out / f"{folder.path.name}{_PATTERNS[kind]}"
    if kind in FOLDER_FORMATS:
        _write_folder(folder, rows, target, kind, shard_pictures, progress)
        return [target]
    if kind == "imagefolder":  # a file beside the splits would be taken for one
        pictures = {f"{row.split}/{row.domain}/{Path(row.file).name}": row for row in rows}
        entries = {name: folder.path / row.file for name, row in pictures.items()}
        _write_zip(entries, target, progress)
        table = credits_table(pictures)
        beside = target.with_name(f"{target.stem}-{CREDITS_NAME}")
        beside.unlink(missing_ok=True)  # of another export
        return [target, _write_file(beside, table)] if table else [target]
    metadata = (folder.config, folder.card, folder.card_text, folder.manifest)
    names = [*(path.name for path in metadata), *(row.file for row in rows)]
    contents: dict[str, Path | bytes] = {
        f"{folder.path.name}/{name}": folder.path / name for name in names
    }
    if table := credits_table({row.file: row for row in rows}):
        contents[f"{folder.path.name}/{CREDITS_NAME}"] = table
    _write_zip(contents, target, progress)
    return [target]


def _write_folder(
    dataset: DatasetFolder,
    rows: list[Picture],
    target: Path,
    kind: Format,
    shard_pictures: int,
    progress: Progress,
) -> None:
    """Write a folder of pictures under a temporary name, with card and credits, and rename it."""
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as scratch:
        staged = Path(scratch) / target.name
        staged.mkdir()
        if kind == "huggingface":
            write_shards(dataset.path, rows, staged, shard_pictures, progress)
            names = {row.file: row for row in rows}
        else:
            write_folders(dataset.path, rows, staged, progress)
            names = {f"{row.split}/{row.domain}/{Path(row.file).name}": row for row in rows}
        splits = sorted({row.split for row in rows}, reverse=True)  # train before test
        pattern = "data/{}-*" if kind == "huggingface" else "{}/**"
        files = [{"split": split, "path": pattern.format(split)} for split in splits]
        configs = [{"config_name": "default", "data_files": files}]
        crop_px = (try_load_json(dataset.config) or {}).get("crop_px")
        card = dataset_card(dataset.path.name, rows, crop_px, configs)
        _write_file(staged / "README.md", card.encode())
        if table := credits_table(names):
            _write_file(staged / CREDITS_NAME, table)
        for path in staged.rglob("*"):
            sync = sync_folder if path.is_dir() else sync_file
            sync(path)
        if target.exists():
            target.rename(Path(scratch) / "former")
        staged.rename(target)
        sync_folder(target.parent)


def _write_file(path: Path, content: bytes) -> Path:
    with atomic_file(path) as file:
        file.write(content)
    return path


def _write_zip(entries: Mapping[str, Path | bytes], target: Path, progress: Progress) -> None:
    """Write an archive of files or contents by the names that they have in it."""
    with atomic_file(target) as file, zipfile.ZipFile(file, "w") as archive:
        for done, (name, source) in enumerate(entries.items(), 1):
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.external_attr = _FILE_MODE
            content = source if isinstance(source, bytes) else source.read_bytes()
            archive.writestr(entry, content)  # PNG is compressed
            progress("export", done, len(entries), "")


def _write_shards(
    dataset: Path, rows: list[Picture], out: Path, shard_pictures: int, progress: Progress
) -> list[Path]:
    shards, done = [], 0
    for split in sorted({row.file.split("/")[0] for row in rows}):
        of_split = [row for row in rows if row.file.startswith(f"{split}/")]
        for number, start in enumerate(range(0, len(of_split), shard_pictures)):
            target = out / f"{dataset.name}-{split}-{number:06d}.tar"
            with (
                atomic_file(target) as file,
                webdataset.TarWriter(file, mtime=0, encoder=False) as shard,
            ):
                for row in of_split[start : start + shard_pictures]:
                    shard.write(_sample(dataset, row))
                    done += 1
                    progress("export", done, len(rows), "")
            shards.append(target)
    return shards


def _sample(dataset: Path, row: Picture) -> dict[str, str | bytes]:
    return {
        "__key__": f"{row.side}-{Path(row.file).stem}",
        "png": (dataset / row.file).read_bytes(),
        "json": canonical_json(asdict(row)).encode(),
    }
