"""The pictures that a checkpoint is measured on: held-out ones, and training ones as a ceiling."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from evaluation.config import EvaluateConfig
from scraping.records import Picture, iter_rows

LEAST_FOR_DISTANCES = 10  # pictures of a side: FID and KID of fewer are noise


@dataclass(frozen=True)
class Heldout:
    """Rows of the manifest by side; ``crop_px`` is the side of the dataset's pictures."""

    test: dict[str, list[Picture]]
    train: dict[str, list[Picture]]
    usable: dict[str, list[Picture]]  # every usable picture of a side, of both splits
    crop_px: int | None  # None: unknown


def load_heldout(config: EvaluateConfig, dataset: Path) -> Heldout:
    """At most ``config.num_pictures`` pictures of each split and side.

    Raises ``ValueError`` when the dataset has no readable manifest, a side has no test picture, or
    a picture's file is missing.
    """
    path = dataset / "manifest.parquet"
    try:
        manifest = [row for row in iter_rows(path, Picture) if row.status == "ok"]
    except (OSError, pa.ArrowException) as error:
        raise ValueError(
            f"dataset: cannot read {path} ({error}); give the folder of a dataset version, made by "
            "preparation"
        ) from error
    rng = np.random.default_rng(config.seed)
    test, train = (
        {side: _pick(manifest, split, side, config.num_pictures, rng) for side in "AB"}
        for split in ("test", "train")
    )
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
    usable = {side: [row for row in manifest if row.side == side] for side in "AB"}
    return Heldout(test, train, usable, _crop_px(dataset))


def _pick(
    manifest: Sequence[Picture], split: str, side: str, num: int, rng: np.random.Generator
) -> list[Picture]:
    """At most ``num`` pictures of one split and side, drawn at random, in the manifest's order."""
    rows = [row for row in manifest if (row.split, row.side) == (split, side)]
    if len(rows) <= num:
        return rows
    return [rows[index] for index in sorted(rng.choice(len(rows), num, replace=False))]


def _crop_px(dataset: Path) -> int | None:
    path = dataset / "config.json"
    value = json.loads(path.read_text()).get("crop_px") if path.exists() else None
    return int(value) if value else None
