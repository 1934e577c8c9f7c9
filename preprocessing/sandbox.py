"""Worker processes for untrusted files: a file that crashes its process, hangs or fills the memory
costs one row only.

The processes run on this machine. A ``WorkerPool`` with ``map_batches`` sends batches to other
machines, each of which runs its batch in such a process.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any, Generic, Self

from core.errors import SuyanError
from core.language.messages import localised
from preprocessing.sandbox_worker import (
    Failure,
    FailureReason,
    Item,
    Outcomes,
    Result,
    confine,
    run_batch,
)

_ITEMS_PER_BATCH = 8  # of a worker
_MAX_REMOTE_BATCHES = 100  # the orchestrator has a row for each
_MIN_ITEMS_PER_REMOTE_BATCH = 16  # each batch starts a process

MapBatches = Callable[[Callable[[Sequence[Any]], Any], Sequence[Sequence[Any]]], Iterator[Any]]
"""``map_batches(function, batches)`` calls ``function`` for each batch on any machine; the results
come as they are ready. A batch whose machine dies is run again on another one.
"""


class WorkerPool:
    """Worker processes that stay alive between jobs; a context manager, which ends them.

    ``timeout_s`` limits the processor time of an item, so that a busy machine gives the same
    outcomes. With ``map_batches``, jobs that may run remotely go to other machines.
    """

    def __init__(
        self, num_workers: int, timeout_s: float, map_batches: MapBatches | None = None
    ) -> None:
        self._num, self._timeout_s, self._map_batches = num_workers, timeout_s, map_batches
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._end()

    def map_unordered(
        self,
        function: Callable[[Item], Result],
        items: Sequence[Item],
        *,
        may_run_remotely: bool = False,
        idle_work: Iterator[object] = iter(()),  # noqa: B008  (an empty one stays empty)
    ) -> Iterator[tuple[Item, Result | Failure]]:
        """Call ``function`` for each item in worker processes; (item, result) as they are ready.

        ``may_run_remotely``: other machines see the files that it reads and writes. ``idle_work``
        is an iterator whose steps this process takes while it waits for workers; the caller takes
        the steps that are left afterwards.

        When a worker dies, the items that it had begun are tried again one by one, so that only the
        item that killed it is lost. ``SuyanError`` and ``OSError`` (a missing model, a full disk)
        are raised, because no item causes them.
        """
        if may_run_remotely and self._map_batches is not None:
            yield from _map_remotely(
                function, items, map_batches=self._map_batches, timeout_s=self._timeout_s
            )
            return
        size = max(1, min(_ITEMS_PER_BATCH, len(items) // (4 * self._num)))
        waiting = deque(items[at : at + size] for at in range(0, len(items), size))
        suspects: list[Item] = []
        while waiting:
            running: dict[Future[Outcomes[Result]], Sequence[Item]] = {}
            try:
                while waiting or running:
                    while waiting and len(running) < 2 * self._num:
                        running[self._submit(function, waiting[0])] = waiting[0]
                        waiting.popleft()
                    for future in _first_done(running, idle_work):
                        outcomes = future.result()
                        yield from zip(running.pop(future), outcomes, strict=True)
            except BrokenProcessPool:
                self._end()
                suspects += (item for batch in running.values() for item in batch)
        yield from _one_by_one(function, suspects, self._timeout_s)

    def release(self) -> None:
        """End the processes without waiting for them; another job starts new ones."""
        if self._pool:
            self._pool.shutdown(wait=False)
        self._pool = None

    def _submit(
        self, function: Callable[[Item], Result], items: Sequence[Item]
    ) -> Future[Outcomes[Result]]:
        self._pool = self._pool or _build_pool(self._num)
        with _no_main():
            return self._pool.submit(run_batch, function, items, self._timeout_s)

    def _end(self) -> None:
        if self._pool:
            self._pool.shutdown(cancel_futures=True)
        self._pool = None


def map_sandboxed(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    *,
    num_workers: int,
    timeout_s: float,
) -> Iterator[tuple[Item, Result | Failure]]:
    """``WorkerPool.map_unordered`` for a single job."""
    with WorkerPool(num_workers, timeout_s) as workers:
        yield from workers.map_unordered(function, items)


def _map_remotely(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    *,
    map_batches: MapBatches,
    timeout_s: float,
) -> Iterator[tuple[Item, Result | Failure]]:
    """``map_sandboxed`` on many machines: the same pairs, in another order."""
    size = max(_MIN_ITEMS_PER_REMOTE_BATCH, -(-len(items) // _MAX_REMOTE_BATCHES))
    batches = [items[at : at + size] for at in range(0, len(items), size)]
    for pairs in map_batches(_SandboxedBatch(function, timeout_s), batches):
        yield from pairs


@dataclass(frozen=True)
class _SandboxedBatch(Generic[Item, Result]):
    function: Callable[[Item], Result]
    timeout_s: float

    def __call__(self, items: Sequence[Item]) -> list[tuple[Item, Result | Failure]]:
        return list(map_sandboxed(self.function, items, num_workers=1, timeout_s=self.timeout_s))


def _first_done(
    running: Collection[Future[Outcomes[Result]]], idle_work: Iterator[object]
) -> set[Future[Outcomes[Result]]]:
    for _ in idle_work:
        if done := {future for future in running if future.done()}:
            return done
    return wait(running, return_when=FIRST_COMPLETED).done


def _one_by_one(
    function: Callable[[Item], Result], items: Sequence[Item], timeout_s: float
) -> Iterator[tuple[Item, Result | Failure]]:
    waiting = deque(items)
    while waiting:
        with _build_pool(1) as pool:
            _require_start(pool)
            try:
                while waiting:
                    with _no_main():
                        job = pool.submit(run_batch, function, [waiting[0]], timeout_s)
                    outcomes = job.result()
                    yield waiting.popleft(), outcomes[0]
            except BrokenProcessPool:
                yield waiting.popleft(), Failure(FailureReason.DECODER_DIED)


def _require_start(pool: ProcessPoolExecutor) -> None:
    """Raise ``SuyanError`` if no process can start, since then no item is the cause."""
    try:
        with _no_main():
            first = pool.submit(os.getpid)
        first.result()
    except BrokenProcessPool as error:
        raise SuyanError(
            localised(
                "worker processes end as soon as they start, so no picture can be opened. "
                "They need a main programme that can be imported (a file that calls "
                "prepare() only below `if __name__ == '__main__':`, not a script read from "
                "standard input) and enough memory. The message of the process is above"
            )
        ) from error


def _build_pool(num_workers: int) -> ProcessPoolExecutor:
    # spawn: a fork of a process with threads (torch, OpenCV, Prefect) can hang
    return ProcessPoolExecutor(num_workers, mp_context=get_context("spawn"), initializer=confine)


@contextlib.contextmanager
def _no_main() -> Iterator[None]:
    """Keep processes that start during the block from importing the main programme of this one.

    That may be Prefect, whose import takes seconds, and the processes need only our own modules.
    """
    main = sys.modules["__main__"]
    saved = {name: vars(main).pop(name) for name in ("__spec__", "__file__") if hasattr(main, name)}
    main.__spec__ = None
    try:
        yield
    finally:
        vars(main).update(saved)
