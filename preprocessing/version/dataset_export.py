"""A dataset version for other tools: a zip of image folders, or WebDataset shards."""

from __future__ import annotations

import json
import zipfile
from dataclasses import asdict
from pathlib import Path
from typing import Literal

import webdataset

from core.files import atomic_file
from core.progress import Progress, silent
from core.tables import Picture, iter_rows

Format = Literal["zip", "webdataset"]

_TOLD = ("config.json", "card.json", "card.md", "manifest.parquet")
_EPOCH = (1980, 1, 1, 0, 0, 0)  # equal datasets give equal archives


def export(
    dataset: Path,
    out: Path,
    kind: Format,
    *,
    shard_pictures: int = 1000,
    progress: Progress = silent,
) -> list[Path]:
    """Write the used pictures of a version into the folder ``out``; the files written.

    ``zip`` is one archive of trainA, trainB, testA and testB with manifest and card. ``webdataset``
    is tar shards ``<folder>-000000.tar`` of at most ``shard_pictures`` pictures, in each of which a
    picture is ``<key>.png`` beside ``<key>.json`` (its manifest row). Equal versions give equal
    files. Raises ``ValueError`` for a folder that is no dataset.
    """
    if not (dataset / "manifest.parquet").is_file():
        there = sorted(path.parent.name for path in dataset.parent.glob("*/trainA"))
        listed = f"; there are {', '.join(there)}" if there else ""
        raise ValueError(
            f"{dataset}: found no manifest.parquet, needed the folder of a dataset{listed}"
        )
    rows = [row for row in iter_rows(dataset / "manifest.parquet", Picture) if row.status == "ok"]
    rows.sort(key=lambda row: row.file)
    out.mkdir(parents=True, exist_ok=True)
    if kind == "zip":
        return [_zip(dataset, rows, out, progress)]
    return _shards(dataset, rows, out, shard_pictures, progress)


def _zip(dataset: Path, rows: list[Picture], out: Path, progress: Progress) -> Path:
    target = out / f"{dataset.name}.zip"
    with atomic_file(target) as file, zipfile.ZipFile(file, "w") as archive:
        for name in (*_TOLD, *(row.file for row in rows)):
            entry = zipfile.ZipInfo(f"{dataset.name}/{name}", _EPOCH)
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, (dataset / name).read_bytes())  # stored: PNG is compressed
            progress("export", len(archive.infolist()), len(rows) + len(_TOLD), "")
    return target


def _shards(
    dataset: Path, rows: list[Picture], out: Path, shard_pictures: int, progress: Progress
) -> list[Path]:
    written, done = [], 0
    for folder in sorted({row.file.split("/")[0] for row in rows}):
        mine = [row for row in rows if row.file.startswith(f"{folder}/")]
        for number, start in enumerate(range(0, len(mine), shard_pictures)):
            target = out / f"{dataset.name}-{folder}-{number:06d}.tar"
            with (
                atomic_file(target) as file,
                webdataset.TarWriter(file, mtime=0, encoder=False) as shard,
            ):
                for row in mine[start : start + shard_pictures]:
                    shard.write(_sample(dataset, row))
                    done += 1
                    progress("export", done, len(rows), "")
            written.append(target)
    return written


def _sample(dataset: Path, row: Picture) -> dict[str, str | bytes]:
    described = json.dumps(asdict(row), ensure_ascii=False, sort_keys=True)
    return {
        "__key__": f"{row.side}-{Path(row.file).stem}",
        "png": (dataset / row.file).read_bytes(),
        "json": described.encode(),
    }
