"""Defers Ctrl-C and SIGTERM to the end of a training step, so that whole steps are saved."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Self

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_STEP_S = 5.0  # time that a signal leaves to the present step


class DeferredSignals:
    """While entered, SIGINT and SIGTERM only set ``pending``; ``deliver`` raises them.

    A second Ctrl-C is raised immediately. A step may take longer than the sender waits before it
    kills the process (Prefect: 30 s), and Python runs no handler within torch's C++ code: therefore
    a thread calls the function of ``call_if_late`` when the step has not ended after ``step_s``
    seconds. Outside of the main thread, where Python allows no handler, signals are not deferred.
    """

    def __init__(self, step_s: float = _STEP_S) -> None:
        self.pending: int | None = None  # number of the signal
        self._step_s = step_s
        self._save: Callable[[], None] | None = None
        self._previous: dict[int, Any] = {}
        self._watch: _SignalWatch | None = None

    def call_if_late(self, save: Callable[[], None]) -> None:
        """Have a thread call ``save`` when a signal was not delivered after ``step_s`` seconds."""
        self._save = save

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._previous = {number: signal.signal(number, self._defer) for number in _SIGNALS}
            self._watch = _SignalWatch(self._step_s, self._save_late)
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._restore()
        if error is None or isinstance(error, Exception):
            # A signal to the whole group also ends torch's compiler, whose error would hide it.
            self.deliver()

    def deliver(self) -> None:
        """Raise the pending signal, if any, for the handler that was set before ``__enter__``."""
        if self.pending is not None:
            number, self.pending = self.pending, None
            self._restore()
            signal.raise_signal(number)

    def _save_late(self) -> None:
        if self._save is not None:
            self._save()

    def _defer(self, number: int, _frame: FrameType | None) -> None:
        if number == self.pending == signal.SIGINT:
            self.deliver()
        self.pending = number

    def _restore(self) -> None:
        if self._watch is not None:
            self._watch.close()
            self._watch = None
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous = {}


class _SignalWatch:
    """A thread that calls ``save`` ``wait_s`` seconds after a signal, unless it is closed before.

    Python writes a signal's number to the wakeup file at once, even while C++ code computes.
    """

    def __init__(self, wait_s: float, save: Callable[[], None]) -> None:
        self._wait_s, self._save = wait_s, save
        self._reader, self._writer = socket.socketpair()
        self._writer.setblocking(False)
        self._is_closed = threading.Event()
        self._previous = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        self._thread = threading.Thread(target=self._run, name="signal-watch", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread, after its ``save`` if that has begun. Call it in the main thread."""
        self._is_closed.set()
        signal.set_wakeup_fd(self._previous)
        self._writer.close()
        if threading.current_thread() is not self._thread:
            self._thread.join()
        self._reader.close()

    def _run(self) -> None:
        while number := self._reader.recv(1):
            if number[0] in _SIGNALS and not self._is_closed.wait(self._wait_s):
                self._save()
                return
