"""Measures a checkpoint on a dataset: reads pictures, runs networks, writes the gallery."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from torch import nn

from core.progress import Progress
from core.workspace import Workspace
from core.workspace_folders import DatasetFolder
from evaluation.arrays import Array, Pictures
from evaluation.champion_comparison import (
    Champion,
    compare_models,
    compared_champion,
    load_champion,
)
from evaluation.config import EvaluateConfig
from evaluation.data.held_out import HeldOut, load_held_out, load_pictures
from evaluation.data.score_parts import ModelComparison, PairScores
from evaluation.features.classifier import Classifier, fit
from evaluation.features.collect import FeatureCollector, any_face
from evaluation.figures import Figures
from evaluation.judges.panel import JudgePanel
from evaluation.metrics import memorization, pairs
from evaluation.metrics.direction import classifier_scores, direction_figures, shortages
from evaluation.metrics.distances import witness
from evaluation.metrics.intervals import mean_figure
from evaluation.metrics.measurement import Measurement, Outputs, Side
from evaluation.metrics.regions import colour_change, contrasts
from evaluation.metrics.true_counterparts import (
    TrueCounterparts,
    errors,
    load_counterparts,
    load_truth,
    truth_scores,
)
from evaluation.report.domain_names import domain_names
from evaluation.report.gallery import choose, gain, write_gallery
from evaluation.scores import DirectionScores, Scores
from evaluation.strength_choice import StrengthChoice, candidates, choose_strength
from evaluation.training_networks import shaping_pretraining, used_networks
from evaluation.weights_choice import Kind, available_kinds, choose_weights
from preprocessing.analysis.face_regions import REGIONS
from training.run.checkpoint import load_config, load_generators

_DIRECTIONS = (("A2B", "A", "B"), ("B2A", "B", "A"))
_Thumbnails = Mapping[int, Pictures]
"""Pictures ``[px, px, 3]`` of the gallery by the index of their input."""


@dataclass(frozen=True)
class EvaluationPaths:
    """The inputs of a measurement, and the folders that it works in."""

    dataset: Path
    run: Path
    checkpoint: Path
    champion: Path | None  # model folder to compare with
    workspace: Workspace
    folder: Path  # of this evaluation: gets gallery/


@dataclass(frozen=True)
class _Collected:
    """Everything that the figures of both directions are computed from, by the input's side."""

    held_out: HeldOut
    crop_px: int
    classifier: Classifier | None
    sides: dict[str, Side]
    outputs: dict[str, Outputs]
    trained_outputs: dict[str, Outputs]  # with strength 1
    strengths: dict[str, StrengthChoice]
    champion_outputs: dict[str, Outputs]  # empty without a champion
    other_outputs: dict[str, Outputs]  # of the weights that were not chosen, if any
    judges: JudgePanel
    truth_files: dict[str, Path]
    counterparts: dict[str, list[str]]


