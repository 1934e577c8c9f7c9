"""From a checkpoint and a dataset to figures: reads pictures, runs networks, fills the gallery."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from core.progress import Progress
from core.workspace import Workspace
from evaluation.champion_comparison import against_rival, load_rival, num_trained_on
from evaluation.config import EvaluateConfig
from evaluation.data.held_out import Heldout, load_heldout
from evaluation.data.translations import load_pictures
from evaluation.features.classifier import Classifier, fit
from evaluation.features.collect import Observer
from evaluation.metrics import memorization, pairs
from evaluation.metrics.direction import Outputs, Side, classifier_scores, direction_scores
from evaluation.metrics.distances import witness
from evaluation.metrics.intervals import mean_figure
from evaluation.metrics.regions import REGIONS, colour_change, contrasts
from evaluation.metrics.true_counterparts import (
    Truths,
    against_truth,
    errors,
    load_truth,
    load_truths,
)
from evaluation.report.gallery import choose, gain, write_gallery
from evaluation.weights_choice import Kind, candidates
from evaluation.weights_choice import choose as choose_weights
from training.run.checkpoint import load_config, load_generators

Array = NDArray[np.float64]
_DIRECTIONS = (("A2B", "A", "B"), ("B2A", "B", "A"))


@dataclass(frozen=True)
class Subject:
    """What is measured, and where things are."""

    dataset: Path
    run: Path
    checkpoint: Path
    champion: Path | None  # model folder to compare with
    workspace: Workspace
    folder: Path  # of this evaluation: gets gallery/


@dataclass(frozen=True)
class _Seen:
    """Everything that one direction's figures come from."""

    heldout: Heldout
    crop_px: int
    classifier: Classifier | None
    sides: dict[str, Side]
    outputs: dict[str, Outputs]
    rivals: dict[str, Outputs]  # the champion's; empty without one
    others: dict[str, Outputs]  # of the weights that were not chosen; empty without a choice
    truth_files: dict[str, Path]
    counterparts: dict[str, list[str]]


