"""The number of CPU threads that a training computes with, chosen by measuring.

Where other programs use the same cores, the threads of an operation wait for each other, and one
thread can be several times as fast as one for each core. Results differ in their last bits with the
number of threads; ``num_threads`` in the configuration fixes it.
"""

from __future__ import annotations

import logging
import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

import torch

from core.language.messages import localised
from training.algorithm.cyclegan import CycleGan
from training.build import plain_generators

_logger = logging.getLogger(__name__)
_LEAST_GAIN = 1.2  # factor by which another number must be faster to be taken
_LEAST_GAIN_COMPILED = 2.0  # later in a compiled run, since its blocks are compiled again
_LEAST_MEASURED_S = 0.3
_NUM_RECENT_STEPS = 5
_FALL = 2.0  # factor by which steps must have become slower for a new choice at once
_COSTS_BETWEEN = 10.0  # least time between two choices, in durations of a choice
_COSTS_BETWEEN_CHECKS = 100.0  # after this time, a choice is made in any case
_BETWEEN_CHECKS_S = 120.0  # and this one


class ThreadCount:
    """Chooses among ``counts``, and sets torch's number of threads; restores it on leaving.

    ``measure`` returns the seconds that some work takes with a number of threads. With fewer than
    two ``counts`` nothing is measured or set. A new choice is made when steps have become much
    slower, and from time to time, because cores become free again.
    """

    def __init__(
        self,
        counts: Sequence[int],
        measure: Callable[[int], float],
        *,
        is_compiled: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._counts = counts if len(counts) > 1 else ()
        self._measure, self._is_compiled, self._clock = measure, is_compiled, clock
        self._previous = self._present = torch.get_num_threads()
        self._recent_s = deque[float](maxlen=_NUM_RECENT_STEPS)
        self._fastest_s = math.inf
        self._cost_s = self._chosen_at = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._counts:
            torch.set_num_threads(self._previous)

    def choose(self, least_gain: float = _LEAST_GAIN) -> None:
        """Measure every number of threads, and take the fastest unless it gains too little."""
        if not self._counts:
            return
        began = self._clock()
        seconds = {count: self._measure(count) for count in self._counts}
        fastest = min(seconds, key=seconds.__getitem__)
        gain = seconds[self._present] / max(seconds[fastest], 1e-9)
        if gain >= least_gain:
            _logger.warning(
                localised(
                    "trains with %d of %d CPU threads, measured as %.1f times as fast as %d at "
                    "present"
                ),
                fastest, max(self._counts), gain, self._present,
            )  # fmt: skip
            self._present = fastest
        torch.set_num_threads(self._present)
        self._chosen_at = self._clock()
        self._cost_s = self._chosen_at - began
        self._recent_s.clear()
        self._fastest_s = math.inf

    def after_step(self, seconds: float) -> None:
        """Choose again where it is due, after a step that took ``seconds``."""
        if not self._counts:
            return
        self._recent_s.append(seconds)
        if len(self._recent_s) < _NUM_RECENT_STEPS:
            return
        mean_s = sum(self._recent_s) / _NUM_RECENT_STEPS
        self._fastest_s = min(self._fastest_s, mean_s)
        since_s = self._clock() - self._chosen_at
        is_slow = mean_s > _FALL * self._fastest_s and since_s > _COSTS_BETWEEN * self._cost_s
        if is_slow or since_s > max(_COSTS_BETWEEN_CHECKS * self._cost_s, _BETWEEN_CHECKS_S):
            self.choose(_LEAST_GAIN_COMPILED if self._is_compiled else _LEAST_GAIN)


def build_thread_count(gan: CycleGan, *, is_compiled: bool) -> ThreadCount:
    """The choice among all threads, half of them and one, for a run of one process on a CPU whose
    configuration fixes none; the work measured is a translation of one batch.
    """
    most = torch.get_num_threads()
    is_free = gan.config.num_threads == 0 and gan.device.type == "cpu" and gan.world.size == 1
    counts = sorted({most, max(most // 2, 1), 1}) if is_free else []

    @torch.no_grad()
    def measure(count: int) -> float:
        torch.set_num_threads(count)
        generator, _ = plain_generators(gan)
        px = gan.config.crop_px
        batch = torch.zeros(gan.config.batch_size, 3, px, px)
        generator(batch)  # starts the threads
        began, num = time.perf_counter(), 0
        while num < 1 or time.perf_counter() - began < _LEAST_MEASURED_S:
            generator(batch)
            num += 1
        return (time.perf_counter() - began) / num

    return ThreadCount(counts, measure, is_compiled=is_compiled)
