"""A file that crashes, hangs or fills the memory costs only its own row."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from sandbox_jobs import decode, process_id

from core.errors import SuyanError
from preprocessing import sandbox
from preprocessing.sandbox import WorkerPool, map_sandboxed
from preprocessing.sandbox_worker import Failure, FailureReason

ROOT = Path(__file__).resolve().parents[2]


def outcomes(names: list[str]) -> dict[str, object]:
    return dict(map_sandboxed(decode, names, num_workers=2, timeout_s=0.5))


@pytest.mark.slow
def test_bad_items_cost_themselves_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "_ITEMS_PER_BATCH", 4)
    names = [f"item{number}" for number in range(20)]
    names[3], names[7], names[9], names[13], names[16] = (
        "crash", "swell", "fail", "hang", "hang-in-c",
    )  # fmt: skip
    started = time.monotonic()
    found = outcomes(names)
    assert set(found) == set(names)
    lost = {name: outcome.reason for name, outcome in found.items() if isinstance(outcome, Failure)}
    assert lost.pop("hang-in-c") in {"decoder-died", "timed-out"}
    assert lost == {
        "crash": "decoder-died",
        "swell": "out-of-memory",
        "fail": "unexpected-error",
        "hang": "timed-out",
    }
    assert all(found[name] == name.upper() for name in names if name.startswith("item"))
    assert time.monotonic() - started < 60


def test_what_is_not_the_items_fault_is_raised() -> None:
    with pytest.raises(OSError, match="no space left"):
        outcomes(["fine", "full"])


def test_workers_last_from_job_to_job_and_are_replaced_when_they_die() -> None:
    with WorkerPool(1, timeout_s=5) as pool:
        (first,) = {pid for _, pid in pool.map_unordered(process_id, range(3))}
        (again,) = {pid for _, pid in pool.map_unordered(process_id, range(3))}
        assert dict(pool.map_unordered(decode, ["crash"])) == {
            "crash": Failure(FailureReason.DECODER_DIED)
        }
        (other,) = {pid for _, pid in pool.map_unordered(process_id, range(3))}
    assert first == again != other


def test_a_parent_goes_on_with_its_own_work_only_while_it_waits() -> None:
    done = list[int]()

    def own() -> Iterator[None]:
        for step in range(10_000):
            done.append(step)
            time.sleep(0.01)
            yield

    steps = own()
    with WorkerPool(1, timeout_s=5) as pool:
        assert dict(pool.map_unordered(decode, ["one", "two"], idle_work=steps)) == {
            "one": "ONE",
            "two": "TWO",
        }
    assert 0 < len(done) < 10_000
    assert next(steps, "spent") != "spent"  # the rest is the caller's


def test_no_item_is_blamed_where_no_process_can_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "confine", os.abort)
    with pytest.raises(SuyanError, match="as soon as they start"):
        outcomes(["fine"])


def test_no_items_start_no_process() -> None:
    assert outcomes([]) == {}


def test_workers_do_not_import_what_their_parent_was_started_with() -> None:
    before = sys.modules["__main__"].__spec__
    assert outcomes(["main"]) == {"main": "False"}
    assert sys.modules["__main__"].__spec__ is before


@pytest.mark.slow
def test_workers_end_with_a_parent_that_was_killed() -> None:
    code = (
        "from preprocessing.sandbox import map_sandboxed; import time\n"
        "if __name__ == '__main__':\n"
        "    list(map_sandboxed(time.sleep, [60] * 9, num_workers=1, timeout_s=9))"
    )
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE) as parent:
        while len(found := psutil.Process(parent.pid).children()) < 2:  # with a resource tracker
            time.sleep(0.05)
        time.sleep(1)  # it has begun to work
        parent.kill()
        assert parent.stdout is not None
        parent.stdout.read()  # it ends when the last process closes it
    _, alive = psutil.wait_procs(found, timeout=10)
    assert not alive
