"""The figures of an evaluation by plain names, for TensorBoard and trackers of experiments."""

from __future__ import annotations

import logging
import math
from pathlib import Path

from core.files import try_load_json, write_json
from core.language.messages import localised
from core.workspace_folders import EvaluationFolder
from evaluation.figures import Figure
from evaluation.scores import Scores
from training.tracking.tensorboard_summaries import write_evaluation
from training.tracking.tracked_training import send_evaluations

_logger = logging.getLogger(__name__)


def plain_figures(scores: Scores) -> dict[str, float]:
    """Every finite figure by a name such as ``eval/kid_A2B``.

    Figures against the truth are ``eval/truth_…``; the ends of an interval are
    ``eval_interval/kid_A2B_low`` and ``…_high``.
    """
    plain: dict[str, float] = {}
    for route, direction in scores.directions.items():
        truth = direction.truth.figures if direction.truth else {}
        figures = direction.figures | {f"truth_{key}": value for key, value in truth.items()}
        for key, value in figures.items():
            name = f"{key}_{route}"
            if isinstance(value, Figure):
                plain[f"eval/{name}"] = value.value
                plain[f"eval_interval/{name}_low"] = value.low
                plain[f"eval_interval/{name}_high"] = value.high
            else:
                plain[f"eval/{name}"] = float(value)
    return {name: value for name, value in plain.items() if math.isfinite(value)}


def publish_figures(scores: Scores, folder: EvaluationFolder, run: Path) -> None:
    """Write ``figures.json``; TensorBoard gets the figures that are new, and so do the run's
    trackers.

    The report has them all, so a full disk or a tracker that fails is a warning.
    """
    figures = plain_figures(scores)
    value = {"step": scores.step, "figures": figures}
    try:
        if try_load_json(folder.figures) != value:
            write_evaluation(run, folder.path.name, scores.step, figures)
            write_json(folder.figures, value)
        send_evaluations(run)
    except OSError as error:
        _logger.warning(
            localised("TensorBoard and trackers lack the figures of %s: %s"), folder.path, error
        )
