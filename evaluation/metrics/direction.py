"""Everything measured about one direction of translation: pure, from pictures and features.

Each function returns keys for the scores of that direction. ``…_baseline`` is the same figure for
the untranslated input, ``…_ceiling`` for real pictures of the target. A figure that too few
pictures would make meaningless is left out, and ``meaningless`` says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.tables import Picture
from evaluation.config import EvaluateConfig
from evaluation.data.held_out import LEAST_FOR_DISTANCES
from evaluation.features.classifier import LEAST_TO_JUDGE, Classifier
from evaluation.metrics import distances, intervals, pixels
from evaluation.metrics import memorization as copies
from evaluation.metrics.pixels import Pictures
from evaluation.metrics.preservation import content_scores, identity_scores
from evaluation.metrics.regions import LEAST_FACES, change_scores, contrast_scores
from preprocessing.analysis.face_mesh import Points

Array = NDArray[np.float64]
Contrasts = Mapping[str, Array]


@dataclass(frozen=True)
class Side:
    """The real pictures of one domain: held-out ones, and features of training ones."""

    rows: Sequence[Picture]
    pictures: Pictures
    features: dict[str, Array]  # by the key of the feature network
    train_features: dict[str, Array]
    meshes: Sequence[Points | None]
    contrasts: Contrasts
    train_contrasts: Contrasts
    embeddings: Array | None  # [N, 128], where the extra is installed


@dataclass(frozen=True)
class Outputs:
    """What became of a side's held-out pictures."""

    translated: Pictures
    reconstructed: Pictures
    features: dict[str, Array]
    contrasts: Contrasts
    embeddings: Array | None


def direction_scores(
    config: EvaluateConfig,
    source: Side,
    done: Outputs,
    target: Side,
    classifier: Classifier | None,
    target_name: str,
) -> dict[str, Any]:
    """All figures that need neither truth nor champion; ``target_name`` is ``"A"`` or ``"B"``."""
    scores: dict[str, Any] = {"from": source.rows[0].domain, "to": target.rows[0].domain}
    scores |= {"num_pictures": len(source.rows), "num_target": len(target.rows)}
    for key, features in done.features.items():
        prefix = "" if key == "offline" else f"{key}_"
        found = distance_scores(
            config, features, source.features[key], target.features[key], target.train_features[key]
        )
        scores |= {f"{prefix}{name}": value for name, value in found.items()}
    scores |= cycle(config, source.pictures, done, target.pictures)
    scores |= domain_success(classifier, target_name, source, done, target)
    scores |= copying(source, done, target)
    if len(source.rows) >= 2:
        scores |= content_scores(
            config,
            source.features["offline"],
            done.features["offline"],
            target.features["offline"],
        )
    if source.embeddings is not None and done.embeddings is not None:
        assert target.embeddings is not None
        scores |= identity_scores(config, source.embeddings, done.embeddings, target.embeddings)
    scores |= change_scores(config, source.pictures, done.translated, source.meshes)
    scores |= contrast_scores(
        config, done.contrasts, source.contrasts, target.contrasts, target.train_contrasts
    )
    return scores | {"meaningless": meaningless(source, target)}


def meaningless(source: Side, target: Side) -> dict[str, dict[str, int]]:
    """Which figures too few held-out pictures leave out: how many there are, how many it takes."""
    found = min(len(source.rows), len(target.rows))
    needed = {
        "distances": LEAST_FOR_DISTANCES,
        "domain_success": LEAST_TO_JUDGE,
        "near_training": copies.LEAST_REAL,
    }
    counts = dict.fromkeys(needed, found)
    faces = sum(mesh is not None for mesh in source.meshes)
    if faces:
        needed["regions"], counts["regions"] = LEAST_FACES, faces
    return {
        name: {"found": counts[name], "needed": least}
        for name, least in needed.items()
        if counts[name] < least
    }


