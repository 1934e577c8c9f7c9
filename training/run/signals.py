"""Defers Ctrl-C and SIGTERM to the end of a training step, so that whole steps are saved."""

from __future__ import annotations

import contextvars
import logging
import os
import signal
import socket
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Self

from core.language.messages import localised

_logger = logging.getLogger(__name__)
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_STEP_S = 5.0  # time that a signal leaves to the present step
_END_S = 10.0  # time after saving, in which Python has to react to SIGTERM


class DeferredSignals:
    """While entered, SIGINT and SIGTERM only set ``pending``; ``deliver`` raises them.

    A second Ctrl-C is raised immediately. A step may take longer than the sender waits before it
    kills the process (Prefect: 30 s), and Python runs no handler within torch's C++ code. Therefore
    a thread calls the function of ``call_if_late`` when the step has not ended after ``step_s``
    seconds; where that has saved the state, the signal is raised within the step, and SIGTERM ends
    the process if the step's C++ code goes on for another ``_END_S`` seconds.

    Outside of the main thread, where Python allows no handler, signals are not deferred.
    """

    def __init__(self, step_s: float = _STEP_S) -> None:
        self.pending: int | None = None  # number of the signal
        self._step_s = step_s
        self._save: Callable[[], bool] | None = None
        self._is_saved = False
        self._previous: dict[int, Any] = {}
        self._watch: _SignalWatch | None = None

    def call_if_late(self, save: Callable[[], bool]) -> None:
        """Have a thread call ``save`` when a signal was not delivered after ``step_s`` seconds;
        ``save`` returns whether the state before the present step is stored.
        """
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

    def _save_late(self, number: int) -> bool:
        """Save, and have the main thread raise the signal; returns whether the state is stored."""
        self._is_saved = self._save is not None and self._save()
        if self._is_saved:
            os.kill(os.getpid(), number)
        return self._is_saved

    def _defer(self, number: int, _frame: FrameType | None) -> None:
        if self._is_saved or number == self.pending == signal.SIGINT:
            self.pending = number
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
    """A thread that calls ``save(number)`` ``wait_s`` seconds after a signal, unless it is closed
    before.

    Python writes a signal's number to the wakeup file at once, even while C++ code computes.
    """

    def __init__(self, wait_s: float, save: Callable[[int], bool]) -> None:
        self._wait_s, self._save = wait_s, save
        self._reader, self._writer = socket.socketpair()
        self._writer.setblocking(False)
        self._is_closed = threading.Event()
        self._previous = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        context = contextvars.copy_context()  # Prefect knows by it whose log a line belongs to
        self._thread = threading.Thread(
            target=context.run, args=(self._run,), name="signal-watch", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """End the thread, after its ``save`` if that has begun. Call it in the main thread."""
        self._is_closed.set()
        signal.set_wakeup_fd(self._previous)
        self._writer.close()
        self._thread.join()
        self._reader.close()

    def _run(self) -> None:
        while received := self._reader.recv(1):
            number = received[0]
            if number not in _SIGNALS or self._is_closed.wait(self._wait_s):
                continue
            if self._save(number) and number == signal.SIGTERM:
                self._end_process(number)
            return

    def _end_process(self, number: int) -> None:
        """Exit unless the main thread raises the signal in time: a SIGKILL would look like a lack
        of memory.
        """
        if not self._is_closed.wait(_END_S):
            _logger.warning(
                localised("the process ends within a step: the state before it is stored")
            )
            logging.shutdown()
            os._exit(128 + number)