def measure(
    config: EvaluateConfig,
    paths: EvaluationPaths,
    inception: tuple[Path | None, str],
    progress: Progress,
) -> Scores:
    """Measure both directions and write ``gallery/``; returns the scores without their keys.

    ``inception`` is the weights of the standard network, or ``None`` and the reason why there are
    none.

    Raises ``ValueError`` for a dataset, truth or pairs that cannot be used, ``CheckpointError`` for
    a checkpoint that cannot be read or is of another architecture than its configuration says.
    """
    held_out = load_held_out(config, DatasetFolder(paths.dataset))
    truth_files = load_truth(config.truth) if config.truth is not None else {}
    counterparts = pairs.load_pairs(config.pairs) if config.pairs is not None else {}
    collector = FeatureCollector(config, paths.workspace.features, inception[0], progress)
    kinds = available_kinds(config.weights, paths.checkpoint)
    train_config = load_config(paths.checkpoint)
    domains = {side: rows[0].domain for side, rows in held_out.test.items()}
    names = domain_names(domains, config.language, DatasetFolder(paths.dataset).config)
    px = train_config.crop_px
    crop_px = held_out.crop_px or px
    sides = {
        side: collector.side(paths.dataset, held_out.test[side], held_out.train[side], px, crop_px)
        for side in "AB"
    }
    train_features = {name: side.train_features["offline"] for name, side in sides.items()}
    outputs = {kind: _translate_with(collector, sides, paths.checkpoint, kind) for kind in kinds}
    chosen, weights = choose_weights(
        {
            kind: {name: translated.features["offline"] for name, translated in by_side.items()}
            for kind, by_side in outputs.items()
        },
        {"A": train_features["B"], "B": train_features["A"]},
    )
    trained_outputs = outputs.pop(chosen)
    strengths, chosen_outputs = _with_strengths(
        config, collector, sides, (paths.checkpoint, chosen), trained_outputs
    )
    champion = load_champion(
        paths.champion,
        paths.checkpoint,
        {f"G_{side}": choice.chosen for side, choice in strengths.items()},
        domains,
        collector.device,
    )
    features, standard = collector.networks()
    networks = used_networks(
        train_config,
        features.name,
        weights_were_compared=len(kinds) > 1
        or any(choice.compared for choice in strengths.values()),
        has_faces=any(any_face(side.meshes) for side in sides.values()),
    )
    collected = _Collected(
        held_out=held_out,
        crop_px=crop_px,
        classifier=fit(train_features["A"], train_features["B"], config.seed),
        sides=sides,
        outputs=chosen_outputs,
        trained_outputs=trained_outputs,
        strengths=strengths,
        champion_outputs=_both_directions(
            collector, sides, champion.G_A, champion.G_B, "translate with the champion"
        )
        if isinstance(champion, Champion)
        else {},
        other_outputs=next(iter(outputs.values()), {}),
        judges=JudgePanel(
            config,
            sides,
            held_out.alignment,
            paths.workspace.features,
            collector.device,
            progress,
            names={side: names[domain] for side, domain in domains.items()},
            excluded_pretraining=shaping_pretraining(networks),
        ),
        truth_files=truth_files,
        counterparts=counterparts,
    )
    return Scores(
        run=paths.run.name,
        checkpoint=paths.checkpoint.name,
        step=int(paths.checkpoint.name.removeprefix("step_")),
        dataset=paths.dataset.name,
        domains=domains,
        px=px,
        counts={f"test{side}": len(rows) for side, rows in held_out.test.items()}
        | {f"train{side}": len(rows) for side, rows in held_out.train.items()},
        config=config.model_dump(mode="json", exclude={"truth", "pairs", "inception_weights"}),
        train_config=train_config.model_dump(mode="json"),
        classifier=classifier_scores(collected.classifier, sides["A"], sides["B"]),
        champion=compared_champion(champion, held_out.test, paths.workspace)
        if isinstance(champion, Champion)
        else champion,
        weights=weights,
        directions={
            name: _DirectionScorer(config, paths, collector, collected, source, target).scores(name)
            for name, source, target in _DIRECTIONS
        },
        training_networks=networks,
        features=features,
        inception=standard,
        no_inception="" if standard else inception[1],
        missing=collector.missing,
    )


def _translate_with(
    collector: FeatureCollector, sides: Mapping[str, Side], checkpoint: Path, kind: Kind
) -> dict[str, Outputs]:
    averaged = kind == "averaged"
    G_A, G_B, _ = load_generators(checkpoint, collector.device, averaged=averaged)
    stage = "translate with averaged weights" if averaged else "translate"
    return _both_directions(collector, sides, G_A, G_B, stage)


