"""The paired difference of two runs' KID: both translate the held-out pictures once more."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.errors import MissingModelError
from core.progress import Progress, silent
from core.workspace_folders import DatasetFolder
from evaluation.arrays import Pictures
from evaluation.config import EvaluateConfig
from evaluation.data.held_out import load_held_out, load_pictures
from evaluation.data.translations import translate_with_strengths
from evaluation.features.collect import device_of
from evaluation.features.extractor import load_offline
from evaluation.figures import Figure
from evaluation.metrics.distances import LEAST_FOR_DISTANCES, compare_kid
from evaluation.scores import Scores
from training.run.checkpoint import load_generator


@dataclass(frozen=True)
class MeasuredCheckpoint:
    """A checkpoint with its scores, which tell its weights and strengths."""

    path: Path
    scores: Scores


def paired_kid(
    first: MeasuredCheckpoint,
    second: MeasuredCheckpoint,
    config: EvaluateConfig,
    dataset: DatasetFolder,
    features: Path,
    progress: Progress = silent,
) -> tuple[dict[str, Figure], str]:
    """KID of ``second`` minus that of ``first``, by direction (e.g. ``makeup → bare``); below 0 the
    second is better. Where there is no difference, the text is the reason.

    An input is resampled with both of its translations, so that what is hard for both does not
    widen the interval. Both were measured on ``dataset``; ``features`` is the folder of cached
    features. Raises ``CheckpointError`` for a damaged checkpoint, ``ValueError`` for a damaged
    dataset.
    """
    px = first.scores.px or 0
    if second.scores.px != first.scores.px:
        return {}, f"the networks take pictures of {px} and {second.scores.px} px"
    held_out = load_held_out(config, dataset)
    num = min(map(len, held_out.test.values()))
    if num < LEAST_FOR_DISTANCES:
        return {}, f"{num} held-out pictures of a side, {LEAST_FOR_DISTANCES} are needed"
    device = device_of(config.device)
    try:
        extract = load_offline(device, config.batch_size).cached_in(features)
    except MissingModelError as error:
        return {}, str(error)
    pictures = {
        side: load_pictures(dataset.path, [row.file for row in rows], px)
        for side, rows in held_out.test.items()
    }
    differences = {}
    for name, direction in first.scores.directions.items():
        source, target = pictures[name[0]], pictures[name[-1]]
        by_second, by_first = (
            extract(_translate(each, f"G_{name[0]}", source, config, device, progress))
            for each in (second, first)
        )
        comparison = compare_kid(
            by_second, by_first, extract(target), config.num_bootstrap, config.seed
        )
        differences[direction.route] = comparison.change
    return differences, ""


def _translate(
    measured: MeasuredCheckpoint,
    network: str,
    pictures: Pictures,
    config: EvaluateConfig,
    device: str,
    progress: Progress,
) -> Pictures:
    scores = measured.scores
    is_averaged = scores.weights.chosen == "averaged"
    generator, _ = load_generator(measured.path, network, device, averaged=is_averaged)
    strengths = [scores.strengths[network]]
    translated = np.empty_like(pictures)
    for start in range(0, len(pictures), config.batch_size):
        part = slice(start, start + config.batch_size)
        (translated[part],) = translate_with_strengths(
            generator, pictures[part], strengths, device=device
        )
        progress(f"translate with {network}", min(part.stop, len(pictures)), len(pictures), "")
    return translated
