"""Everything measured about one direction of translation: pure but for the networks' work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluation import copying as copies
from evaluation import metrics
from evaluation.classifier import LEAST_TO_JUDGE, Classifier
from evaluation.config import EvaluateConfig
from evaluation.metrics import Figure, Pictures
from evaluation.truth import Mask, TruthErrors, counterpart, errors, lip_eye_mask
from scraping.records import Picture

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Translations:
    """Test pictures of one side, translated, reconstructed, and their features."""

    rows: Sequence[Picture]
    inputs: Pictures
    translated: Pictures
    reconstructed: Pictures
    input_features: dict[str, Array]  # by the key of the feature network
    translated_features: dict[str, Array]


@dataclass(frozen=True)
class Truths:
    """True counterparts of the inputs ``indices``, and the regions of eyes and lips."""

    indices: list[int]
    pictures: Pictures
    masks: list[Mask | None]


def load_truths(
    rows: Sequence[Picture], files: Mapping[str, Path], crop_px: int, px: int
) -> Truths | None:
    """The counterparts that are known of ``rows``; ``None`` when none is."""
    indices = [
        index for index, row in enumerate(rows) if row.sha256 in files and len(row.transform) == 6
    ]
    if not indices:
        return None
    known = [rows[index] for index in indices]
    pictures = [counterpart(files[row.sha256], row.transform, crop_px, px) for row in known]
    return Truths(indices, np.stack(pictures), [lip_eye_mask(row, crop_px, px) for row in known])


def distances(
    config: EvaluateConfig,
    translated: Array,
    inputs: Array,
    target_test: Array,
    target_train: Array,
) -> dict[str, Any]:
    """FID and KID to the target's test pictures: translated, untranslated, and real (ceiling)."""
    kid = metrics.compare_kid(
        translated,
        inputs,
        target_test,
        config.num_bootstrap,
        config.seed,
    )
    ceiling = metrics.kid_figure(target_train, target_test, config.num_bootstrap, config.seed)
    return {
        "kid": asdict(kid.translated),
        "kid_baseline": asdict(kid.untranslated),
        "kid_ceiling": asdict(ceiling),
        "kid_change": asdict(kid.change),
        "fid": metrics.fid(translated, target_test),
        "fid_baseline": metrics.fid(inputs, target_test),
        "fid_ceiling": metrics.fid(target_train, target_test),
    }


def cycle(config: EvaluateConfig, done: Translations) -> dict[str, Any]:
    """How well the way there and back gives the input again, and how much the way there changes."""

    def mean(values: Array) -> dict[str, float]:
        return asdict(metrics.mean_figure(values, config.num_bootstrap, config.seed))

    return {
        "cycle_l1": mean(metrics.l1(done.inputs, done.reconstructed)),
        "cycle_psnr": mean(metrics.psnr(done.inputs, done.reconstructed)),
        "cycle_ssim": mean(metrics.ssim(done.inputs, done.reconstructed)),
        "change_l1": mean(metrics.l1(done.inputs, done.translated)),
    }


def against_truth(
    config: EvaluateConfig, done: Translations, truths: Truths
) -> tuple[dict[str, Any], TruthErrors, TruthErrors]:
    """Figures, and the errors of each picture before and after translation."""
    before = errors(done.inputs[truths.indices], truths.pictures, truths.masks)
    after = errors(done.translated[truths.indices], truths.pictures, truths.masks)
    masked = np.isfinite(before.inside)

    def mean(values: Array) -> dict[str, float]:
        return asdict(metrics.mean_figure(values, config.num_bootstrap, config.seed))

    def reduction(late: Array, early: Array) -> dict[str, float]:
        figure: Figure = metrics.reduction_figure(late, early, config.num_bootstrap, config.seed)
        return asdict(figure)

    found: dict[str, Any] = {
        "num_pictures": len(truths.indices),
        "num_with_regions": int(masked.sum()),
        "error": mean(after.whole),
        "error_baseline": mean(before.whole),
        "error_reduction": reduction(after.whole, before.whole),
    }
    if masked.any():
        found |= {
            "lip_eye_error": mean(after.inside[masked]),
            "lip_eye_error_baseline": mean(before.inside[masked]),
            "lip_eye_error_reduction": reduction(after.inside[masked], before.inside[masked]),
            "outside_error": mean(after.outside[masked]),
            "outside_error_baseline": mean(before.outside[masked]),
        }
    return found, before, after


def domain_success(
    classifier: Classifier | None,
    target: str,
    done: Translations,
    target_test: Array,
) -> dict[str, Any]:
    """How often translations, inputs and real pictures pass for ``target`` (``"A"`` or ``"B"``).

    The last is the classifier's own accuracy on held-out pictures. Nothing when a side has less
    than ten pictures to train or to judge: the share would mean nothing.
    """
    least = min(len(done.rows), len(target_test))
    if classifier is None or least < LEAST_TO_JUDGE:
        return {}
    sets = {
        "domain_success": done.translated_features["offline"],
        "domain_success_baseline": done.input_features["offline"],
        "domain_success_ceiling": target_test,
    }
    return {
        name: asdict(metrics.share_figure(classifier.passes(features, target)))
        for name, features in sets.items()
    }


def copying(done: Translations, target_test: Array, target_train: Array) -> dict[str, Any]:
    """Share of pictures nearer to a training picture than 95 % of real held-out ones are."""
    if min(len(target_test), len(done.rows)) < copies.LEAST_REAL:
        return {}
    real = copies.nearest(target_test, target_train).distance
    sets = {
        "near_training": done.translated_features["offline"],
        "near_training_baseline": done.input_features["offline"],
        "near_training_ceiling": target_test,
    }
    return {
        name: asdict(
            metrics.share_figure(
                copies.is_near(copies.nearest(features, target_train).distance, real)
            )
        )
        for name, features in sets.items()
    }
