"""Where a run stands beside its weights, and how it is taken up again from a checkpoint."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from core.errors import CheckpointError
from training.algorithm.cyclegan import CycleGan
from training.algorithm.schedules import Plateau
from training.build import build
from training.run.checkpoint import Position, checkpoints, load_state, load_weights

_logger = logging.getLogger(__name__)


@dataclass
class Standing:
    """Everything that decides how training goes on, beside weights, optimisers and pools."""

    position: Position = field(default_factory=lambda: Position(step=0, epoch=1, batch=0))
    rate_scale: float = 1.0  # halved by every rollback
    num_rollbacks: int = 0
    plateau: Plateau = field(default_factory=Plateau)
    cycle_sum: float = 0.0  # of this epoch's cycle losses
    best_score: float = math.inf  # of all validations so far; lower is better
    num_worse: int = 0  # validations since the best one
    is_stopped: bool = False  # by patience

    def state_dict(self) -> dict[str, Any]:
        """In types that ``torch.load(weights_only=True)`` reads; the position is kept beside it."""
        state = asdict(self)
        del state["position"]
        return state

    @classmethod
    def from_state(cls, state: Mapping[str, Any], position: Position) -> Standing:
        """What ``state_dict`` told."""
        return cls(**{**state, "plateau": Plateau(**state["plateau"]), "position": position})


def state_dict(gan: CycleGan, standing: Standing) -> dict[str, Any]:
    """What a checkpoint holds beside the weights."""
    return {
        "optimizer_G": gan.optimizer_G.state_dict(),
        "optimizer_D": gan.optimizer_D.state_dict(),
        "pool_A": gan.pool_A.state_dict(),
        "pool_B": gan.pool_B.state_dict(),
        "standing": standing.state_dict(),
    }


def restore(gan: CycleGan, run: Path) -> Standing:
    """Fill ``gan`` from the newest checkpoint that can be read, or afresh; where the run stands.

    A checkpoint that cannot be read is renamed to ``torn-…`` by the first process, and said so.
    """
    for checkpoint in checkpoints(run):
        try:
            standing = _read(gan, checkpoint)
        except (CheckpointError, KeyError, ValueError, TypeError, RuntimeError) as error:
            _logger.warning("%s cannot be used, trying the one before it: %s", checkpoint, error)
            gan.world.wait()  # until everybody has found out
            if gan.world.is_first:
                checkpoint.rename(checkpoint.with_name(f"torn-{checkpoint.name}"))
            continue
        return standing
    if any((run / "checkpoints").glob("torn-*")):
        _logger.warning("%s: no checkpoint can be used; training starts again", run)
    _start_afresh(gan)
    return Standing()


def _read(gan: CycleGan, checkpoint: Path) -> Standing:
    state, position = load_state(checkpoint)
    for name, network in gan.networks().items():
        load_weights(checkpoint / f"{name}.safetensors", network)
    _load(gan.optimizer_G, state["optimizer_G"])
    _load(gan.optimizer_D, state["optimizer_D"])
    gan.pool_A.load_state_dict(state["pool_A"], gan.device)
    gan.pool_B.load_state_dict(state["pool_B"], gan.device)
    gan.num_steps = position.step
    return Standing.from_state(state["standing"], position)


def _start_afresh(gan: CycleGan) -> None:
    """Weights, optimisers and pools as ``build`` makes them, in the networks that are there."""
    fresh = build(gan.config, gan.world)
    for name, network in gan.networks().items():
        network.load_state_dict(fresh.networks()[name].state_dict())
    _load(gan.optimizer_G, fresh.optimizer_G.state_dict())
    _load(gan.optimizer_D, fresh.optimizer_D.state_dict())
    gan.pool_A, gan.pool_B = fresh.pool_A, fresh.pool_B
    gan.num_steps = 0


def _load(optimizer: torch.optim.Optimizer, state: Mapping[str, Any]) -> None:
    """Fill ``optimizer``, its moments in the memory layout of their weights.

    The fused Adam goes over memory, not over indices: moments in another layout than their weights
    (saved by a run that was compiled, say) would silently be those of other weights.
    """
    optimizer.load_state_dict(dict(state))
    for weight, moments in optimizer.state.items():
        for name, moment in moments.items():
            if isinstance(moment, Tensor) and moment.shape == weight.shape and moment.dim():
                moments[name] = torch.empty_like(weight).copy_(moment)