def measure(
    config: EvaluateConfig,
    subject: Subject,
    inception: tuple[Path | None, str],
    progress: Progress,
) -> dict[str, Any]:
    """Measure both directions, write ``folder/gallery/`` and return what scores.json holds.

    ``directions.A2B`` and ``directions.B2A`` hold the keys of ``direction_scores`` (``kid``,
    ``kid_baseline``, ``kid_ceiling``, ``kid_change``, ``fid``, …; with the standard network the
    distances again as ``inception_kid`` and so on), ``truth`` and ``pairs`` where they are known,
    ``champion`` where there is one, ``other_weights`` where the checkpoint has averages
    (``weights`` says which were chosen; all other figures are theirs), ``gallery``, and
    ``meaningless``: what too few pictures left out. A figure with an interval is ``{value, low,
    high}``. ``lip_eye_error_reduction`` repeats the headline of both truths.

    Raises ``ValueError`` for a dataset, truth or pairs that cannot be used, ``CheckpointError`` for
    a checkpoint that cannot be read or is of another architecture than its configuration says.
    """
    heldout = load_heldout(config, subject.dataset)
    truth_files = load_truth(config.truth) if config.truth is not None else {}
    counterparts = pairs.load_pairs(config.pairs) if config.pairs is not None else {}
    observer = Observer(config, subject.workspace / "cache" / "features", inception, progress)
    kinds = candidates(config.weights, subject.checkpoint)
    train_config = load_config(subject.checkpoint)
    domains = {side: rows[0].domain for side, rows in heldout.test.items()}
    rival, no_rival = load_rival(subject.champion, subject.checkpoint, domains, observer.device)
    px = train_config.crop_px
    crop_px = heldout.crop_px or px
    sides = {
        side: observer.side(subject.dataset, heldout.test[side], heldout.train[side], px, crop_px)
        for side in "AB"
    }
    outputs = {kind: _outputs(observer, sides, subject.checkpoint, kind) for kind in kinds}
    chosen, weights = choose_weights(
        {
            kind: {side: done.features["offline"] for side, done in found.items()}
            for kind, found in outputs.items()
        },
        {"A": sides["B"].train_features["offline"], "B": sides["A"].train_features["offline"]},
    )
    seen = _Seen(
        heldout,
        crop_px,
        fit(
            sides["A"].train_features["offline"], sides["B"].train_features["offline"], config.seed
        ),
        sides,
        outputs.pop(chosen),
        _both_ways(observer, sides, rival.G_A, rival.G_B, "translate with the champion")
        if rival
        else {},
        next(iter(outputs.values()), {}),
        truth_files,
        counterparts,
    )
    directions = {
        name: _direction(config, subject, observer, seen, name, source, target)
        for name, source, target in _DIRECTIONS
    }
    champion: dict[str, Any] = {"missing": no_rival}
    if rival:
        test = [row for rows in heldout.test.values() for row in rows]
        champion = {
            "model": rival.name,
            "dataset": rival.dataset,
            "step": rival.step,
            "num_trained_on": num_trained_on(rival, subject.workspace, test),
        }
    return {
        "run": subject.run.name,
        "checkpoint": subject.checkpoint.name,
        "step": int(subject.checkpoint.name.removeprefix("step_")),
        "dataset": subject.dataset.name,
        "domains": domains,
        "px": px,
        "counts": {f"test{side}": len(rows) for side, rows in heldout.test.items()}
        | {f"train{side}": len(rows) for side, rows in heldout.train.items()},
        "config": config.model_dump(mode="json", exclude={"truth", "pairs", "inception_weights"}),
        "train_config": train_config.model_dump(mode="json"),
        "classifier": classifier_scores(seen.classifier, sides["A"], sides["B"]),
        "champion": champion,
        "weights": weights,
        "directions": directions,
        "lip_eye_error_reduction": {
            name: scores["truth"]["lip_eye_error_reduction"]["value"]
            for name, scores in directions.items()
            if "lip_eye_error_reduction" in scores.get("truth", {})
        },
        "better_than_baseline": {
            name: scores["kid"]["value"] < scores["kid_baseline"]["value"]
            for name, scores in directions.items()
            if "kid" in scores
        },
    } | observer.description()


def _outputs(
    observer: Observer, sides: dict[str, Side], checkpoint: Path, kind: Kind
) -> dict[str, Outputs]:
    averaged = kind == "averaged"
    G_A, G_B, _ = load_generators(checkpoint, observer.device, averaged=averaged)
    what = "translate with averaged weights" if averaged else "translate"
    return _both_ways(observer, sides, G_A, G_B, what)


def _both_ways(
    observer: Observer, sides: dict[str, Side], G_A: nn.Module, G_B: nn.Module, what: str
) -> dict[str, Outputs]:
    return {
        "A": observer.outputs(sides["A"], G_A, G_B, what),
        "B": observer.outputs(sides["B"], G_B, G_A, what),
    }


def _direction(
    config: EvaluateConfig,
    subject: Subject,
    observer: Observer,
    seen: _Seen,
    name: str,
    source: str,
    target: str,
) -> dict[str, Any]:
    """All figures of one direction, and its gallery."""
    side, done, real = seen.sides[source], seen.outputs[source], seen.sides[target]
    rival = seen.rivals.get(source)
    scores = direction_scores(config, side, done, real, seen.classifier, target)
    px = side.pictures.shape[1]
    columns: dict[str, dict[int, NDArray[np.uint8]]] = {
        "input": dict(enumerate(side.pictures)),
        "translated": dict(enumerate(done.translated)),
        "reconstructed": dict(enumerate(done.reconstructed)),
    }
    truths = load_truths(side.rows, seen.truth_files, seen.crop_px, px)
    if truths is not None:
        scores["truth"], _, _ = against_truth(config, side.pictures, done.translated, truths)
        scores |= _true_change(config, side, truths)
        columns["truth"] = dict(zip(truths.indices, truths.pictures, strict=True))
    scores["pairs"], columns["pair"] = _pairs(config, subject, observer, seen, source, target)
    rank = _rank(side, real, done, truths)
    chosen = choose(rank, config.num_gallery, config.seed)
    if rival is not None:
        scores["champion"] = against_rival(
            config, done.features["offline"], rival.features["offline"], real.features["offline"]
        )
        lead = rank - _rank(side, real, rival, truths)
        against = choose(lead, config.num_gallery, config.seed)
        chosen |= {f"against_{kind}": indices for kind, indices in against.items()}
        columns["champion"] = dict(enumerate(rival.translated))
    if seen.others:
        scores["other_weights"] = against_rival(
            config,
            done.features["offline"],
            seen.others[source].features["offline"],
            real.features["offline"],
        )
    chosen["nearest"], columns["training"] = _nearest(config, subject, seen, source, target)
    scores["gallery_ranked_by"] = "witness" if truths is None else "truth"
    scores["gallery"] = write_gallery(subject.folder, name, side.rows, columns, chosen, rank)
    return scores


