"""The stage's verb: measure a run's newest checkpoint on held-out pictures, and write the report.

``runs/<run>/evaluation/<checkpoint>/`` gets ``gallery/``, ``scores.json`` (written when all is
measured) and ``report.html``. The same configuration on the same checkpoint is measured once.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import CheckpointError
from core.files import digest, file_sha256, write_json
from core.progress import Progress, silent
from core.workspace import Workspace
from evaluation.config import EvaluateConfig
from evaluation.features.inception import find_weights
from evaluation.measure import Subject, measure
from evaluation.report.html_report import write_report
from evaluation.report.wording import Language, verdict
from evaluation.weights_choice import all_weights_of, weights_of
from training.run.checkpoint import latest_checkpoint

STAGE_VERSION = 4  # raise it when the same inputs give other figures


@dataclass(frozen=True)
class Evaluation:
    """What was measured: ``folder`` holds ``scores.json``, ``report.html`` and the gallery."""

    folder: Path
    report: Path
    scores: dict[str, Any]  # content of scores.json; measure() describes its keys
    verdict: str  # one sentence
    language: Language  # of the report and the verdict
    reused: bool  # the figures were measured by an earlier call


def evaluate(
    config: EvaluateConfig,
    dataset: Path,
    run: Path,
    workspace: Workspace,
    *,
    champion: Path | None = None,
    progress: Progress = silent,
) -> Evaluation:
    """Measure both directions of ``run``'s newest checkpoint on the test pictures of ``dataset``.

    ``champion`` is a model folder that is measured on the same pictures, for the report and the
    gate; a damaged one is said and left out.

    Raises ``CheckpointError`` when the run has no checkpoint, or one that does not fit its
    configuration; ``ValueError`` when the run was trained on another dataset, when a side has no
    test pictures, or for a bad truth. Nothing is written then.
    """
    checkpoint = latest_checkpoint(run)
    if checkpoint is None:
        raise CheckpointError(f"{run}: found no checkpoint to evaluate; train first")
    _check_dataset(dataset, run)
    folder = run / "evaluation" / checkpoint.name
    inception = find_weights(config.inception, config.inception_weights, progress=progress)
    key = _key(config, dataset, checkpoint, inception[0])
    rival = _rival_key(champion, checkpoint)
    stored = _stored(folder, key, rival)
    if stored is None:
        (folder / "scores.json").unlink(missing_ok=True)  # the gallery is about to change
        subject = Subject(dataset, run, checkpoint, champion, workspace, folder)
        scores = measure(config, subject, inception, progress)
        scores |= {"key": key, "champion_key": rival}
        write_json(folder / "scores.json", scores)
    else:
        scores = stored
    progress("evaluate: report", 0, 1, "")
    report = write_report(config.language, scores, dataset, run, workspace, folder)
    progress("evaluate: report", 1, 1, "")
    sentence = verdict(scores, config.language)
    return Evaluation(folder, report, scores, sentence, config.language, reused=stored is not None)


def _check_dataset(dataset: Path, run: Path) -> None:
    """Test pictures are held out only if the run was trained on this very dataset."""
    path = run / "config.json"
    trained_on = json.loads(path.read_text()).get("dataset") if path.exists() else None
    if trained_on is not None and trained_on != dataset.name:
        raise ValueError(
            f"dataset: got {dataset.name}, but {run} was trained on {trained_on}: test pictures "
            f"of the one may be training pictures of the other. Evaluate on {trained_on}"
        )


def _rival_key(champion: Path | None, checkpoint: Path) -> str:
    """Names the champion to compare with; ``""`` for none, and for the checkpoint itself."""
    try:
        weights = weights_of(champion) if champion else []
        is_other = bool(weights) and weights not in all_weights_of(checkpoint)
        return digest(weights) if is_other else ""
    except OSError:
        return "damaged"


def _key(config: EvaluateConfig, dataset: Path, checkpoint: Path, inception: Path | None) -> str:
    """Names everything that the figures depend on."""
    try:
        weights = all_weights_of(checkpoint)
    except OSError as error:
        raise CheckpointError(f"{checkpoint}: cannot read its weights: {error}") from error
    return digest(
        {
            "config": config.model_dump(
                mode="json",
                exclude={
                    "language",
                    "batch_size",
                    "device",
                    "truth",
                    "pairs",
                    "inception",
                    "inception_weights",
                },
            ),
            "inception": inception and file_sha256(inception),
            "truth": config.truth and _sha256_or_none(config.truth / "truth.parquet"),
            "pairs": config.pairs and _sha256_or_none(config.pairs),
            "dataset": dataset.name,
            "weights": weights,
            "stage": STAGE_VERSION,
        }
    )


def _sha256_or_none(path: Path) -> str | None:
    """For a file that is read, and complained of, later."""
    return file_sha256(path) if path.is_file() else None


def _stored(folder: Path, key: str, rival: str) -> dict[str, Any] | None:
    """The figures of an earlier call, if they answer this one.

    A comparison with an earlier champion stays when there is none to compare with now: the
    checkpoint became champion itself.
    """
    try:
        scores: dict[str, Any] = json.loads((folder / "scores.json").read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    fits = scores.get("key") == key and rival in ("", scores.get("champion_key"))
    return scores if fits else None
