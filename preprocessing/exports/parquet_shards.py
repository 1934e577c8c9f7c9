"""A dataset version as Parquet shards that hold the pictures, as the Hugging Face hub has them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from core.files import atomic_file
from core.progress import Progress
from core.tables import Picture, groups
from preprocessing.exports.exported_row import COLUMNS, exported_row, labels_of, picture_name

_ROW_GROUP = 100  # readers that page through a dataset decode no more at once
_TYPES = {"str": "string", "int": "int64", "float": "float64"}


def write_shards(
    dataset: Path,
    rows: Sequence[Picture],
    folder: Path,
    shard_pictures: int,
    progress: Progress,
) -> None:
    """Write ``data/<split>-00000-of-00001.parquet`` of at most ``shard_pictures`` rows each.

    A row is ``image`` (the PNG's bytes and its name), ``label`` (0 for domain A, 1 for B) and the
    columns of ``COLUMNS``. The schema states these types in the way that ``datasets`` reads, so
    that no script is needed.
    """
    labels, done = labels_of(rows), 0
    for split in sorted({row.split for row in rows}):
        shards = list(groups((row for row in rows if row.split == split), shard_pictures))
        for number, shard in enumerate(shards):
            name = f"{split}-{number:05d}-of-{len(shards):05d}.parquet"
            _write_shard(dataset, shard, folder / "data" / name, labels)
            done += len(shard)
            progress("export", done, len(rows), "")


def _write_shard(dataset: Path, rows: list[Picture], path: Path, labels: list[str]) -> None:
    import pyarrow as pa  # noqa: PLC0415 - slow to import, and most commands need none
    import pyarrow.parquet as pq  # noqa: PLC0415

    schema = _schema(labels)
    with atomic_file(path) as file, pq.ParquetWriter(file, schema) as writer:
        for group in groups(rows, _ROW_GROUP):
            table = pa.Table.from_pylist([_row(dataset, row, labels) for row in group], schema)
            writer.write_table(table)


def _row(dataset: Path, row: Picture, labels: list[str]) -> dict[str, Any]:
    image = {"bytes": (dataset / row.file).read_bytes(), "path": picture_name(row)}
    return {"image": image, "label": labels.index(row.domain), **exported_row(row)}


def _schema(labels: list[str]) -> Any:
    import pyarrow as pa  # noqa: PLC0415

    image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    columns = [pa.field("image", image), pa.field("label", pa.int64())]
    for column in COLUMNS:
        inner = getattr(pa, _TYPES[_item_type(str(column.type))])()
        is_list = str(column.type).startswith("list")
        columns.append(pa.field(column.name, pa.list_(inner) if is_list else inner))
    features = json.dumps({"info": {"features": _features(labels)}})
    return pa.schema(columns, metadata={"huggingface": features})


def _features(labels: list[str]) -> dict[str, Any]:
    """The types of the columns as ``datasets`` spells them in a schema's metadata."""
    features: dict[str, Any] = {
        "image": {"_type": "Image"},
        "label": {"_type": "ClassLabel", "names": labels},
    }
    for column in COLUMNS:
        value = {"_type": "Value", "dtype": _TYPES[_item_type(str(column.type))]}
        is_list = str(column.type).startswith("list")  # older readers know no other spelling
        features[column.name] = {"_type": "Sequence", "feature": value} if is_list else value
    return features


def _item_type(kind: str) -> str:
    return kind.removeprefix("list[").removesuffix("]")
