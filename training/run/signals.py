"""Ctrl-C and SIGTERM wait for the end of a training step, so that what is saved is whole."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Self

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class DeferredSignals:
    """While entered, SIGINT and SIGTERM only set ``pending``; ``deliver`` lets them happen.

    A second Ctrl-C does not wait. Outside of the main thread, where no handler can be set, nothing
    is deferred.
    """

    def __init__(self) -> None:
        self.pending: int | None = None
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._previous = {number: signal.signal(number, self._note) for number in _SIGNALS}
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._restore()
        if error is None:
            self.deliver()

    def deliver(self) -> None:
        """Give a pending signal to whoever handled it before; returns when there is none."""
        if self.pending is not None:
            number, self.pending = self.pending, None
            self._restore()
            signal.raise_signal(number)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        if number == self.pending == signal.SIGINT:
            self.deliver()
        self.pending = number

    def _restore(self) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous = {}
