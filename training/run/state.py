"""The state of a run besides its weights, and the resumption from a checkpoint."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from core.errors import CheckpointError, SuyanError
from core.language.messages import localised
from core.workspace_folders import CheckpointFolder, RunFolder
from training.algorithm.cyclegan import CycleGan
from training.algorithm.schedules import Plateau
from training.build import build
from training.config import TrainConfig
from training.run.checkpoint import TORN_PREFIX, Position, checkpoints, load_state, load_weights
from training.run.initial_weights import load_starting_point

_logger = logging.getLogger(__name__)
_STATE_KEY = "standing"  # of a ``TrainState`` in ``state.pt``


@dataclass
class TrainState:
    """Everything that a resumed training depends on, besides weights, optimisers and pools."""

    position: Position = field(default_factory=lambda: Position(step=0, epoch=1, batch=0))
    rate_scale: float = 1.0  # halved by every rollback
    num_rollbacks: int = 0
    plateau: Plateau = field(default_factory=Plateau)
    cycle_sum: float = 0.0  # of this epoch's cycle losses
    best_score: float = math.inf  # of all validations so far; lower is better
    num_worse: int = 0  # validations since the best one
    is_stopped: bool = False  # early, by ``patience``

    @classmethod
    def initial(cls, config: TrainConfig) -> TrainState:
        """The state before the first step; epoch 0 is the supervised steps, where there are any."""
        return cls(Position(step=0, epoch=0 if config.pseudo_steps else 1, batch=0))

    def state_dict(self) -> dict[str, Any]:
        """The state without the position, in types that ``torch.load(weights_only=True)`` reads."""
        state = asdict(self)
        del state["position"]
        return state

    @classmethod
    def from_state_dict(cls, state: Mapping[str, Any], position: Position) -> TrainState:
        """The state that a ``state_dict`` describes."""
        return cls(**{**state, "plateau": Plateau(**state["plateau"]), "position": position})


def checkpoint_state(gan: CycleGan, state: TrainState) -> dict[str, Any]:
    """The content of ``state.pt``: everything in a checkpoint but weights and position."""
    return gan.state_dict() | {_STATE_KEY: state.state_dict()}


def restore(gan: CycleGan, run: Path) -> TrainState:
    """Load the newest readable checkpoint into ``gan``; without one, give it initial weights, which
    are those of the run's starting point where it has one.

    Returns the state from which training goes on. The first process renames a checkpoint whose
    content is wrong to ``torn-…`` and logs a warning. Raises ``SuyanError``, and changes no file,
    where a checkpoint cannot be read for another reason, such as a full GPU, and
    ``CheckpointError`` for a starting point that does not fit.
    """
    for checkpoint in checkpoints(run):
        try:
            state = _load(gan, CheckpointFolder(checkpoint))
        except (OSError, RuntimeError, MemoryError) as error:
            raise SuyanError(
                localised(
                    "{checkpoint} cannot be loaded at present: {error}",
                    checkpoint=checkpoint,
                    error=error or type(error).__name__,
                ),
                remedy=localised(
                    "Every checkpoint is unchanged: run the same again when the disk can be read "
                    "and memory is free"
                ),
            ) from error
        except (CheckpointError, KeyError, ValueError, TypeError) as error:
            _logger.warning(
                localised("%s cannot be used, trying the one before it: %s"), checkpoint, error
            )
            gan.world.wait()  # every process must have tried it before it is renamed
            if gan.world.is_first:
                checkpoint.rename(checkpoint.with_name(TORN_PREFIX + checkpoint.name))
            continue
        return state
    return _start(gan, RunFolder(run))


def load_train_state(checkpoint: Path) -> TrainState:
    """The state of a checkpoint, without its weights; raises as ``load_state`` does."""
    state, position = load_state(checkpoint)
    return TrainState.from_state_dict(state[_STATE_KEY], position)


def _start(gan: CycleGan, run: RunFolder) -> TrainState:
    """Give ``gan`` the weights of the first step, and return its state."""
    if any(run.checkpoints.glob(f"{TORN_PREFIX}*")):
        _logger.warning(localised("%s: no checkpoint can be used; training starts again"), run.path)
    if gan.config.continues:
        state = _load(gan, run.starting_point)
        state.is_stopped, state.num_worse = False, 0
        return state
    _reset(gan)
    if gan.config.init_from:
        load_starting_point(gan, run.path)
    return TrainState.initial(gan.config)


def _load(gan: CycleGan, checkpoint: CheckpointFolder) -> TrainState:
    state, position = load_state(checkpoint.path)
    for name, network in gan.networks().items():
        load_weights(checkpoint.weights(name), network)
    gan.load_state_dict(state, position.step)
    return TrainState.from_state_dict(state[_STATE_KEY], position)


def _reset(gan: CycleGan) -> None:
    """Give ``gan`` the weights, optimisers and pools that ``build`` makes; keep its modules."""
    fresh = build(gan.config, gan.world, windows=gan.windows)
    for name, network in gan.networks().items():
        network.load_state_dict(fresh.networks()[name].state_dict())
    gan.load_state_dict(fresh.state_dict(), num_steps=0)
