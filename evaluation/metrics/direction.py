"""All figures of one direction that need neither a truth nor a champion.

Each function of the registry measures some of them. A figure that would be meaningless for too few
pictures is left out, and ``shortages`` lists it.
"""

from __future__ import annotations

from importlib import import_module

import numpy as np

from evaluation.arrays import Array, Pictures
from evaluation.config import EvaluateConfig
from evaluation.data.score_parts import ClassifierScores, Shortage
from evaluation.features.classifier import LEAST_TO_JUDGE, Classifier
from evaluation.figures import Figure, Figures
from evaluation.metrics import distances, memorization, pixels
from evaluation.metrics.intervals import mean_figure, share_figure
from evaluation.metrics.measurement import Measurement, Side
from evaluation.metrics.metric_meanings import LIKELY_ERRORS, POWER_KEYS, SURE_ERRORS
from evaluation.metrics.regions import LEAST_FACES
from evaluation.metrics.registry import measuring_functions


def direction_figures(data: Measurement) -> Figures:
    """The figures of every metric of the registry that can be measured."""
    figures: Figures = {}
    for function in measuring_functions():
        module, name = function.split(":")
        figures |= getattr(import_module(f"evaluation.metrics.{module}"), name)(data)
    return figures


def shortages(source: Side, target: Side) -> dict[str, Shortage]:
    """The figures that are left out for too few held-out pictures."""
    pictures = min(len(source.rows), len(target.rows))
    counts = {
        "distances": Shortage(pictures, distances.LEAST_FOR_DISTANCES),
        "domain_success": Shortage(pictures, LEAST_TO_JUDGE),
        "near_training": Shortage(pictures, memorization.LEAST_REAL),
    }
    faces = sum(mesh is not None for mesh in source.meshes)
    if faces:
        counts["regions"] = Shortage(faces, LEAST_FACES)
    return {name: count for name, count in counts.items() if count.num_pictures < count.num_needed}


def distances_to_target(data: Measurement) -> Figures:
    """``kid``, ``kid_change`` and ``fid``; those of other networks begin with the network's key."""
    figures: Figures = {}
    for key, features in data.outputs.features.items():
        prefix = "" if key == "offline" else f"{key}_"
        measured = distance_figures(
            data.config,
            features,
            data.source.features[key],
            data.target.features[key],
            data.target.train_features[key],
        )
        figures |= {
            f"{prefix}{name}": value
            for name, value in measured.items()
            if not (prefix and name in POWER_KEYS)
        }
    return figures


def distance_figures(
    config: EvaluateConfig,
    translated: Array,
    inputs: Array,
    target_test: Array,
    target_train: Array,
) -> Figures:
    """FID and KID to the target's held-out pictures, from features ``[N, D]`` of each set."""
    if min(len(translated), len(target_test)) < distances.LEAST_FOR_DISTANCES:
        return {}
    num, seed = config.num_bootstrap, config.seed
    kid = distances.compare_kid(translated, inputs, target_test, num, seed)
    figures: Figures = {
        "kid": kid.translated,
        "kid_baseline": kid.untranslated,
        "kid_change": kid.change,
        "kid_sure_change": SURE_ERRORS * kid.change_error,
        "kid_likely_change": LIKELY_ERRORS * kid.change_error,
        "fid": distances.fid_figure(translated, target_test, num, seed),
        "fid_baseline": distances.fid_figure(inputs, target_test, num, seed),
    }
    if len(target_train) >= distances.LEAST_FOR_DISTANCES:
        figures["kid_ceiling"] = distances.kid_figure(target_train, target_test, num, seed)
        figures["fid_ceiling"] = distances.fid_figure(target_train, target_test, num, seed)
    return figures


def cycle_errors(data: Measurement) -> Figures:
    """The error of the reconstruction, and the change by translation.

    The ceiling compares the input with another real picture: of its own domain for the cycle, of
    the target for the change.
    """
    config, inputs = data.config, data.source.pictures
    measures = {"cycle_l1": pixels.l1, "cycle_psnr": pixels.psnr, "cycle_ssim": pixels.ssim}
    sets: dict[str, Pictures] = {"": data.outputs.reconstructed, "_baseline": inputs}
    if len(inputs) > 1:
        sets["_ceiling"] = np.roll(inputs, 1, axis=0)

    def mean(values: Array) -> Figure:
        return mean_figure(values, config.num_bootstrap, config.seed)

    figures: Figures = {
        f"{name}{ending}": mean(measure(inputs, pictures))
        for name, measure in measures.items()
        for ending, pictures in sets.items()
        if (name, ending) != ("cycle_psnr", "_baseline")  # infinite
    }
    strangers = data.target.pictures[np.arange(len(inputs)) % len(data.target.pictures)]
    return figures | {
        "change_l1": mean(pixels.l1(inputs, data.outputs.translated)),
        "change_l1_baseline": 0.0,
        "change_l1_ceiling": mean(pixels.l1(inputs, strangers)),
    }


def domain_success(data: Measurement) -> Figures:
    """Shares of translations, inputs and real pictures that are classified as the target.

    The last share is its accuracy on held-out pictures of the target.
    """
    classifier = data.classifier
    if classifier is None or min(len(data.source.rows), len(data.target.rows)) < LEAST_TO_JUDGE:
        return {}
    features = {
        "domain_success": data.outputs.features["offline"],
        "domain_success_baseline": data.source.features["offline"],
        "domain_success_ceiling": data.target.features["offline"],
    }
    return {
        key: share_figure(classifier.passes(rows, data.target_name))
        for key, rows in features.items()
    }


def classifier_scores(classifier: Classifier | None, a: Side, b: Side) -> ClassifierScores | None:
    """The classifier's accuracy on held-out pictures of both sides; ``None`` for too few."""
    if classifier is None or min(len(a.rows), len(b.rows)) < LEAST_TO_JUDGE:
        return None
    is_right = [
        classifier.passes(side.features["offline"], name) for name, side in (("A", a), ("B", b))
    ]
    return ClassifierScores(
        share_figure(np.concatenate(is_right)),
        classifier.cross_validated_accuracy,
        len(a.rows) + len(b.rows),
    )
