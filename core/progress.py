"""Progress of a stage: the callback that receives it, and one that writes log lines; durations and
counts in words.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from core.language.messages import language, localised

Progress = Callable[[str, int, int | None, str], None]
"""``progress(stage, done, total, message)``: called a few times a second at most.

``total`` is ``None`` while unknown. Called from the thread that called the stage's function.
"""


def silent(stage: str, done: int, total: int | None, message: str) -> None:
    """A ``Progress`` that shows nothing."""


class LogProgress:
    """A ``Progress`` that logs a line every ``every_s`` seconds at most.

    In a long stage lines come less often: after another hundredth of its time so far. A line names
    the stage, how far it is and, as soon as two steps gave a rate, the time left: the first step
    of a stage does not count, since it compiles, starts workers and fills caches. The last step of
    a stage is always logged; a stage of one step is logged once.
    """

    def __init__(
        self,
        log: Callable[[str], None],
        every_s: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._log = log
        self._every_s = every_s
        self._clock = clock
        self._stage = ""
        self._started_at = 0.0
        self._warm: tuple[float, int] | None = None  # time and `done` after the stage's first step
        self._first_done = 0
        self._logged_at = float("-inf")
        self._last_line = ""

    def __call__(self, stage: str, done: int, total: int | None, message: str) -> None:
        now = self._clock()
        if stage != self._stage:
            self._stage, self._started_at, self._logged_at = stage, now, float("-inf")
            self._first_done, self._warm = done, None
        elif self._warm is None and done > self._first_done:
            self._warm = now, done
        if total == 1 and self._logged_at > float("-inf"):
            return  # a stage of one step: its begin was logged, and the next stage shows its end
        finished = total is not None and done >= total
        pause_s = max(self._every_s, (now - self._started_at) / 100)
        if now - self._logged_at < pause_s and not finished:
            return
        measure = "" if total == 1 else f" {self._measure(done, total, now)}"
        line = " · ".join(filter(None, [f"{localised(stage)}{measure}", message]))
        if line != self._last_line:
            self._log(line)
        self._logged_at, self._last_line = now, line

    def _measure(self, done: int, total: int | None, now: float) -> str:
        if total is None:
            return f"{done}"
        text = f"{done}/{total} ({100 * done // max(total, 1)} %)"
        warm_at, warm_done = self._warm or (now, done)
        if warm_done < done < total:
            remaining_s = (now - warm_at) * (total - done) / (done - warm_done)
            text += localised(", about {duration} left", duration=duration(remaining_s))
        return text


def duration(seconds: float) -> str:
    """``seconds`` in words: ``"40 s"``, ``"3 min 20 s"``, ``"2 h 05 min"``."""
    whole = round(seconds)
    if whole < 60:
        return localised("{s} s", s=whole)
    if whole < 3600:
        return localised("{min} min {s:02d} s", min=whole // 60, s=whole % 60)
    return localised("{h} h {min:02d} min", h=whole // 3600, min=whole % 3600 // 60)


def counted(num: int, noun: str) -> str:
    """``num`` and ``noun`` in the person's language: ``"1 original"``, ``"2 originals"``, ``"2 rows
    of the cache"``.
    """
    text = localised(f"{{num}} {noun}", num=num)
    if num == 1 or language() == "zh":
        return text
    return text.replace(" of ", "s of ", 1) if " of " in noun else f"{text}s"
