"""The code that runs inside a worker process: its limits, and the loop over a batch of items."""

from __future__ import annotations

import contextlib
import faulthandler
import os
import resource
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from multiprocessing import parent_process
from threading import Thread
from typing import TypeVar

import cv2

from core.errors import SuyanError

Item = TypeVar("Item")
Result = TypeVar("Result")

_KILL_FACTOR = 1.25  # times the time limit: ends the process even if a loop in C ignores the limit
_WALL_CLOCK_FACTOR = 10  # times the time limit: waiting for a busy processor is no hang
_MAX_WORKER_BYTES = 1 << 30  # of private memory


class FailureReason(StrEnum):
    """The reason why an item has no result; the manifest has it too."""

    TIMED_OUT = "timed-out"
    OUT_OF_MEMORY = "out-of-memory"
    DECODER_DIED = "decoder-died"
    UNEXPECTED_ERROR = "unexpected-error"


@dataclass(frozen=True)
class Failure:
    """The outcome of an item without a result."""

    reason: FailureReason

    @property
    def is_transient(self) -> bool:
        """Whether another attempt may succeed, because the machine may be the cause."""
        return self.reason in {FailureReason.DECODER_DIED, FailureReason.UNEXPECTED_ERROR}


class _TimeLimitError(BaseException):
    """An item took too long. Not an ``Exception``, which a decoder might swallow."""


Outcomes = list[Result | Failure]


def confine() -> None:
    """Limit this process to one thread and its memory, and end it with its parent."""
    Thread(target=_end_with_parent, daemon=True).start()
    cv2.setNumThreads(1)
    os.environ["OMP_NUM_THREADS"] = "1"
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # C decoders print a line for every bad file
    with contextlib.suppress(OSError, ValueError):  # not every system has this limit
        resource.setrlimit(resource.RLIMIT_DATA, (_MAX_WORKER_BYTES, _MAX_WORKER_BYTES))
    signal.signal(signal.SIGPROF, _interrupt)
    signal.signal(signal.SIGVTALRM, signal.SIG_DFL)  # ends the process, even in C code


def _end_with_parent() -> None:
    """End this process when its parent was killed.

    Otherwise it would wait for ever with its output open, and the reader of that output (Prefect's
    worker) would not notice the parent's death.
    """
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _interrupt(_signal: int, _frame: object) -> None:
    raise _TimeLimitError


def run_batch(
    function: Callable[[Item], Result], items: Sequence[Item], timeout_s: float
) -> Outcomes[Result]:
    """``function`` of each item, or its ``Failure``; ``timeout_s`` is processor time for an item.

    ``SuyanError`` and ``OSError`` are raised, because no item causes them.
    """
    return [_run(function, item, timeout_s) for item in items]


def _run(function: Callable[[Item], Result], item: Item, timeout_s: float) -> Result | Failure:
    faulthandler.dump_traceback_later(timeout_s * _WALL_CLOCK_FACTOR, exit=True, file=2)
    try:
        signal.setitimer(signal.ITIMER_VIRTUAL, timeout_s * _KILL_FACTOR)
        signal.setitimer(signal.ITIMER_PROF, timeout_s)
        return function(item)
    except _TimeLimitError:
        return Failure(FailureReason.TIMED_OUT)
    except MemoryError:
        return Failure(FailureReason.OUT_OF_MEMORY)
    except (SuyanError, OSError):
        raise
    except Exception as error:
        if isinstance(error, cv2.error) and error.code == cv2.Error.StsNoMem:
            return Failure(FailureReason.OUT_OF_MEMORY)
        return Failure(FailureReason.UNEXPECTED_ERROR)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        faulthandler.cancel_dump_traceback_later()