def distance_scores(
    config: EvaluateConfig,
    translated: Array,
    inputs: Array,
    target_test: Array,
    target_train: Array,
) -> dict[str, Any]:
    """FID and KID to the target's test pictures: translated, untranslated, and real (ceiling)."""
    if min(len(translated), len(target_test)) < LEAST_FOR_DISTANCES:
        return {}
    num, seed = config.num_bootstrap, config.seed
    kid = distances.compare_kid(translated, inputs, target_test, num, seed)
    found = {
        "kid": asdict(kid.translated),
        "kid_baseline": asdict(kid.untranslated),
        "kid_change": asdict(kid.change),
        "fid": asdict(distances.fid_figure(translated, target_test, num, seed)),
        "fid_baseline": asdict(distances.fid_figure(inputs, target_test, num, seed)),
    }
    if len(target_train) >= LEAST_FOR_DISTANCES:
        ceiling = distances.kid_figure(target_train, target_test, num, seed)
        found["kid_ceiling"] = asdict(ceiling)
        found["fid_ceiling"] = asdict(distances.fid_figure(target_train, target_test, num, seed))
    return found


def cycle(
    config: EvaluateConfig, inputs: Pictures, done: Outputs, target: Pictures
) -> dict[str, Any]:
    """How well the way there and back gives the input again, and how much the way there changes.

    The ceiling compares the input with another real picture: of its own domain for the cycle, of
    the target for the change.
    """
    measures = {"cycle_l1": pixels.l1, "cycle_psnr": pixels.psnr, "cycle_ssim": pixels.ssim}
    sets = {"": done.reconstructed, "_baseline": inputs}
    if len(inputs) > 1:
        sets["_ceiling"] = np.roll(inputs, 1, axis=0)

    def mean(values: Array) -> dict[str, float]:
        return asdict(intervals.mean_figure(values, config.num_bootstrap, config.seed))

    found = {
        f"{name}{suffix}": mean(measure(inputs, pictures))
        for name, measure in measures.items()
        for suffix, pictures in sets.items()
        if (name, suffix) != ("cycle_psnr", "_baseline")  # infinite
    }
    other = target[np.arange(len(inputs)) % len(target)]
    return found | {
        "change_l1": mean(pixels.l1(inputs, done.translated)),
        "change_l1_baseline": 0.0,
        "change_l1_ceiling": mean(pixels.l1(inputs, other)),
    }


def domain_success(
    classifier: Classifier | None, target_name: str, source: Side, done: Outputs, target: Side
) -> dict[str, Any]:
    """How often translations, inputs and real pictures pass for ``target_name``.

    The last is the classifier's own accuracy on held-out pictures of the target.
    """
    if classifier is None or min(len(source.rows), len(target.rows)) < LEAST_TO_JUDGE:
        return {}
    sets = {
        "domain_success": done.features["offline"],
        "domain_success_baseline": source.features["offline"],
        "domain_success_ceiling": target.features["offline"],
    }
    return {
        name: asdict(intervals.share_figure(classifier.passes(features, target_name)))
        for name, features in sets.items()
    }


def classifier_scores(classifier: Classifier | None, a: Side, b: Side) -> dict[str, Any]:
    """The classifier's accuracy on real held-out pictures of both sides; nothing for too few."""
    if classifier is None or min(len(a.rows), len(b.rows)) < LEAST_TO_JUDGE:
        return {}
    right = [
        classifier.passes(side.features["offline"], name) for name, side in (("A", a), ("B", b))
    ]
    return {
        "accuracy": asdict(intervals.share_figure(np.concatenate(right))),
        "cross_validated_accuracy": classifier.cross_validated_accuracy,
        "num_pictures": len(a.rows) + len(b.rows),
    }


def copying(source: Side, done: Outputs, target: Side) -> dict[str, Any]:
    """Share of pictures nearer to a training picture than 95 % of real held-out ones are."""
    train = target.train_features["offline"]
    if min(len(target.rows), len(source.rows)) < copies.LEAST_REAL or not len(train):
        return {}
    real = copies.nearest(target.features["offline"], train).distance
    sets = {
        "near_training": done.features["offline"],
        "near_training_baseline": source.features["offline"],
        "near_training_ceiling": target.features["offline"],
    }
    return {
        name: asdict(
            intervals.share_figure(copies.is_near(copies.nearest(features, train).distance, real))
        )
        for name, features in sets.items()
    }
