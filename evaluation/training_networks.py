"""Which pretrained networks had a part in a model: what trained it may not judge it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from evaluation.judges.judge_kinds import PRETRAINING, JudgeKind
from training.config import TrainConfig

OFFLINE_PRETRAINING = "ImageNet"  # of the offline feature network, whose KID is the first judge


class NetworkUse(StrEnum):
    """What a pretrained network did; a loss and the targets of one shape the generators."""

    LOSS = "loss"
    PAIRS = "pairs"  # placed lips, lids and cheeks in pseudo pairs
    VALIDATION = "validation"  # chose the checkpoint
    WEIGHTS = "weights"  # chose between the last step and the averages, on training pictures


@dataclass(frozen=True)
class TrainingNetwork:
    """A pretrained network that had a part in the model."""

    name: str
    pretraining: str  # the dataset, e.g. "ImageNet"
    use: NetworkUse


def used_networks(
    config: TrainConfig, offline: str, *, weights_were_compared: bool, has_faces: bool = False
) -> tuple[TrainingNetwork, ...]:
    """The networks that had a part in a training of ``config``: none in a loss, maybe in choices.

    ``offline`` is the name of the offline feature network, which validates and compares weights;
    the face mesh has a part where pictures with faces are paired.
    """
    has_pairs = has_faces and (config.pseudo_steps > 0 or config.pseudo_weight > 0)
    uses = {
        NetworkUse.VALIDATION: config.validate_every > 0,
        NetworkUse.WEIGHTS: weights_were_compared,
    }
    networks = [
        TrainingNetwork(offline, OFFLINE_PRETRAINING, use)
        for use, is_used in uses.items()
        if is_used
    ]
    if has_pairs:
        mesh = PRETRAINING[JudgeKind.MESH_ACTIVATIONS]
        networks.append(TrainingNetwork(mesh, mesh, NetworkUse.PAIRS))
    return tuple(networks)


def shaping_pretraining(networks: Sequence[TrainingNetwork]) -> frozenset[str]:
    """What the networks that shaped the generators were trained on: their like do not judge."""
    shaping = (NetworkUse.LOSS, NetworkUse.PAIRS)
    return frozenset(each.pretraining for each in networks if each.use in shaping)


def networks_to_json(networks: Sequence[TrainingNetwork]) -> list[dict[str, Any]]:
    """What ``scores.json`` holds of the networks."""
    return [asdict(network) for network in networks]


def load_networks(value: Sequence[dict[str, Any]]) -> tuple[TrainingNetwork, ...]:
    """The networks that ``value``, a part of ``scores.json``, describes."""
    return tuple(
        TrainingNetwork(each["name"], each["pretraining"], NetworkUse(each["use"]))
        for each in value
    )
