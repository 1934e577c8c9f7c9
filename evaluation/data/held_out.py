"""The pictures of a measurement: held-out ones, and training pictures for the ceiling."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import pyarrow as pa

from core.files import load_json
from core.language.messages import localised
from core.pictures import Rejected, map_in_threads, read_picture, resize
from core.tables import Picture, iter_rows
from core.workspace_folders import DatasetFolder
from evaluation.arrays import Pictures
from evaluation.config import EvaluateConfig
from preprocessing.analysis.face_windows import Alignment

Sides = dict[str, list[Picture]]
"""Rows of the manifest by side, ``"A"`` and ``"B"``."""

_Row = TypeVar("_Row", "_Place", Picture)

_MOST_BYTES_IN_MEMORY = 128_000_000


@dataclass(frozen=True)
class HeldOut:
    """Rows of the manifest by side, and the geometry of the dataset's pictures."""

    test: Sides
    train: Sides
    usable: Sides  # every usable picture of both splits, if pairs are configured
    crop_px: int | None  # side of the dataset's pictures; None: unknown
    alignment: Alignment | None  # None: the pictures are not aligned faces


def load_held_out(config: EvaluateConfig, dataset: DatasetFolder) -> HeldOut:
    """At most ``config.num_pictures`` pictures of each split and side.

    Raises ``ValueError`` when the dataset has no readable manifest, a side has no test picture, or
    a picture's file is missing.
    """
    try:
        test, train, usable = _load_rows(dataset.manifest, config)
    except (OSError, pa.ArrowException) as error:
        raise ValueError(
            localised(
                "dataset: cannot read {manifest} ({error}); needed the folder of a dataset "
                "version, which preparation makes",
                manifest=dataset.manifest,
                error=error,
            )
        ) from error
    for side, rows in test.items():
        if not rows:
            raise ValueError(
                localised(
                    "{path}: side {side} has no test pictures, so that nothing can be measured; "
                    "prepare with a larger test_fraction or more pictures",
                    path=dataset.path,
                    side=side,
                )
            )
    chosen = [row for rows in (*test.values(), *train.values()) for row in rows]
    missing = [row.file for row in chosen if not (dataset.path / row.file).is_file()]
    if missing:
        raise ValueError(
            localised(
                "{path}: {num} pictures of the manifest are missing, e.g. {missing}; remove "
                "the folder and prepare again",
                path=dataset.path,
                num=len(missing),
                missing=missing[0],
            )
        )
    prepare = load_json(dataset.config) if dataset.config.is_file() else {}
    return HeldOut(
        test,
        train,
        usable,
        int(prepare["crop_px"]) if prepare.get("crop_px") else None,
        Alignment.of(prepare),
    )


def load_pictures(dataset: Path, files: Sequence[str], px: int) -> Pictures:
    """The dataset's pictures ``files``, ``[N, px, px, 3]``, resized as the training's samples are.

    Raises ``ValueError`` for one that cannot be read.
    """

    def load(file: str) -> Pictures:
        picture = read_picture(dataset / file)
        if isinstance(picture, Rejected):
            raise ValueError(  # noqa: TRY004 - the file is wrong, not a type
                localised(
                    "{picture}: not a readable picture ({reason}); remove {dataset} and prepare "
                    "again",
                    picture=dataset / file,
                    reason=picture.reason,
                    dataset=dataset,
                )
            )
        return resize(picture, px, px)

    pictures = np.empty((len(files), px, px, 3), np.uint8)
    for index, picture in enumerate(map_in_threads(load, files)):
        pictures[index] = picture
    return pictures


def cached_if_small(load: Callable[[], Pictures]) -> Callable[[], Pictures]:
    """``load``, called once where the pictures take 128 MB of memory at most, else each time."""
    in_memory: list[Pictures] = []

    def load_or_reuse() -> Pictures:
        if in_memory:
            return in_memory[0]
        pictures = load()
        if pictures.nbytes <= _MOST_BYTES_IN_MEMORY:
            in_memory.append(pictures)
        return pictures

    return load_or_reuse


def _load_rows(manifest: Path, config: EvaluateConfig) -> tuple[Sides, Sides, Sides]:
    """Random test and training pictures in the manifest's order, and, if pairs are configured, all
    usable ones. Other rows are not kept in memory.
    """
    counts = Counter((row.split, row.side) for row in _usable_rows(manifest, _Place))
    rng = np.random.default_rng(config.seed)
    drawn: dict[tuple[str, str], set[int]] = {}
    for place in ((split, side) for split in ("test", "train") for side in "AB"):
        num, most = counts[place], config.num_pictures
        numbers = range(num) if num <= most else rng.choice(num, most, replace=False).tolist()
        drawn[place] = set(numbers)
    test, train, usable = ({side: list[Picture]() for side in "AB"} for _ in range(3))
    position = Counter[tuple[str, str]]()
    for row in _usable_rows(manifest, Picture):
        place = row.split, row.side
        if position[place] in drawn[place]:
            (test if row.split == "test" else train)[row.side].append(row)
        position[place] += 1
        if config.pairs is not None:
            usable[row.side].append(row)
    return test, train, usable


@dataclass(frozen=True, slots=True)
class _Place:
    """The columns of ``Picture`` for side and split."""

    status: str
    split: str
    side: str


def _usable_rows(manifest: Path, row_type: type[_Row]) -> Iterator[_Row]:
    return (row for row in iter_rows(manifest, row_type) if row.status == "ok")
