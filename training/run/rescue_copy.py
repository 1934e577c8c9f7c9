"""A copy of a run's state after a whole step, to save while the next step still computes."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from core.language.messages import localised
from training.algorithm.cyclegan import CycleGan
from training.run.checkpoint import Position, save_checkpoint
from training.run.state import TrainState, checkpoint_state

_logger = logging.getLogger(__name__)
_LEAST_STEP_S = 2.0  # shorter steps end, and are saved, before anybody kills the process
_INTERVAL_S = 20.0  # between two copies; longer steps are copied each


@dataclass(frozen=True)
class _Copy:
    position: Position
    weights: dict[str, dict[str, Tensor]]
    state: dict[str, Any]


class RescueCopy:
    """Copies the state of a run whose steps take seconds, at most once in ``_INTERVAL_S`` seconds.

    The networks change while a step computes, so only a copy can be saved at that time. It takes as
    much memory as weights and optimisers, and about 0.2 s for the paper's network.
    """

    def __init__(
        self, gan: CycleGan, run: Path, step: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._gan, self._run, self._clock = gan, run, clock
        self._copy: _Copy | None = None
        self.lock = threading.RLock()
        """Held while a checkpoint is written, by whichever thread."""
        self.restart(step)

    def restart(self, step: int) -> None:
        """Drop the copy: the checkpoint of ``step`` was saved or loaded just now."""
        with self.lock:
            self._copy = None
            self._step = self._saved_step = step
            self._copied_at = self._stepped_at = self._clock()

    def after_step(self, state: TrainState, *, now: bool = False) -> None:
        """Copy the state if the step was long and the last copy is old, or if it is to be done
        ``now``, before something that takes long.
        """
        self._step = state.position.step
        time_s = self._clock()
        step_s, self._stepped_at = time_s - self._stepped_at, time_s
        if not now and (step_s < _LEAST_STEP_S or time_s - self._copied_at < _INTERVAL_S):
            return
        with self.lock:
            self._copy = None  # first, so that there are never two
            self._copy = _Copy(
                state.position,
                {name: _copied(net.state_dict()) for name, net in self._gan.networks().items()},
                _copied(checkpoint_state(self._gan, state)),
            )
            self._copied_at = time_s

    def save(self) -> bool:
        """Write the copy as a checkpoint, if there is one; any thread may call this.

        Returns whether the state after the last whole step is stored, or one that is a few seconds
        older.
        """
        with self.lock:
            copy, self._copy = self._copy, None
            if copy is None:
                return self._step == self._saved_step
            config = self._gan.config
            try:
                path = save_checkpoint(self._run, copy.position, config, copy.weights, copy.state)
            except OSError as error:
                _logger.warning(localised("the state after step %d: %s"), copy.position.step, error)
                return False
            _logger.warning(
                localised(
                    "stopped by a signal during a long step: the state before it is saved as %s; "
                    "run "
                    "the same again to go on"
                ),
                path,
            )
            return True


def _copied(value: Any) -> Any:
    """``value`` with copies of all tensors in it, in the memory of the CPU."""
    if isinstance(value, Tensor):
        return value.detach().to("cpu", copy=True)
    if isinstance(value, dict):
        return {key: _copied(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_copied(item) for item in value]
    return value
