"""The choice between the weights of a checkpoint's last step and their moving averages.

The mean KID of both directions' translations to the target's *training* pictures decides, so that
the model that is measured on the held-out pictures was not chosen by them.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from core.errors import CheckpointError
from core.files import file_sha256
from core.language.messages import localised
from core.workspace_folders import CheckpointFolder
from evaluation.arrays import Array
from evaluation.data.score_parts import WeightsChoice
from evaluation.metrics.distances import LEAST_FOR_DISTANCES, kid

Kind = Literal["raw", "averaged"]
"""Weights of the last step, or their moving averages."""

GENERATORS = ("G_A", "G_B")
_NETWORKS: Mapping[Kind, tuple[str, ...]] = MappingProxyType(
    {"raw": GENERATORS, "averaged": ("G_A_ema", "G_B_ema")}
)


def available_kinds(policy: Literal["auto", "raw", "averaged"], checkpoint: Path) -> list[Kind]:
    """The kinds to measure. Raises ``CheckpointError`` for averages that were not kept."""
    from training.run.checkpoint import has_averages  # imports torch, which promotion does not need

    if policy == "averaged" and not has_averages(checkpoint):
        raise CheckpointError(
            localised(
                "{checkpoint}: found no averaged weights (it was trained with ema_decay 0); "
                "evaluate with weights auto or raw",
                checkpoint=checkpoint,
            )
        )
    if policy == "auto":
        return ["raw", "averaged"] if has_averages(checkpoint) else ["raw"]
    return [policy]


def generator_files(checkpoint: Path, kind: Kind) -> dict[str, Path]:
    """The checkpoint's file of each generator, by the generator's name (``G_A``, ``G_B``)."""
    folder = CheckpointFolder(checkpoint)
    return {
        generator: folder.weights(network)
        for generator, network in zip(GENERATORS, _NETWORKS[kind], strict=True)
    }


def weights_digests(folder: Path, kind: Kind = "raw") -> list[str]:
    """sha256 of both generators of a checkpoint, or of a stored model (always ``raw``)."""
    return [file_sha256(file) for file in generator_files(folder, kind).values()]


def all_weights_digests(checkpoint: Path) -> list[list[str]]:
    """``weights_digests`` of each kind that the checkpoint has."""
    return [weights_digests(checkpoint, kind) for kind in available_kinds("auto", checkpoint)]


def choose_weights(
    translated: Mapping[Kind, Mapping[str, Array]], target_train: Mapping[str, Array]
) -> tuple[Kind, WeightsChoice]:
    """The kind with the lower mean KID; the first kind where pictures are too few.

    ``translated``: features of each kind's translations, ``target_train``: of training pictures of
    the target, both by the input's side.
    """
    kids = {
        kind: statistics.fmean(
            kid(features, target_train[side]) for side, features in sides.items()
        )
        for kind, sides in translated.items()
        if all(
            min(len(features), len(target_train[side])) >= LEAST_FOR_DISTANCES
            for side, features in sides.items()
        )
    }
    chosen = min(translated, key=lambda kind: kids.get(kind, 0.0))
    return chosen, WeightsChoice(chosen, {str(kind): value for kind, value in kids.items()})


def choice_sentence(choice: WeightsChoice) -> str:
    """A sentence about the choice; ``""`` where there was none."""
    if len(choice.kid_to_training) < 2:
        return ""
    names = {
        "raw": localised("those of the last step"),
        "averaged": localised("their moving averages"),
    }
    other = next(kind for kind in choice.kid_to_training if kind != choice.chosen)
    return localised(
        "Of its weights {chosen} are kept: their translations are nearer to the target's training "
        "pictures (KID {kid:.4f}) than with {other} ({kid_of_other:.4f}).",
        chosen=names[choice.chosen],
        kid=choice.kid_to_training[choice.chosen],
        other=names[other],
        kid_of_other=choice.kid_to_training[other],
    )
