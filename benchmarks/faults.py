"""Real faults, inflicted on runs of the deployments, and the cost of each.

Server, worker and runs are real, the search engine is the offline one. Each fault hits a run at a
known moment; then the run's state in Prefect is read, and the run is started again. ``lost`` counts
originals that are missing or fetched again, checkpoints that were not resumed from, and results
that differ from those of an undisturbed run.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import fault_stand
import fault_traces as traces

from flows.concurrency import device_limit, engine_limit, run_limit


@dataclass(frozen=True)
class FaultResult:
    """One row of the table."""

    fault: str
    state: str  # of the run in Prefect, after the fault
    expected: str
    seconds: float  # from the fault to that state
    detail: str  # from the message of the next run
    lost: int

    @property
    def is_expected(self) -> bool:
        return self.state in self.expected.split(" or ")


class Matrix:
    """All faults on one stand, compared with the results of an undisturbed run."""

    def __init__(self, folder: Path, only: list[str]) -> None:
        self._folder = folder
        self._only = only
        self._stand = fault_stand.Stand(folder / "stand")
        self.results: list[FaultResult] = []

    def run(self, *, quick: bool) -> None:
        """Inflict one fault after another; print a row of the table at the end of each."""
        try:
            with ThreadPoolExecutor(1) as executor:  # the server takes its time to start
                reference = executor.submit(traces.reference, self._folder / "reference")
                self._stand.up()
                limits = [run_limit(flow, "seasons") for flow in ("train", "crawl", "pipeline")]
                limits += [device_limit("cpu"), engine_limit(traces.ENGINE_URL)]
                self._stand.allow(5, *limits)
                self._reference = reference.result()
            print(
                f"\n{'fault':<46}{'state':<11}{'after':>7}  {'lost':>4}  the next run", flush=True
            )
            self._kill_run()
            if not quick:
                self._stop_training()
                self._hurt_services()
                self._hurt_crawl()
                self._hurt_stages()
                self._zombies()
        finally:
            self._stand.down()

    # ── training ──────────────────────────────────────────────────────────────────────────────

    def _kill_run(self) -> None:
        stand = self._stand
        self._train("kill -9 of the run, training", "Crashed", lambda _: stand.kill(*stand.runs()))

    def _stop_training(self) -> None:
        stand = self._stand
        self._train("cancelled in the UI, training", "Cancelled", stand.cancel, saves=True)
        self._train(
            "SIGTERM to the run, training",
            "Crashed",
            lambda _: stand.kill(*stand.runs(), number=signal.SIGTERM),
            saves=True,
        )

        def down_and_up(_: UUID) -> None:
            stand.down()
            stand.up()

        self._train("suyan down, training", "Crashed", down_and_up, saves=True)

    def _hurt_services(self) -> None:
        stand = self._stand

        def kill_worker(_: UUID) -> None:
            stand.kill(stand.worker)
            stand.up()

        def worker_stopped(_: UUID) -> None:
            stand.kill(stand.worker, number=signal.SIGTERM)
            stand.up()

        def restart(number: int) -> Callable[[UUID], None]:
            def inflict(_: UUID) -> None:
                stand.kill_server(number)
                time.sleep(3)
                stand.up()

            return inflict

        self._train("kill -9 of the worker, training", "Completed", kill_worker)
        self._train("SIGTERM to the worker, training", "Crashed", worker_stopped, saves=True)
        self._train("server restarted, training", "Completed", restart(signal.SIGTERM))
        self._train("kill -9 of the server, training", "Completed", restart(signal.SIGKILL))

    def _zombies(self) -> None:
        """Faults that only missing heartbeats reveal, two minutes later: all are waited for
        together.
        """
        stand = self._stand

        def both_killed(_: UUID) -> None:
            worker, runs = stand.worker, stand.runs()
            stand.kill(worker, *runs)
            stand.up()

        def machine(_: UUID) -> None:
            worker, runs = stand.worker, stand.runs()
            stand.kill(worker, *runs)
            stand.kill_server()
            time.sleep(3)
            stand.up()

        looks = []
        with traces.engine():
            looks.append(self._crawl("kill -9 of run and worker", "Crashed", both_killed,
                                     later=True))  # fmt: skip
            looks.append(self._train("kill -9 of run, worker and server", "Crashed", machine,
                                     later=True))  # fmt: skip
            for look in looks:
                look()

    def _train(
        self, fault: str, expected: str, inflict: Callable[[UUID], None], *, saves: bool = False,
        later: bool = False,
    ) -> Callable[[], None]:  # fmt: skip
        """Inflict a fault on a training after its first checkpoints. ``saves``: it must save before
        it ends.
        """
        home = self._workspace(fault)
        shutil.copytree(self._reference.dataset, home / "datasets" / self._reference.dataset.name)
        parameters = {
            "parameters": {"recipe": "seasons", "train": traces.TRAINING},
            "dataset": self._reference.dataset.name,
            "workspace": str(home),
        }

        def ready(_: UUID) -> bool:
            return traces.newest_step(home) >= 6

        def lost(before: int, message: str) -> int:
            went_on = re.search(r"went on from step (\d+)", message)
            start = int(went_on[1]) if went_on else 0
            num = int(went_on is not None and start < before)
            num += int(went_on is None and "steps" not in message)
            return num + int(traces.weights(home) != self._reference.weights)

        def before() -> int:
            return traces.last_logged(home) if saves else traces.newest_step(home)

        return self._hurt(
            fault, "train/seasons", parameters, ready, inflict, expected, before, lost, later=later
        )

    # ── crawl ─────────────────────────────────────────────────────────────────────────────────

    def _hurt_crawl(self) -> None:
        stand = self._stand
        with traces.engine():
            self._crawl("kill -9 of the run, crawling", "Crashed",
                        lambda _: stand.kill(*stand.runs()))  # fmt: skip
            self._crawl("cancelled in the UI, crawling", "Cancelled", stand.cancel)
        engine = contextlib.ExitStack()
        engine.enter_context(traces.engine())

        def cut(_: UUID) -> None:
            engine.close()
            time.sleep(5)
            engine.enter_context(traces.engine())

        self._crawl("the network was away for 5 s, crawling", "Partial or Completed", cut)
        engine.close()

    def _crawl(
        self, fault: str, expected: str, inflict: Callable[[UUID], None], *, later: bool = False
    ) -> Callable[[], None]:
        """Inflict a fault on a crawl after its first originals."""
        home = self._workspace(fault)
        values = traces.recipe()
        pick = {name: values[name] for name in ("recipe", "crawl_a", "crawl_b")}
        for side in ("crawl_a", "crawl_b"):
            pick[side] = {**pick[side], "requests_per_s_per_host": 2.0}
        parameters = {"parameters": pick, "side": "A", "workspace": str(home)}

        def ready(_: UUID) -> bool:
            return len(traces.originals(home)) >= 5

        def lost(before: dict[str, int], _message: str) -> int:
            after = traces.originals(home)
            gone = sum(after.get(name) != inode for name, inode in before.items())
            return gone + len(
                self._reference.originals["summer"] ^ {Path(name).name for name in after}
            )

        return self._hurt(
            fault, "crawl/seasons", parameters, ready, inflict, expected,
            lambda: traces.originals(home), lost, later=later,
        )  # fmt: skip

    # ── preparation, evaluation ───────────────────────────────────────────────────────────────

    def _hurt_stages(self) -> None:
        """Kill a pipeline in its preparation, and again in its evaluation."""
        stand = self._stand
        home = self._workspace("stages")
        parameters = {"parameters": traces.recipe(), "workspace": str(home)}
        with traces.engine():
            for task, ready in (
                (
                    "prepare",
                    lambda run: (
                        any(home.glob("datasets/.*.partial")) or stand.is_in_task(run, "prepare")
                    ),
                ),
                ("evaluate", lambda run: stand.is_in_task(run, "evaluate")),
            ):
                self._hurt(
                    f"kill -9 of the run, in {task}", "pipeline/seasons", parameters, ready,
                    lambda _: stand.kill(*stand.runs()), "Crashed",
                    lambda: traces.originals(home),
                    lambda before, _: self._lost_of_pipeline(home, before),
                    again=task == "evaluate",
                )  # fmt: skip

    def _lost_of_pipeline(self, home: Path, before: dict[str, int]) -> int:
        after = traces.originals(home)
        gone = sum(after.get(name) != inode for name, inode in before.items())
        if not any(home.glob("runs/*/evaluation/*/scores.json")):
            return gone  # it was killed once more
        dataset = not (home / "datasets" / self._reference.dataset.name).is_dir()
        return gone + int(dataset) + int(traces.weights(home) != self._reference.weights)

    # ── all of them ───────────────────────────────────────────────────────────────────────────

    def _hurt(
        self, fault: str, deployment: str, parameters: dict[str, Any],
        ready: Callable[[UUID], bool], inflict: Callable[[UUID], None], expected: str,
        before: Callable[[], Any], lost: Callable[[Any, str], int], *, later: bool = False,
        again: bool = True,
    ) -> Callable[[], None]:  # fmt: skip
        """Start, wait until ``ready``, inflict; then, or ``later``, read the state, run again,
        compare.
        """
        if self._only and not any(part in fault for part in self._only):
            return lambda: None
        stand = self._stand
        run = stand.start(deployment, parameters)
        stand.wait(lambda: ready(run) or stand.state(run).is_final(), f"{fault}: to be ready", 180)
        if stand.state(run).is_final():
            raise RuntimeError(f"{fault}: the run ended too early: {stand.state(run)}")
        snapshot = before()
        inflicted = datetime.now(UTC)
        inflict(run)

        def look() -> None:
            state = stand.wait_for(run)
            seconds = (state.timestamp - inflicted).total_seconds()
            message = ""
            if not again:
                message = "(see below)"
            elif state.is_completed() and not deployment.startswith(
                "crawl"
            ):  # it tries failures again
                message = str(state.message)
            else:
                rerun = stand.wait_for(stand.start(deployment, parameters))
                assert rerun.is_completed(), rerun
                message = self._message(rerun, deployment)
            detail = self._detail(message)
            row = FaultResult(
                fault, str(state.name), expected, seconds, detail, lost(snapshot, message)
            )
            self.results.append(row)
            mark = "" if row.is_expected else f"  (expected {expected})"
            print(f"{fault:<46}{row.state:<11}{seconds:6.1f}s  {row.lost:>4}  {detail}{mark}",
                  flush=True)  # fmt: skip

        if later:
            return look
        look()
        return lambda: None

    def _message(self, state: Any, deployment: str) -> str:
        """The messages of the flow and of its tasks, which name the steps where they went on."""
        from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId

        this_run = FlowRunFilter(id=FlowRunFilterId(any_=[state.state_details.flow_run_id]))
        with self._stand.client() as client:
            tasks = client.read_task_runs(flow_run_filter=this_run)
        messages = [str(task.state.message) for task in tasks if task.state is not None]
        return "; ".join([str(state.message), *messages]) if deployment else ""

    @staticmethod
    def _detail(message: str) -> str:
        went_on = re.search(r"went on from step \d+ to \d+", message)
        new = re.search(r"\d+ new originals", message)
        match = went_on or new
        return match[0] if match else message[:60]

    def _workspace(self, fault: str) -> Path:
        home = self._folder / re.sub(r"[^a-z0-9]+", "-", fault.lower())
        home.mkdir()
        return home


def main() -> None:
    """Inflict, print the table, and end with one line of JSON."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--quick", action="store_true", help="one fault instead of all")
    arguments.add_argument("--only", nargs="+", default=[], help="faults with this in their name")
    options = arguments.parse_args()
    quick = options.quick
    os.environ |= {
        "PREFECT_WORKER_QUERY_SECONDS": "2",
        "PREFECT_LOGGING_LEVEL": "ERROR",
        "DO_NOT_TRACK": "1",
    }
    os.environ.pop("PREFECT_API_URL", None)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # leaves nothing running
    folder = Path(tempfile.mkdtemp(prefix="suyan-faults-"))
    matrix = Matrix(folder, options.only)
    try:
        matrix.run(quick=quick)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    rows = matrix.results
    if not rows:
        sys.exit(f"no fault has {options.only} in its name")
    figures = {
        "faults": len(rows),
        "lost": sum(row.lost for row in rows),
        "unexpected_states": sum(not row.is_expected for row in rows),
        "longest_until_known_s": round(max(row.seconds for row in rows), 1),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
