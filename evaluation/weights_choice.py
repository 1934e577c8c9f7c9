"""Which weights of a checkpoint are the model: those of its last step, or their moving averages.

Chosen by the mean KID of both directions' translations to the target's *training* pictures, so that
figures on the held-out ones stay those of a model that was not picked by them.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from core.errors import CheckpointError
from core.files import file_sha256
from evaluation.data.held_out import LEAST_FOR_DISTANCES
from evaluation.metrics.distances import kid

Array = NDArray[np.float64]
Kind = Literal["raw", "averaged"]
GENERATORS = ("G_A.safetensors", "G_B.safetensors")
_FILES: Mapping[Kind, tuple[str, ...]] = MappingProxyType(
    {"raw": GENERATORS, "averaged": ("G_A_ema.safetensors", "G_B_ema.safetensors")}
)


def candidates(wanted: Literal["auto", "raw", "averaged"], checkpoint: Path) -> list[Kind]:
    """The kinds to measure. Raises ``CheckpointError`` for averages that were not kept."""
    from training.run.checkpoint import has_averages  # with torch, which promotion does without

    if wanted == "averaged" and not has_averages(checkpoint):
        raise CheckpointError(
            f"{checkpoint}: found no averaged weights (it was trained with ema_decay 0); evaluate "
            "with weights auto or raw"
        )
    if wanted == "auto":
        return ["raw", "averaged"] if has_averages(checkpoint) else ["raw"]
    return [wanted]


def files_of(checkpoint: Path, kind: Kind) -> dict[str, Path]:
    """By the name in a model's folder (``G_A.safetensors``, …), the checkpoint's file."""
    return {name: checkpoint / file for name, file in zip(GENERATORS, _FILES[kind], strict=True)}


def weights_of(folder: Path, kind: Kind = "raw") -> list[str]:
    """sha256 of both generators of a checkpoint, or of a model's folder (there all are ``raw``)."""
    return [file_sha256(file) for file in files_of(folder, kind).values()]


def all_weights_of(checkpoint: Path) -> list[list[str]]:
    """``weights_of`` for each kind that the checkpoint has."""
    return [weights_of(checkpoint, kind) for kind in candidates("auto", checkpoint)]


def choose(
    translated: Mapping[Kind, Mapping[str, Array]], target_train: Mapping[str, Array]
) -> tuple[Kind, dict[str, Any]]:
    """The better kind, and ``{"chosen": …, "kid_to_training": {kind: …}}`` for the scores.

    ``translated``: features of each kind's translations, ``target_train``: of training pictures of
    the target, both by the input's side. Too few pictures choose the first kind.
    """
    found = {
        kind: statistics.fmean(
            kid(features, target_train[side]) for side, features in sides.items()
        )
        for kind, sides in translated.items()
        if all(
            min(len(features), len(target_train[side])) >= LEAST_FOR_DISTANCES
            for side, features in sides.items()
        )
    }
    kinds = list(translated)
    chosen = min(kinds, key=lambda kind: found.get(kind, 0.0))
    return chosen, {"chosen": chosen, "kid_to_training": found}


def told(scores: Mapping[str, Any]) -> str:
    """A sentence about the choice; ``""`` where there was none."""
    found = scores.get("weights", {})
    figures: Mapping[str, float] = found.get("kid_to_training", {})
    if len(figures) < 2:
        return ""
    names = {"raw": "those of the last step", "averaged": "their moving averages"}
    other = next(kind for kind in figures if kind != found["chosen"])
    return (
        f" Of its weights {names[found['chosen']]} are kept: nearer to the target's training "
        f"pictures (KID {figures[found['chosen']]:.4f}) than {names[other]} ({figures[other]:.4f})."
    )
