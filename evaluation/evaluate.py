"""The stage's verb: measure a run's newest checkpoint on held-out pictures, and write the report.

``runs/<run>/evaluation/<checkpoint>/`` gets ``gallery/``, ``scores.json`` (written last),
``training_statistics.safetensors``, ``report.html`` and ``figures.json``, which TensorBoard and the
run's trackers get too. The same configuration on the same
checkpoint is measured once.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from core.config_identity import identity
from core.errors import CheckpointError
from core.files import digest, file_sha256, try_load_json
from core.language.messages import localised
from core.progress import Progress, silent
from core.workspace import Workspace
from core.workspace_folders import DatasetFolder, EvaluationFolder, RunFolder
from evaluation.config import EvaluateConfig
from evaluation.data.held_out import load_held_out, load_pictures
from evaluation.features.extractor import load_offline
from evaluation.features.inception import find_weights
from evaluation.features.training_statistics import (
    DomainStatistics,
    TrainingStatistics,
    load_statistics,
    save_statistics,
)
from evaluation.measure import EvaluationPaths, measure
from evaluation.report.domain_names import domain_names, with_display_names
from evaluation.report.html_report import write_report
from evaluation.report.plain_figures import publish_figures
from evaluation.report.wording import Language, verdict
from evaluation.scores import Scores, load_scores, write_scores
from evaluation.weights_choice import all_weights_digests, weights_digests
from training.run.checkpoint import latest_checkpoint
from training.run.strengths import load_strengths

STAGE_VERSION = 8  # raise it when the same inputs give other figures, not for new figures


@dataclass(frozen=True)
class Evaluation:
    """The result of an evaluation; ``folder`` holds scores, report and gallery."""

    folder: Path
    report: Path
    scores: Scores
    verdict: str  # one sentence
    language: Language  # language of the report and the verdict
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

    ``champion`` is a model folder that is measured on the same pictures, for the report and for
    promotion. A damaged one is left out, and the report says why.

    Raises ``CheckpointError`` when the run has no checkpoint, or one that does not fit its
    configuration; ``ValueError`` when the run was trained on another dataset, when a side has no
    test pictures, or for a bad truth. Nothing is written then.
    """
    checkpoint = latest_checkpoint(run)
    if checkpoint is None:
        raise CheckpointError(
            localised("{run}: found no checkpoint to evaluate; train first", run=run)
        )
    _check_dataset(dataset, run)
    folder = RunFolder(run).evaluation(checkpoint.name)
    inception = find_weights(config.inception, config.inception_weights, progress=progress)
    key = _key(config, dataset, checkpoint, inception[0])
    champion_key = _champion_key(champion, checkpoint)
    stored = _stored_scores(folder, key, champion_key)
    if stored is None:
        paths = EvaluationPaths(dataset, run, checkpoint, champion, workspace, folder.path)
        scores = measure(config, paths, inception, progress)
        scores = replace(scores, key=key, champion_key=champion_key)
        write_scores(folder.scores, scores)
    else:
        scores = stored
    statistics = load_statistics(folder.training_statistics)
    if statistics is None and scores.px:
        statistics = _training_statistics(config, dataset, scores.px, workspace, progress)
        save_statistics(folder.training_statistics, statistics)
    progress("evaluate: report", 0, 1, "")
    report = write_report(
        config.language, scores, DatasetFolder(dataset), RunFolder(run), workspace, folder
    )
    publish_figures(scores, folder, run)
    progress("evaluate: report", 1, 1, "")
    names = domain_names(scores.domains, config.language, DatasetFolder(dataset).config)
    displayed = with_display_names(scores, names)
    return Evaluation(
        folder.path,
        report,
        displayed,
        verdict(displayed, config.language),
        config.language,
        reused=stored is not None,
    )


def is_measured(
    config: EvaluateConfig, dataset: Path, run: Path, *, champion: Path | None = None
) -> bool:
    """Whether ``evaluate`` would find the figures of an earlier call; fetches nothing."""
    checkpoint = latest_checkpoint(run)
    if checkpoint is None:
        return False
    policy: Literal["cached", "never"] = "never" if config.inception == "never" else "cached"
    try:
        inception, _ = find_weights(policy, config.inception_weights)
        key = _key(config, dataset, checkpoint, inception)
    except (CheckpointError, ValueError):
        return False  # an error where it is measured
    folder = RunFolder(run).evaluation(checkpoint.name)
    return _stored_scores(folder, key, _champion_key(champion, checkpoint)) is not None


def _training_statistics(
    config: EvaluateConfig, dataset: Path, px: int, workspace: Workspace, progress: Progress
) -> TrainingStatistics:
    """Where the training pictures lie; the cache has their features after a measurement."""
    rows = load_held_out(config, DatasetFolder(dataset)).train
    extractor = load_offline(batch_size=config.batch_size).cached_in(workspace.features)
    return TrainingStatistics(
        extractor.identity,
        px,
        {
            side: DomainStatistics.of(
                rows[side],
                extractor(load_pictures(dataset, [row.file for row in rows[side]], px), progress),
            )
            for side in rows
            if rows[side]
        },
    )


def _check_dataset(dataset: Path, run: Path) -> None:
    """Raise ``ValueError`` unless the run was trained on this dataset."""
    trained_on = (try_load_json(RunFolder(run).config) or {}).get("dataset")
    if trained_on is not None and trained_on != dataset.name:
        raise ValueError(
            localised(
                "dataset: got {name}, but {run} was trained on {trained_on}: test pictures "
                "of the one may be training pictures of the other. Evaluate on {trained_on}",
                name=dataset.name,
                run=run,
                trained_on=trained_on,
            )
        )


def _champion_key(champion: Path | None, checkpoint: Path) -> str:
    """A digest of the champion to compare with; ``""`` for none, and for one of the checkpoint's
    weights.
    """
    if champion is None:
        return ""
    try:
        weights = weights_digests(champion)
        if weights in all_weights_digests(checkpoint):
            return ""
        strengths = load_strengths(champion)
    except (OSError, CheckpointError):
        return "damaged"
    is_as_trained = set(strengths.values()) == {1.0}
    return digest(weights if is_as_trained else {"weights": weights, "strengths": strengths})


def _key(config: EvaluateConfig, dataset: Path, checkpoint: Path, inception: Path | None) -> str:
    """A digest of everything that the figures depend on, of files by their content."""
    try:
        weights = all_weights_digests(checkpoint)
    except OSError as error:
        raise CheckpointError(
            localised(
                "{checkpoint}: cannot read its weights: {error}", checkpoint=checkpoint, error=error
            )
        ) from error
    return digest(
        {
            "config": identity(config),
            "inception": inception and file_sha256(inception),
            "truth": config.truth and _sha256_or_none(config.truth / "truth.parquet"),
            "pairs": config.pairs and _sha256_or_none(config.pairs),
            "dataset": dataset.name,
            "weights": weights,
            "stage": STAGE_VERSION,
        }
    )


def _sha256_or_none(path: Path) -> str | None:
    """The file's digest; a missing file is an error later, where it is read."""
    return file_sha256(path) if path.is_file() else None


def _stored_scores(folder: EvaluationFolder, key: str, champion_key: str) -> Scores | None:
    """The scores of an earlier call with the same inputs, if there are any.

    A comparison with an earlier champion stays valid when there is no champion to compare with now,
    because the checkpoint became champion itself.
    """
    try:
        scores = load_scores(folder.scores)
    except (FileNotFoundError, ValueError):
        return None
    same = scores.key == key and champion_key in ("", scores.champion_key)
    return scores if same else None
