"""The recipe's champion on the very pictures that the new checkpoint is measured on."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from core.errors import CheckpointError
from core.tables import Picture, iter_rows
from core.workspace import Workspace
from evaluation.config import EvaluateConfig
from evaluation.data.held_out import LEAST_FOR_DISTANCES
from evaluation.metrics.distances import compare_kid
from evaluation.weights_choice import all_weights_of, weights_of
from training.run.checkpoint import load_generators

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Rival:
    """The champion's generators, and what identifies them."""

    name: str
    dataset: str
    step: int
    px: int
    G_A: nn.Module
    G_B: nn.Module


def load_rival(
    champion: Path | None, checkpoint: Path, domains: Mapping[str, str], device: str
) -> tuple[Rival | None, str]:
    """The champion to compare with, or ``None`` and a reason: ``none``, ``itself``, ``domains``,
    or an error's text, for a damaged champion must not keep others from being measured.
    """
    if champion is None:
        return None, "none"
    try:
        if weights_of(champion) in all_weights_of(checkpoint):
            return None, "itself"
        model = json.loads((champion / "model.json").read_text("utf-8"))
        if model["domains"] != dict(domains):
            return None, "domains"
        G_A, G_B, config = load_generators(champion, device)
        scores = json.loads((champion / "scores.json").read_text("utf-8"))
    except (OSError, ValueError, KeyError, CheckpointError) as error:
        return None, f"{champion.name}: {type(error).__name__}: {error}"
    rival = Rival(
        champion.name, str(model["dataset"]), int(scores["step"]), config.crop_px, G_A, G_B
    )
    return rival, ""


def num_trained_on(rival: Rival, workspace: Workspace, test: Sequence[Picture]) -> int | None:
    """How many of these held-out pictures the champion was trained on; ``None`` when unknown."""
    path = workspace / "datasets" / rival.dataset / "manifest.parquet"
    if not path.is_file():
        return None
    manifest = iter_rows(path, Picture)
    trained = {row.sha256 for row in manifest if row.status == "ok" and row.split == "train"}
    return sum(row.sha256 in trained for row in test)


def against_rival(
    config: EvaluateConfig, translated: Array, rivals: Array, target_test: Array
) -> dict[str, Any]:
    """KID of the champion's translations, and ours less theirs, paired: below 0 we are better."""
    if min(len(translated), len(target_test)) < LEAST_FOR_DISTANCES:
        return {}
    found = compare_kid(translated, rivals, target_test, config.num_bootstrap, config.seed)
    return {"kid": asdict(found.untranslated), "kid_change": asdict(found.change)}
