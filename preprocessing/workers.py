"""Work on untrusted files in worker processes: one that crashes, hangs or swells costs one row."""

from __future__ import annotations

import contextlib
import faulthandler
import os
import resource
import signal
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from threading import Thread
from typing import TypeVar

import cv2

from scraping.records import SuyanError

Item = TypeVar("Item")
Result = TypeVar("Result")

_BATCH = 8  # items a worker gets at a time
_GRACE = 1.25  # of the time limit: then the process ends, as a loop inside C would never
_WALL = 10  # times the limit: a processor that is shared slows everybody down, a hang does not end
_MAX_BYTES = 1 << 30  # of private memory, for a worker


@dataclass(frozen=True)
class Lost:
    """What becomes of an item without a result: ``timed-out``, ``out-of-memory``, ``decoder-died``
    or ``unexpected-error``.
    """

    reason: str

    @property
    def may_pass(self) -> bool:
        """Whether another attempt may end otherwise: the machine, not the file, may be to blame."""
        return self.reason in {"decoder-died", "unexpected-error"}


class _TooSlow(BaseException):  # no decoder's `except Exception` may swallow it
    pass


Outcomes = list[Result | Lost]


def guarded(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    *,
    num_workers: int,
    timeout_s: float,
) -> Iterator[tuple[Item, Result | Lost]]:
    """``function`` of each item, in worker processes; pairs come as they are ready.

    ``timeout_s`` is processor time, so that a busy machine gives the same outcomes. What ran when a
    worker died is tried again one by one, so that only the culprit is lost. ``SuyanError`` and
    ``OSError`` (a missing model, a full disk) are raised: they are not the item's fault.
    """
    waiting = deque(items[at : at + _BATCH] for at in range(0, len(items), _BATCH))
    suspects: list[Item] = []
    while waiting:
        running: dict[Future[Outcomes[Result]], Sequence[Item]] = {}
        with _pool(num_workers) as pool:
            try:
                while waiting or running:
                    while waiting and len(running) < 2 * num_workers:
                        with _no_main():
                            job = pool.submit(_run_batch, function, waiting[0], timeout_s)
                        running[job] = waiting.popleft()
                    for future in wait(running, return_when=FIRST_COMPLETED).done:
                        outcomes = future.result()
                        yield from zip(running.pop(future), outcomes, strict=True)
            except BrokenProcessPool:
                suspects += (item for batch in running.values() for item in batch)
    yield from _one_by_one(function, suspects, timeout_s)


def _one_by_one(
    function: Callable[[Item], Result], items: Sequence[Item], timeout_s: float
) -> Iterator[tuple[Item, Result | Lost]]:
    waiting = deque(items)
    while waiting:
        with _pool(1) as pool:
            try:
                while waiting:
                    with _no_main():
                        job = pool.submit(_run_batch, function, [waiting[0]], timeout_s)
                    outcomes = job.result()
                    yield waiting.popleft(), outcomes[0]
            except BrokenProcessPool:
                yield waiting.popleft(), Lost("decoder-died")


def _pool(num_workers: int) -> ProcessPoolExecutor:
    # spawn: a forked copy of a process with threads (torch, OpenCV, Prefect) can hang
    return ProcessPoolExecutor(num_workers, mp_context=get_context("spawn"), initializer=_confine)


@contextlib.contextmanager
def _no_main() -> Iterator[None]:
    """Processes started meanwhile do not import what this one was started with: Prefect, say, which
    takes seconds. Functions come from modules of our own.
    """
    main = sys.modules["__main__"]
    kept = {name: vars(main).pop(name) for name in ("__spec__", "__file__") if hasattr(main, name)}
    main.__spec__ = None
    try:
        yield
    finally:
        vars(main).update(kept)


def _confine() -> None:
    Thread(target=_end_with_parent, daemon=True).start()
    cv2.setNumThreads(1)
    os.environ["OMP_NUM_THREADS"] = "1"
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # decoders in C chat about every bad file
    with contextlib.suppress(OSError, ValueError):  # not every system has this limit
        resource.setrlimit(resource.RLIMIT_DATA, (_MAX_BYTES, _MAX_BYTES))
    signal.signal(signal.SIGPROF, _interrupt)
    signal.signal(signal.SIGVTALRM, signal.SIG_DFL)  # ends the process, wherever it is


def _end_with_parent() -> None:
    """Left behind by a parent that was killed, a worker would wait for ever, and hold its output
    open: whoever reads that (Prefect's worker) would not notice the death.
    """
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _interrupt(_signal: int, _frame: object) -> None:
    raise _TooSlow


def _run_batch(
    function: Callable[[Item], Result], items: Sequence[Item], timeout_s: float
) -> Outcomes[Result]:
    return [_run(function, item, timeout_s) for item in items]


def _run(function: Callable[[Item], Result], item: Item, timeout_s: float) -> Result | Lost:
    faulthandler.dump_traceback_later(timeout_s * _WALL, exit=True, file=2)
    try:
        signal.setitimer(signal.ITIMER_VIRTUAL, timeout_s * _GRACE)
        signal.setitimer(signal.ITIMER_PROF, timeout_s)
        return function(item)
    except _TooSlow:
        return Lost("timed-out")
    except MemoryError:
        return Lost("out-of-memory")
    except (SuyanError, OSError):
        raise
    except Exception as error:
        if isinstance(error, cv2.error) and error.code == cv2.Error.StsNoMem:
            return Lost("out-of-memory")
        return Lost("unexpected-error")
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        faulthandler.cancel_dump_traceback_later()