def _with_strengths(
    config: EvaluateConfig,
    collector: FeatureCollector,
    sides: Mapping[str, Side],
    weights: tuple[Path, Kind],
    outputs: dict[str, Outputs],
) -> tuple[dict[str, StrengthChoice], dict[str, Outputs]]:
    """The strength of each direction, and what the generators put out with these strengths.

    ``outputs`` is what they put out with strength 1; all by the input's side. ``weights`` are a
    checkpoint and the kind of its weights.
    """
    checkpoint, kind = weights
    G_A, G_B, _ = load_generators(checkpoint, collector.device, averaged=kind == "averaged")
    choices = {}
    for (_, source, target), generator in zip(_DIRECTIONS, (G_A, G_B), strict=True):
        translated = outputs[source].features["offline"]
        real = sides[target].train_features["offline"]
        strengths = candidates(config, translated, real)
        by_strength = collector.strength_features(sides[source], generator, strengths)
        before = sides[source].features["offline"]
        choices[source] = choose_strength(config, translated, by_strength, real, before)
        generator.strength = choices[source].chosen
    if G_A.strength == G_B.strength == 1:
        return choices, outputs
    stage = "translate with the chosen strengths"
    return choices, _both_directions(collector, sides, G_A, G_B, stage)


def _both_directions(
    collector: FeatureCollector,
    sides: Mapping[str, Side],
    G_A: nn.Module,
    G_B: nn.Module,
    stage: str,
) -> dict[str, Outputs]:
    return {
        "A": collector.outputs(sides["A"], G_A, G_B, stage),
        "B": collector.outputs(sides["B"], G_B, G_A, stage),
    }


