"""The pictures that a checkpoint is measured on: held-out ones, and training ones as a ceiling."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import pyarrow as pa

from core.tables import Picture, iter_rows
from evaluation.config import EvaluateConfig

Sides = dict[str, list[Picture]]
LEAST_FOR_DISTANCES = 10  # pictures of a side: FID and KID of fewer are noise
_Row = TypeVar("_Row", "_Place", Picture)


@dataclass(frozen=True)
class Heldout:
    """Rows of the manifest by side; ``crop_px`` is the side of the dataset's pictures."""

    test: Sides
    train: Sides
    usable: Sides  # every usable picture of a side, of both splits, where pairs are looked for
    crop_px: int | None  # None: unknown


def load_heldout(config: EvaluateConfig, dataset: Path) -> Heldout:
    """At most ``config.num_pictures`` pictures of each split and side.

    Raises ``ValueError`` when the dataset has no readable manifest, a side has no test picture, or
    a picture's file is missing.
    """
    path = dataset / "manifest.parquet"
    try:
        test, train, usable = _rows(path, config)
    except (OSError, pa.ArrowException) as error:
        raise ValueError(
            f"dataset: cannot read {path} ({error}); give the folder of a dataset version, made by "
            "preparation"
        ) from error
    for side, rows in test.items():
        if not rows:
            raise ValueError(
                f"{dataset}: side {side} has no test pictures, so that nothing can be measured; "
                "prepare with a larger test_fraction or more pictures"
            )
    chosen = [row for rows in (*test.values(), *train.values()) for row in rows]
    missing = [row.file for row in chosen if not (dataset / row.file).is_file()]
    if missing:
        raise ValueError(
            f"{dataset}: {len(missing)} pictures of the manifest are missing, e.g. {missing[0]}; "
            "remove the folder and prepare again"
        )
    return Heldout(test, train, usable, _crop_px(dataset))


def _rows(manifest: Path, config: EvaluateConfig) -> tuple[Sides, Sides, Sides]:
    """Some pictures held out, some trained on, and all that are used, if pairs are looked for.

    They are drawn at random, and come in the manifest's order; of the others no row is kept.
    """
    nums = Counter((row.split, row.side) for row in _used(manifest, _Place))
    rng = np.random.default_rng(config.seed)
    wanted: dict[tuple[str, str], set[int]] = {}
    for place in ((split, side) for split in ("test", "train") for side in "AB"):
        num, most = nums[place], config.num_pictures
        drawn = range(num) if num <= most else rng.choice(num, most, replace=False).tolist()
        wanted[place] = set(drawn)
    test, train, usable = ({side: list[Picture]() for side in "AB"} for _ in range(3))
    passed = Counter[tuple[str, str]]()
    for row in _used(manifest, Picture):
        place = row.split, row.side
        if passed[place] in wanted[place]:
            (test if row.split == "test" else train)[row.side].append(row)
        passed[place] += 1
        if config.pairs is not None:
            usable[row.side].append(row)
    return test, train, usable


@dataclass(frozen=True, slots=True)
class _Place:
    """Columns of ``Picture``."""

    status: str
    split: str
    side: str


def _used(manifest: Path, row_type: type[_Row]) -> Iterator[_Row]:
    return (row for row in iter_rows(manifest, row_type) if row.status == "ok")


def _crop_px(dataset: Path) -> int | None:
    path = dataset / "config.json"
    value = json.loads(path.read_text()).get("crop_px") if path.exists() else None
    return int(value) if value else None