def _rank(side: Side, real: Side, done: Outputs, truths: Truths | None) -> Array:
    """How good each translation is, ``[N]``: by its truth, else by its features; NaN unknown."""
    if truths is None:
        offline = (done.features, real.features, side.features)
        return witness(*(features["offline"] for features in offline))
    before = errors(side.pictures[truths.indices], truths.pictures, truths.masks)
    after = errors(done.translated[truths.indices], truths.pictures, truths.masks)
    rank = np.full(len(side.rows), np.nan)
    rank[truths.indices] = gain(before, after)
    return rank


def _true_change(config: EvaluateConfig, side: Side, truths: Truths) -> dict[str, Any]:
    """How much the truth differs from the input, by region: the ceiling of the change."""
    meshes = [side.meshes[index] for index in truths.indices]
    change = colour_change(side.pictures[truths.indices], truths.pictures, meshes)
    return {
        f"change_{name}_ceiling": asdict(
            mean_figure(change[name][np.isfinite(change[name])], config.num_bootstrap, config.seed)
        )
        for name in (*REGIONS, "outside")
        if np.isfinite(change[name]).any()
    }


def _pairs(
    config: EvaluateConfig,
    subject: Subject,
    observer: Observer,
    seen: _Seen,
    source: str,
    target: str,
) -> tuple[dict[str, Any], dict[int, NDArray[np.uint8]]]:
    """Figures of pictures with a known counterpart, and the counterparts themselves."""
    side, done = seen.sides[source], seen.outputs[source]
    found = pairs.match(side.rows, seen.heldout.usable[target], seen.counterparts)
    if not found.inputs:
        return {}, {}
    px = side.pictures.shape[1]
    true = load_pictures(subject.dataset, [row.file for row in found.rows], px)
    meshes = observer.meshes(found.rows, true, seen.crop_px)
    at = found.inputs
    scores = pairs.pair_scores(
        config,
        _sight(done, at),
        _sight(side, at),
        pairs.Sight(
            observer.features(true)["offline"],
            contrasts(true, meshes),
            observer.embeddings(true, meshes),
        ),
    )
    return scores, dict(zip(at, true, strict=True))


def _sight(seen: Side | Outputs, at: list[int]) -> pairs.Sight:
    """The pictures ``at``."""
    return pairs.Sight(
        seen.features["offline"][at],
        {name: points[at] for name, points in seen.contrasts.items()},
        None if seen.embeddings is None else seen.embeddings[at],
    )


def _nearest(
    config: EvaluateConfig, subject: Subject, seen: _Seen, source: str, target: str
) -> tuple[list[int], dict[int, NDArray[np.uint8]]]:
    """The translations nearest to a training picture, and those training pictures."""
    done, real = seen.outputs[source], seen.sides[target]
    if not len(real.train_features["offline"]):
        return [], {}
    found = memorization.nearest(done.features["offline"], real.train_features["offline"])
    closest = [int(index) for index in np.argsort(found.distance, kind="stable")]
    chosen = closest[: config.num_gallery]
    rows = seen.heldout.train[target]
    files = [rows[int(found.index[index])].file for index in chosen]
    px = real.pictures.shape[1]
    return chosen, dict(zip(chosen, load_pictures(subject.dataset, files, px), strict=True))