class _DirectionScorer:
    """Measures one direction, from the side ``source`` to the side ``target``."""

    def __init__(
        self,
        config: EvaluateConfig,
        paths: EvaluationPaths,
        collector: FeatureCollector,
        collected: _Collected,
        source: str,
        target: str,
    ) -> None:
        self._config, self._paths = config, paths
        self._collector, self._collected = collector, collected
        self._source_name, self._target_name = source, target
        self._source, self._target = collected.sides[source], collected.sides[target]
        self._outputs = collected.outputs[source]
        self._px = self._source.pictures.shape[1]
        self._truths = load_counterparts(
            self._source.rows, collected.truth_files, collected.crop_px, self._px
        )

    def scores(self, name: str) -> DirectionScores:
        """All figures of the direction ``name``; also writes its gallery."""
        config, collected = self._config, self._collected
        source, target, outputs, truths = self._source, self._target, self._outputs, self._truths
        champion = collected.champion_outputs.get(self._source_name)
        other = collected.other_outputs.get(self._source_name)
        trained = collected.trained_outputs[self._source_name]
        figures = direction_figures(
            Measurement(
                config=config,
                source=source,
                outputs=outputs,
                target=target,
                target_name=self._target_name,
                classifier=collected.classifier,
                alignment=collected.held_out.alignment,
                extract=self._collector.offline_features,
            )
        )
        columns: dict[str, _Thumbnails] = {
            "input": dict(enumerate(source.pictures)),
            "translated": dict(enumerate(outputs.translated)),
            "reconstructed": dict(enumerate(outputs.reconstructed)),
        }
        truth = None
        if truths is not None:
            truth = truth_scores(config, source.pictures, outputs.translated, truths)
            figures |= self._true_changes(truths)
            columns["truth"] = dict(zip(truths.indices, truths.pictures, strict=True))
        pair_scores, columns["pair"] = self._pairs()
        rank = self._rank(outputs)
        chosen = choose(rank, config.num_gallery, config.seed)
        if champion is not None:
            lead = choose(rank - self._rank(champion), config.num_gallery, config.seed)
            chosen |= {f"against_{kind}": indices for kind, indices in lead.items()}
            columns["champion"] = dict(enumerate(champion.translated))
        chosen["nearest"], columns["training"] = self._nearest_training_pictures()
        folder = self._paths.folder
        direction = DirectionScores(
            source=source.rows[0].domain,
            target=target.rows[0].domain,
            num_pictures=len(source.rows),
            num_target=len(target.rows),
            figures=figures,
            meaningless=shortages(source, target),
            truth=truth,
            pairs=pair_scores,
            judges=collected.judges.scores(
                self._source_name, outputs.translated, outputs.contrasts, self._target_name
            ),
            champion=self._compare(outputs, champion) if champion else None,
            other_weights=self._compare(trained, other) if other else None,
            strength=collected.strengths[self._source_name],
            gallery=write_gallery(folder, name, source.rows, columns, chosen, rank),
            gallery_ranked_by="witness" if truths is None else "truth",
        )
        return replace(direction, extra={"contradictions": direction.contradictions})

    def _compare(self, own: Outputs, other: Outputs) -> ModelComparison:
        sets = (own.features, other.features, self._target.features)
        is_measured = own is self._outputs  # then ``figures`` have its KID
        comparison = compare_models(self._config, *(features["offline"] for features in sets))
        return replace(comparison, own_kid=None) if is_measured else comparison

    def _rank(self, outputs: Outputs) -> Array:
        """The quality of each translation, ``[N]``, by its truth or its features; NaN: unknown."""
        source, truths = self._source, self._truths
        if truths is None:
            sets = (outputs.features, self._target.features, source.features)
            return witness(*(features["offline"] for features in sets))
        before = errors(source.pictures[truths.indices], truths.pictures, truths.masks)
        after = errors(outputs.translated[truths.indices], truths.pictures, truths.masks)
        rank = np.full(len(source.rows), np.nan)
        rank[truths.indices] = gain(before, after)
        return rank

    def _true_changes(self, truths: TrueCounterparts) -> Figures:
        """The difference between truth and input, by region: the ceiling of the change."""
        meshes = [self._source.meshes[index] for index in truths.indices]
        change = colour_change(self._source.pictures[truths.indices], truths.pictures, meshes)
        finite = {name: change[name][np.isfinite(change[name])] for name in (*REGIONS, "outside")}
        return {
            f"change_{name}_ceiling": mean_figure(
                values, self._config.num_bootstrap, self._config.seed
            )
            for name, values in finite.items()
            if len(values)
        }

    def _pairs(self) -> tuple[PairScores | None, _Thumbnails]:
        """Figures of pictures with a known counterpart, and the counterparts themselves."""
        collected, collector = self._collected, self._collector
        matches = pairs.match(
            self._source.rows, collected.held_out.usable[self._target_name], collected.counterparts
        )
        if not matches.inputs:
            return None, {}
        files = [row.file for row in matches.rows]
        true = load_pictures(self._paths.dataset, files, self._px)
        meshes = collector.meshes(matches.rows, true, collected.crop_px)
        scores = pairs.pair_scores(
            self._config,
            _pair_features(self._outputs, matches.inputs),
            _pair_features(self._source, matches.inputs),
            pairs.PairFeatures(
                collector.features(true)["offline"],
                contrasts(true, meshes),
                collector.embeddings(true, meshes),
            ),
        )
        return scores, dict(zip(matches.inputs, true, strict=True))

    def _nearest_training_pictures(self) -> tuple[list[int], _Thumbnails]:
        """The inputs whose translations are nearest to a training picture, and those pictures."""
        train_features = self._target.train_features["offline"]
        if not len(train_features):
            return [], {}
        neighbours = memorization.nearest(self._outputs.features["offline"], train_features)
        order = [int(index) for index in np.argsort(neighbours.distance, kind="stable")]
        chosen = order[: self._config.num_gallery]
        rows = self._collected.held_out.train[self._target_name]
        files = [rows[int(neighbours.index[index])].file for index in chosen]
        pictures = load_pictures(self._paths.dataset, files, self._px)
        return chosen, dict(zip(chosen, pictures, strict=True))


def _pair_features(pictures: Side | Outputs, indices: list[int]) -> pairs.PairFeatures:
    """The features of the pictures with these indices."""
    return pairs.PairFeatures(
        pictures.features["offline"][indices],
        {name: points[indices] for name, points in pictures.contrasts.items()},
        None if pictures.embeddings is None else pictures.embeddings[indices],
    )
