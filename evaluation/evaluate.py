"""The stage's verb: measure a run's newest checkpoint on held-out pictures, and write the report.

``runs/<run>/evaluation/<checkpoint>/`` gets ``gallery/``, ``scores.json`` (written when all is
measured) and ``report.html``. The same configuration on the same checkpoint is measured once.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evaluation.config import EvaluateConfig
from evaluation.inception import find_weights
from evaluation.measure import measure
from evaluation.report import write_report
from evaluation.wording import verdict
from scraping.records import CheckpointError, Progress, digest, file_sha256, silent, write_json
from training.checkpoint import latest_checkpoint

STAGE_VERSION = 2  # raise it when the same inputs give other figures


@dataclass(frozen=True)
class Evaluation:
    """What was measured: ``folder`` holds ``scores.json``, ``report.html`` and the gallery."""

    folder: Path
    report: Path
    scores: dict[str, Any]  # content of scores.json; measure() describes its keys
    verdict: str  # one sentence
    reused: bool  # the figures were measured by an earlier call


def evaluate(
    config: EvaluateConfig,
    dataset: Path,
    run: Path,
    workspace: Path,
    *,
    progress: Progress = silent,
) -> Evaluation:
    """Measure both directions of ``run``'s newest checkpoint on the test pictures of ``dataset``.

    Raises ``CheckpointError`` when the run has no checkpoint, ``ValueError`` when the run was
    trained on another dataset, when a side has less than two test pictures, or for a bad truth.
    """
    checkpoint = latest_checkpoint(run)
    if checkpoint is None:
        raise CheckpointError(f"{run}: found no checkpoint to evaluate; train first")
    _check_dataset(dataset, run)
    folder = run / "evaluation" / checkpoint.name
    inception = find_weights(config.inception, config.inception_weights, progress=progress)
    key = _key(config, dataset, checkpoint, inception[0])
    stored = _stored(folder, key)
    if stored is None:
        (folder / "scores.json").unlink(missing_ok=True)  # the gallery is about to change
        cache = workspace / "cache" / "features"
        scores = measure(config, dataset, run, checkpoint, folder, cache, inception, progress)
        scores |= {"key": key}
        write_json(folder / "scores.json", scores)
    else:
        scores = stored
    progress("evaluate: report", 0, 1, "")
    report = write_report(config.language, scores, dataset, run, workspace, folder)
    progress("evaluate: report", 1, 1, "")
    sentence = verdict(scores, config.language)
    return Evaluation(folder, report, scores, sentence, reused=stored is not None)


def _check_dataset(dataset: Path, run: Path) -> None:
    """Test pictures are held out only if the run was trained on this very dataset."""
    path = run / "config.json"
    trained_on = json.loads(path.read_text()).get("dataset") if path.exists() else None
    if trained_on is not None and trained_on != dataset.name:
        raise ValueError(
            f"dataset: got {dataset.name}, but {run} was trained on {trained_on}: test pictures "
            f"of the one may be training pictures of the other. Evaluate on {trained_on}"
        )


def _key(config: EvaluateConfig, dataset: Path, checkpoint: Path, inception: Path | None) -> str:
    """Names everything that the figures depend on."""
    weights = [file_sha256(checkpoint / f"{name}.safetensors") for name in ("G_A", "G_B")]
    return digest(
        {
            "config": config.model_dump(
                mode="json",
                exclude={
                    "language",
                    "batch_size",
                    "device",
                    "truth",
                    "inception",
                    "inception_weights",
                },
            ),
            "inception": inception and file_sha256(inception),
            "truth": config.truth and file_sha256(config.truth / "truth.parquet"),
            "dataset": dataset.name,
            "weights": weights,
            "stage": STAGE_VERSION,
        }
    )


def _stored(folder: Path, key: str) -> dict[str, Any] | None:
    try:
        scores: dict[str, Any] = json.loads((folder / "scores.json").read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    return scores if scores.get("key") == key else None
