"""The recipe's champion, measured on the same pictures as the new checkpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from core.errors import CheckpointError
from core.files import load_json
from core.tables import Picture, iter_rows
from core.workspace import Workspace
from core.workspace_folders import ModelFolder
from evaluation.arrays import Array
from evaluation.champion_record import ComparedChampion, MissingChampion, NoChampion
from evaluation.config import EvaluateConfig
from evaluation.data.score_parts import ModelComparison
from evaluation.metrics.distances import LEAST_FOR_DISTANCES, compare_kid
from evaluation.scores import load_scores
from evaluation.weights_choice import all_weights_digests, weights_digests
from training.run.checkpoint import load_generators
from training.run.strengths import load_strengths


@dataclass(frozen=True)
class Champion:
    """The champion's generators, and the champion's name, dataset and digest."""

    name: str
    dataset: str
    step: int
    px: int
    G_A: nn.Module
    G_B: nn.Module


def load_champion(
    champion: Path | None,
    checkpoint: Path,
    strengths: Mapping[str, float],
    domains: Mapping[str, str],
    device: str,
) -> Champion | MissingChampion:
    """The champion to compare ``checkpoint`` with, or the reason why there is none.

    A champion of the same weights is the checkpoint itself if it also has these ``strengths``, by
    the generators' names. A damaged champion is no error: it must not keep new models from being
    measured.
    """
    if champion is None:
        return MissingChampion(NoChampion.NONE)
    folder = ModelFolder(champion)
    try:
        has_same_weights = weights_digests(champion) in all_weights_digests(checkpoint)
        if has_same_weights and load_strengths(champion) == strengths:
            return MissingChampion(NoChampion.ITSELF)
        lineage = load_json(folder.lineage)
        if lineage["domains"] != dict(domains):
            return MissingChampion(NoChampion.DOMAINS)
        G_A, G_B, config = load_generators(champion, device)
        step = load_scores(folder.scores).step
    except (OSError, ValueError, KeyError, CheckpointError) as error:
        problem = f"model.json has no {error}" if isinstance(error, KeyError) else str(error)
        detail = f"{champion.name}: {problem}"
        return MissingChampion(NoChampion.DAMAGED, detail)
    return Champion(champion.name, str(lineage["dataset"]), step, config.crop_px, G_A, G_B)


def compared_champion(
    champion: Champion, test: Mapping[str, Sequence[Picture]], workspace: Workspace
) -> ComparedChampion:
    """What ``scores.json`` records of a champion that was measured on the pictures ``test``."""
    pictures = [row for rows in test.values() for row in rows]
    num = num_trained_on(champion, workspace, pictures)
    return ComparedChampion(champion.name, champion.dataset, champion.step, num)


def num_trained_on(champion: Champion, workspace: Workspace, test: Sequence[Picture]) -> int | None:
    """Number of these held-out pictures that the champion was trained on; ``None``: unknown."""
    manifest = workspace.dataset(champion.dataset).manifest
    if not manifest.is_file():
        return None
    rows = iter_rows(manifest, Picture)
    trained = {row.sha256 for row in rows if row.status == "ok" and row.split == "train"}
    return sum(row.sha256 in trained for row in test)


def compare_models(
    config: EvaluateConfig, translated: Array, other_translated: Array, target_test: Array
) -> ModelComparison:
    """KID of another model's translations and the paired difference, from offline features.

    ``translated`` and ``other_translated`` (by the other model) are ``[N, D]`` of the same inputs,
    ``target_test`` is ``[M, D]`` of real pictures.
    """
    if min(len(translated), len(target_test)) < LEAST_FOR_DISTANCES:
        return ModelComparison()
    kid = compare_kid(translated, other_translated, target_test, config.num_bootstrap, config.seed)
    return ModelComparison(kid=kid.untranslated, kid_change=kid.change, own_kid=kid.translated)
