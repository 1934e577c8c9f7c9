"""Whose photograph is translated next: first come, first served, one at a time."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

_LOOK_PERIOD_S = 0.2  # how often a waiting visit looks whether it is cancelled


@dataclass(eq=False)
class Visit:
    """A visitor's wish for turns: a single photograph, or those of a batch, one turn for each."""

    is_impatient: bool = True  # whether it gives up when the queue is long
    cancelled: threading.Event = field(default_factory=threading.Event)
    place: int | None = None  # photographs before its own; 0: it has its turn; None: not waiting


class VisitorQueue:
    """Photographs of all visitors in one row. A batch joins anew, at the end, for each of its own.

    So a single photograph waits for one of each batch at most.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._visits: deque[Visit] = deque()

    @contextmanager
    def turn(self, visit: Visit, max_wait_s: float | None) -> Iterator[bool]:
        """Waits for the visit's turn, which lasts as long as the block.

        The value is whether it has its turn: not after ``max_wait_s`` (``None``: no limit), and not
        once it is cancelled.
        """
        ends_at = None if max_wait_s is None else time.monotonic() + max_wait_s
        with self._changed:
            self._visits.append(visit)
            self._number()
            while (
                self._visits[0] is not visit
                and not visit.cancelled.is_set()
                and (ends_at is None or time.monotonic() < ends_at)
            ):
                self._changed.wait(_LOOK_PERIOD_S)
            has_turn = self._visits[0] is visit and not visit.cancelled.is_set()
        try:
            yield has_turn
        finally:
            with self._changed:
                self._visits.remove(visit)
                visit.place = None
                self._number()
                self._changed.notify_all()

    def _number(self) -> None:
        for place, visit in enumerate(self._visits):
            visit.place = place
