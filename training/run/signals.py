"""Defers Ctrl-C and SIGTERM to the end of a training step, so that whole steps are saved."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Self

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class DeferredSignals:
    """While entered, SIGINT and SIGTERM only set ``pending``; ``deliver`` raises them.

    A second Ctrl-C is raised immediately. Outside of the main thread, where Python allows no
    handler, signals are not deferred.
    """

    def __init__(self) -> None:
        self.pending: int | None = None  # number of the signal
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._previous = {number: signal.signal(number, self._defer) for number in _SIGNALS}
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
        """Raise the pending signal, if any, for the handler that was set before ``__enter__``."""
        if self.pending is not None:
            number, self.pending = self.pending, None
            self._restore()
            signal.raise_signal(number)

    def _defer(self, number: int, _frame: FrameType | None) -> None:
        if number == self.pending == signal.SIGINT:
            self.deliver()
        self.pending = number

    def _restore(self) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous = {}
