"""Work on untrusted files in worker processes: one that crashes, hangs or swells costs one row.

The worker processes are this machine's; ``Workers`` with a ``spread`` sends batches to other
machines, where each batch has such a process.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import resource
import signal
import sys
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from threading import Thread
from typing import Any, Generic, Self, TypeVar

import cv2

from core.errors import SuyanError

Item = TypeVar("Item")
Result = TypeVar("Result")

_BATCH = 8  # items a worker gets at a time
_GRACE = 1.25  # of the time limit: then the process ends, as a loop inside C would never
_WALL = 10  # times the limit: a processor that is shared slows everybody down, a hang does not end
_MAX_BYTES = 1 << 30  # of private memory, for a worker
_MOST_BATCHES = 100  # that are spread out: each costs an orchestrator a row
_LEAST_IN_BATCH = 16  # items of a batch that is spread out: each starts a process

Spread = Callable[[Callable[[Sequence[Any]], Any], Sequence[Sequence[Any]]], Iterator[Any]]
"""``spread(function, batches)``: ``function`` of each batch, anywhere; results as they are ready.

A batch whose machine dies is done again by another one.
"""


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


class Workers:
    """Worker processes that last from one job to the next; a context manager that ends them.

    ``timeout_s`` is processor time for an item, so that a busy machine gives the same outcomes.
    With ``spread``, jobs that may run anywhere go to other machines.
    """

    def __init__(self, num_workers: int, timeout_s: float, spread: Spread | None = None) -> None:
        self._num, self._timeout_s, self._spread = num_workers, timeout_s, spread
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._end()

    def each(
        self,
        function: Callable[[Item], Result],
        items: Sequence[Item],
        *,
        anywhere: bool = False,
        meanwhile: Iterator[object] = iter(()),  # noqa: B008  (an empty one stays empty)
    ) -> Iterator[tuple[Item, Result | Lost]]:
        """``function`` of each item, in worker processes; pairs come as they are ready.

        ``anywhere``: other machines may do it, as the files it reads and writes are theirs too.
        ``meanwhile`` is this process's own work in small steps, which is gone on with only while
        there is nothing but to wait; what is left of it is the caller's to do, or not.

        What ran when a worker died is tried again one by one, so that only the culprit is lost.
        ``SuyanError`` and ``OSError`` (a missing model, a full disk) are raised: they are not the
        item's fault.
        """
        if anywhere and self._spread is not None:
            yield from _spread_out(function, items, spread=self._spread, timeout_s=self._timeout_s)
            return
        size = max(1, min(_BATCH, len(items) // (4 * self._num)))
        waiting = deque(items[at : at + size] for at in range(0, len(items), size))
        suspects: list[Item] = []
        while waiting:
            running: dict[Future[Outcomes[Result]], Sequence[Item]] = {}
            try:
                while waiting or running:
                    while waiting and len(running) < 2 * self._num:
                        running[self._submit(function, waiting[0])] = waiting[0]
                        waiting.popleft()
                    for future in _first_done(running, meanwhile):
                        outcomes = future.result()
                        yield from zip(running.pop(future), outcomes, strict=True)
            except BrokenProcessPool:
                self._end()
                suspects += (item for batch in running.values() for item in batch)
        yield from _one_by_one(function, suspects, self._timeout_s)

    def dismiss(self) -> None:
        """Let the processes end while the caller goes on; another job would start new ones."""
        if self._pool:
            self._pool.shutdown(wait=False)
        self._pool = None

    def _submit(
        self, function: Callable[[Item], Result], items: Sequence[Item]
    ) -> Future[Outcomes[Result]]:
        self._pool = self._pool or _pool(self._num)
        with _no_main():
            return self._pool.submit(_run_batch, function, items, self._timeout_s)

    def _end(self) -> None:
        if self._pool:
            self._pool.shutdown(cancel_futures=True)
        self._pool = None


def guarded(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    *,
    num_workers: int,
    timeout_s: float,
) -> Iterator[tuple[Item, Result | Lost]]:
    """``Workers.each`` for one job alone."""
    with Workers(num_workers, timeout_s) as workers:
        yield from workers.each(function, items)


def _spread_out(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    *,
    spread: Spread,
    timeout_s: float,
) -> Iterator[tuple[Item, Result | Lost]]:
    """``guarded`` over many machines: the same pairs, in another order."""
    size = max(_LEAST_IN_BATCH, -(-len(items) // _MOST_BATCHES))
    batches = [items[at : at + size] for at in range(0, len(items), size)]
    for pairs in spread(_GuardedBatch(function, timeout_s), batches):
        yield from pairs


@dataclass(frozen=True)
class _GuardedBatch(Generic[Item, Result]):
    function: Callable[[Item], Result]
    timeout_s: float

    def __call__(self, items: Sequence[Item]) -> list[tuple[Item, Result | Lost]]:
        return list(guarded(self.function, items, num_workers=1, timeout_s=self.timeout_s))


def _first_done(
    running: Collection[Future[Outcomes[Result]]], meanwhile: Iterator[object]
) -> set[Future[Outcomes[Result]]]:
    for _ in meanwhile:
        if done := {future for future in running if future.done()}:
            return done
    return wait(running, return_when=FIRST_COMPLETED).done


def _one_by_one(
    function: Callable[[Item], Result], items: Sequence[Item], timeout_s: float
) -> Iterator[tuple[Item, Result | Lost]]:
    waiting = deque(items)
    while waiting:
        with _pool(1) as pool:
            _require_start(pool)
            try:
                while waiting:
                    with _no_main():
                        job = pool.submit(_run_batch, function, [waiting[0]], timeout_s)
                    outcomes = job.result()
                    yield waiting.popleft(), outcomes[0]
            except BrokenProcessPool:
                yield waiting.popleft(), Lost("decoder-died")


def _require_start(pool: ProcessPoolExecutor) -> None:
    """Raise ``SuyanError`` where no process can start: then no item is to blame."""
    try:
        with _no_main():
            first = pool.submit(os.getpid)
        first.result()
    except BrokenProcessPool as error:
        raise SuyanError(
            "worker processes end as soon as they start, so no picture can be opened; needed: a "
            "main programme that can be imported (a file that calls prepare() only below "
            "`if __name__ == '__main__':`, not a script read from standard input), and enough "
            "memory. What the process wrote is above"
        ) from error


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
