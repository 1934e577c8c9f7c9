"""From a checkpoint and a dataset to figures: reads pictures, runs networks, fills the gallery."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from evaluation.classifier import fit
from evaluation.config import EvaluateConfig
from evaluation.direction import (
    Translations,
    against_truth,
    copying,
    cycle,
    distances,
    domain_success,
    load_truths,
)
from evaluation.features import load_offline
from evaluation.gallery import gain, write_gallery
from evaluation.inception import load_inception
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
    cache: Path,
    inception: tuple[Path | None, str],
    progress: Progress,
) -> dict[str, Any]:
    """Measure both directions, write ``folder/gallery/`` and return what scores.json holds.

    ``directions.A2B`` and ``directions.B2A`` hold ``from``, ``to``; ``kid``, ``kid_baseline``
    (untranslated), ``kid_ceiling`` (real training pictures), ``kid_change`` (paired, below 0 is
    better); ``fid``, ``fid_baseline``, ``fid_ceiling``; ``cycle_l1``, ``cycle_psnr``,
    ``cycle_ssim``, ``change_l1``; ``domain_success``, ``near_training``; with the standard network
    the distances again as ``inception_kid`` and so on; ``truth`` where one is known; ``gallery``.
    A figure with an interval is ``{value, low, high}``. ``lip_eye_error_reduction`` repeats the
    headline of both truths.
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
    weights, no_inception = inception
    extractors = [load_offline(device, config.batch_size).cached_in(cache)]
    if weights is not None:
        standard = load_inception(weights, device, config.batch_size)
        extractors.append(standard.cached_in(cache))

    def extract(pictures: Pictures) -> dict[str, Array]:
        return {extractor.key: extractor(pictures, progress) for extractor in extractors}

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
        "features": {
            "name": extractors[0].name,
            "comparable_with_published": extractors[0].comparable_with_published,
        },
        "inception": {
            "name": extractors[-1].name,
            "comparable_with_published": extractors[-1].comparable_with_published,
        }
        if len(extractors) > 1
        else {"missing": no_inception},
        "config": config.model_dump(mode="json", exclude={"truth", "inception_weights"}),
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
    real_train: dict[str, dict[str, Array]],
) -> dict[str, Any]:
    truth_files = load_truth(config.truth) if config.truth is not None else {}
    crop_px = _crop_px(dataset, px)
    classifier = fit(real_train["A"]["offline"], real_train["B"]["offline"], config.seed)
    directions: dict[str, Any] = {}
    for name, source, target in _DIRECTIONS:
        done, real = sides[source], sides[target].input_features
        scores: dict[str, Any] = {}
        for key, features in done.translated_features.items():
            prefix = "" if key == "offline" else f"{key}_"
            found = distances(
                config, features, done.input_features[key], real[key], real_train[target][key]
            )
            scores |= {f"{prefix}{name}": value for name, value in found.items()}
        scores |= cycle(config, done)
        scores |= domain_success(classifier, target, done, real["offline"])
        scores |= copying(done, real["offline"], real_train[target]["offline"])
        scores |= {"from": done.rows[0].domain, "to": sides[target].rows[0].domain}
        truths = load_truths(done.rows, truth_files, crop_px, px)
        if truths is None:
            rank = witness(
                done.translated_features["offline"], real["offline"], done.input_features["offline"]
            )
            scores["gallery_ranked_by"] = "witness"
        else:
            scores["truth"], before, after = against_truth(config, done, truths)
            rank = np.full(len(done.rows), np.nan)
            rank[truths.indices] = gain(before, after)
            scores["gallery_ranked_by"] = "truth"
        scores["gallery"] = write_gallery(config, folder, name, done, truths, rank)
        directions[name] = scores
    return directions


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
