"""From a checkpoint and a dataset to figures: reads pictures, runs networks, fills the gallery."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from evaluation import features
from evaluation.config import EvaluateConfig
from evaluation.direction import (
    Translations,
    against_truth,
    cycle,
    distances,
    load_truths,
)
from evaluation.gallery import gain, write_gallery
from evaluation.metrics import witness
from evaluation.pictures import Pictures, load_pictures, translate
from evaluation.truth import load_truth
from scraping.records import Picture, Progress, read_rows
from training.checkpoint import load_generators

Array = NDArray[np.float64]
_DIRECTIONS = (("A2B", "A", "B"), ("B2A", "B", "A"))


def measure(
    config: EvaluateConfig,
    dataset: Path,
    run: Path,
    checkpoint: Path,
    folder: Path,
    progress: Progress,
) -> dict[str, Any]:
    """Measure both directions, write ``folder/gallery/`` and return what scores.json holds.

    ``directions.A2B`` and ``directions.B2A`` hold ``from``, ``to``; ``kid``, ``kid_baseline``
    (untranslated), ``kid_ceiling`` (real training pictures), ``kid_change`` (paired, below 0 is
    better); ``fid``, ``fid_baseline``, ``fid_ceiling``; ``cycle_l1``, ``cycle_psnr``,
    ``cycle_ssim``, ``change_l1``; ``truth`` where one is known; ``gallery``. A figure with an
    interval is ``{value, low, high}``. ``lip_eye_error_reduction`` repeats both truths' headline.
    """
    manifest = read_rows(dataset / "manifest.parquet", Picture)
    rng = np.random.default_rng(config.seed)
    test, train = (
        {side: _pick(manifest, split, side, config.num_pictures, rng) for side in "AB"}
        for split in ("test", "train")
    )
    _require_test_pictures(dataset, test)
    device = _device(config.device)
    G_A, G_B, train_config = load_generators(checkpoint, device)
    px = train_config.crop_px
    extract = _extractor(config, device, progress)
    real_train = {
        side: extract(load_pictures(dataset, [row.file for row in train[side]], px))
        for side in "AB"
    }
    sides = {}
    for side, there, back in (("A", G_A, G_B), ("B", G_B, G_A)):
        inputs = load_pictures(dataset, [row.file for row in test[side]], px)
        translated, reconstructed = translate(
            there, back, inputs, batch_size=config.batch_size, device=device, progress=progress
        )
        sides[side] = Translations(
            test[side], inputs, translated, reconstructed, extract(inputs), extract(translated)
        )
    directions = _directions(config, dataset, folder, px, sides, real_train)
    return {
        "run": run.name,
        "checkpoint": checkpoint.name,
        "step": int(checkpoint.name.removeprefix("step_")),
        "dataset": dataset.name,
        "domains": {side: test[side][0].domain for side in "AB"},
        "px": px,
        "counts": {f"test{side}": len(test[side]) for side in "AB"}
        | {f"train{side}": len(train[side]) for side in "AB"},
        "features": {"name": features.NAME, "comparable_with_published": False},
        "config": config.model_dump(mode="json", exclude={"truth"}),
        "train_config": train_config.model_dump(mode="json"),
        "directions": directions,
        "lip_eye_error_reduction": {
            name: scores["truth"]["lip_eye_error_reduction"]["value"]
            for name, scores in directions.items()
            if "lip_eye_error_reduction" in scores.get("truth", {})
        },
        "better_than_baseline": {
            name: scores["kid"]["value"] < scores["kid_baseline"]["value"]
            for name, scores in directions.items()
        },
    }


def _directions(
    config: EvaluateConfig,
    dataset: Path,
    folder: Path,
    px: int,
    sides: dict[str, Translations],
    real_train: dict[str, Array],
) -> dict[str, Any]:
    truth_files = load_truth(config.truth) if config.truth is not None else {}
    crop_px = _crop_px(dataset, px)
    directions: dict[str, Any] = {}
    for name, source, target in _DIRECTIONS:
        done, real = sides[source], sides[target].input_features
        scores = distances(config, done, real, real_train[target]) | cycle(config, done)
        scores |= {"from": done.rows[0].domain, "to": sides[target].rows[0].domain}
        truths = load_truths(done.rows, truth_files, crop_px, px)
        if truths is None:
            rank = witness(done.translated_features, real, done.input_features)
            scores["gallery_ranked_by"] = "witness"
        else:
            scores["truth"], before, after = against_truth(config, done, truths)
            rank = np.full(len(done.rows), np.nan)
            rank[truths.indices] = gain(before, after)
            scores["gallery_ranked_by"] = "truth"
        scores["gallery"] = write_gallery(config, folder, name, done, truths, rank)
        directions[name] = scores
    return directions


def _extractor(
    config: EvaluateConfig, device: str, progress: Progress
) -> Callable[[Pictures], Array]:
    network = features.load_network(device)

    def extract(pictures: Pictures) -> Array:
        return features.features(
            network, pictures, batch_size=config.batch_size, device=device, progress=progress
        )

    return extract


def _device(wanted: str) -> str:
    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return wanted


def _pick(
    manifest: Sequence[Picture], split: str, side: str, num: int, rng: np.random.Generator
) -> list[Picture]:
    """At most ``num`` pictures of one split and side, drawn at random, in the manifest's order."""
    rows = [row for row in manifest if (row.status, row.split, row.side) == ("ok", split, side)]
    if len(rows) <= num:
        return rows
    return [rows[index] for index in sorted(rng.choice(len(rows), num, replace=False))]


def _require_test_pictures(dataset: Path, test: dict[str, list[Picture]]) -> None:
    for side, rows in test.items():
        if len(rows) < 2:
            raise ValueError(
                f"{dataset}: side {side} has {len(rows)} test pictures, needed at least 2; "
                "prepare with a larger test_fraction or more pictures"
            )


def _crop_px(dataset: Path, default: int) -> int:
    """Side of the dataset's pictures, which the manifest's transforms lead to."""
    path = dataset / "config.json"
    value = json.loads(path.read_text()).get("crop_px") if path.exists() else None
    return int(value) if value else default
