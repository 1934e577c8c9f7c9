"""Cancelling in the Prefect UI: a training saves however long its step is; and waiting for it.

The kind: whoever stops a run (a person in the UI, a worker at SIGTERM, Ctrl-C) gives it less time
than a step takes. The boundary: a copy of the state of the last whole step is saved by a thread
while the step goes on, so the time to save does not depend on the step.
"""

import os
import signal
import tarfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import anyio
import prefect
import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId, LogFilter
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import TerminationSignal
from prefect.runtime import flow_run
from prefect.states import Cancelled, Cancelling, Completed, Crashed, Pending, Running
from prefect.utilities.engine import capture_sigterm

from core.workspace import Workspace
from flows.concurrency import run_limit
from flows.model import evaluate, train
from flows.pipeline import pipeline
from flows.refresh import crawl, refresh_dataset
from flows.server import prefect_worker
from flows.server.services import Services
from flows.states import cancellable
from flows.tasks import _saved_step_in_tag
from flows.ui.ended_runs import settle_ended_run
from flows.ui.run_names import is_random
from flows.ui.run_progress import ArtifactProgress
from training.config import TrainConfig

ROOT = Path(__file__).resolve().parents[2]
TRAIN = TrainConfig(
    num_blocks=1, ngf=4, ndf=4, d_layers=2, load_px=32, crop_px=32, num_epochs=1,
    num_epochs_decay=1, batch_size=8, device="cpu", num_threads=1,
)  # fmt: skip


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    with tarfile.open(ROOT / "tests" / "golden" / "workspace.tar.xz") as archive:
        archive.extractall(tmp_path / "workspace", filter="data")
    return Workspace(tmp_path / "workspace")


def _until(condition: Callable[[], Any], timeout_s: float = 300) -> Any:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.5)
    raise AssertionError(f"waited {timeout_s} s in vain")


def _state(client: SyncPrefectClient, run: UUID) -> str:
    return str(client.read_flow_run(run).state_name)


def _lines(client: SyncPrefectClient, run: UUID) -> list[tuple[int, str]]:
    return [(line.level, line.message) for line in client.read_logs(LogFilter.model_validate(
        {"flow_run_id": {"any_": [run]}}), limit=200)]  # fmt: skip


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_cancelled_training_has_saved_and_a_waiting_one_says_for_whom(
    services: Services, client: SyncPrefectClient, workspace: Workspace
) -> None:
    dataset = next(workspace.datasets.glob("makeup-bare-*")).name
    flow = client.create_flow_from_name("train")
    deployment = client.create_deployment(
        flow, "slow", path=str(ROOT), work_pool_name="local",
        entrypoint="tests/support/slow_training.py:train",
    )  # fmt: skip
    values = {
        "dataset": dataset,
        "workspace": str(workspace),
        "parameters": {"recipe": "slow", "train": TRAIN.model_dump(mode="json")},
    }

    def start(name: str | None = None) -> FlowRun:
        return client.create_flow_run_from_deployment(deployment, parameters=values, name=name)

    first = start("a name that a person gave")
    _until(lambda: [line for _, line in _lines(client, first.id) if "a long step" in line])
    second = start()
    _until(lambda: _state(client, second.id) == "Waiting")
    waiting = client.read_flow_run(second.id)
    assert waiting.state is not None
    assert waiting.state.message == (
        f"waits for a slot of the limit {run_limit('train', 'slow')!r}, held by the run "
        "'a name that a person gave'"
    )
    assert "waits for the run 'a name that a person gave'" in waiting.tags
    assert is_random(second.name)
    assert waiting.name.startswith("slow 20")
    assert waiting.name.endswith(f" {dataset}")
    client.set_flow_run_state(second.id, Cancelling(), force=True)
    client.set_flow_run_state(first.id, Cancelling(), force=True)
    for run in (first, second):
        _until(lambda run=run: _state(client, run.id) == "Cancelled")
    assert client.read_flow_run(first.id).name == "a name that a person gave"
    assert not [tag for tag in client.read_flow_run(second.id).tags if "waits" in tag]
    (saved,) = workspace.runs.glob("*/checkpoints/step_00000003")
    assert (saved / "state.pt").exists()

    def tasks() -> set[str]:
        of_run = FlowRunFilter(id=FlowRunFilterId(any_=[first.id]))
        return {str(task.state_name) for task in client.read_task_runs(flow_run_filter=of_run)}

    _until(lambda: tasks() == {"Cancelled"}, 60)
    for run in (first, second):
        lines = _lines(client, run.id)
        assert not [line for level, line in lines if level >= 40], lines
        assert not [line for _, line in lines if "memory" in line], lines
    assert [line for _, line in _lines(client, first.id) if f"saved as {saved}" in line]
    client.delete_deployment(deployment)


@pytest.mark.slow
def test_a_cancelled_training_says_in_a_tag_at_which_step_it_is_saved(
    client: SyncPrefectClient, workspace: Workspace
) -> None:
    (run,) = workspace.runs.iterdir()
    runs: list[UUID] = []

    @prefect.flow(name="of-a-test-that-saves")
    @cancellable
    def train_a_little() -> None:
        runs.append(UUID(flow_run.get_id()))
        client.set_flow_run_state(runs[0], Cancelling(), force=True)
        with _saved_step_in_tag(run):
            raise TerminationSignal(signal.SIGTERM)

    assert train_a_little(return_state=True).is_cancelled()
    assert "saved at step 10" in client.read_flow_run(runs[0]).tags


def test_a_signal_that_arrives_in_a_finaliser_ends_the_run_all_the_same() -> None:
    """Python prints what a finaliser raises, and goes on: nobody would see the signal."""

    class Closed:
        def __del__(self) -> None:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.01)

    with capture_sigterm():
        Closed()
        with pytest.raises(TerminationSignal):
            time.sleep(30)


@pytest.mark.slow
@pytest.mark.parametrize("end", [Crashed, Cancelled])
def test_a_killed_run_keeps_neither_a_tag_of_what_it_held_nor_a_running_task(
    client: SyncPrefectClient, end: Callable[[], Any]
) -> None:
    @prefect.flow(name="of-a-test-that-is-killed")
    def nothing() -> None:
        pass

    @prefect.task(name="of-a-test-that-is-killed")
    def part() -> None:
        pass

    tags = ["a person's", "holds: run train x", "waits for the run 'y'", "saved at step 10"]
    run = client.create_flow_run(nothing, tags=tags)
    states = {"first": Completed(), "second": Running()}
    ids = {
        key: client.create_task_run(part, run.id, dynamic_key=key, state=state).id
        for key, state in states.items()
    }
    for flow in (crawl, refresh_dataset, train, evaluate, pipeline):
        (cancelled,), (crashed,) = flow.on_cancellation_hooks, flow.on_crashed_hooks
        assert cancelled is crashed is settle_ended_run
    client.set_flow_run_state(run.id, Running(), force=True)
    settle_ended_run(nothing, run, end())  # somebody has started it again
    assert client.read_task_run(ids["second"]).state_name == "Running"
    client.set_flow_run_state(run.id, end(), force=True)
    settle_ended_run(nothing, run, end())
    assert sorted(client.read_flow_run(run.id).tags) == ["a person's", "saved at step 10"]
    assert client.read_task_run(ids["first"]).state_name == "Completed"
    second = client.read_task_run(ids["second"]).state
    assert second is not None
    assert (second.name, second.message) == (
        end().name, "The process of its run ended. Run it again to go on.",
    )  # fmt: skip


@pytest.mark.slow
def test_a_run_without_a_worker_is_cancelled_too(client: SyncPrefectClient) -> None:
    runs: list[UUID] = []

    @prefect.flow(name="of-a-test-without-a-worker")
    @cancellable
    def count() -> None:
        runs.append(UUID(flow_run.get_id()))
        client.set_flow_run_state(runs[0], Cancelling(), force=True)
        progress = ArtifactProgress("of-a-test", every_s=0)
        for done in range(100):
            progress("count", done, 100, "")
            time.sleep(0.1)

    assert count(return_state=True).is_cancelled()
    assert _state(client, runs[0]) == "Cancelled"


@pytest.mark.slow
def test_the_runs_of_a_worker_that_was_asked_to_stop_are_crashed_or_cancelled(
    client: SyncPrefectClient,
) -> None:
    """Their processes ended within a step: they could not say so, and stayed Running."""

    @prefect.flow(name="of-a-test-of-a-worker")
    def unfinished() -> None:
        raise AssertionError

    states = (Running(), Cancelling(), Pending(), Completed())
    runs = [client.create_flow_run(unfinished).id for _ in states]
    for run, state in zip(runs, states, strict=True):
        client.set_flow_run_state(run, state, force=True)
    anyio.run(prefect_worker.report_ended, runs)
    assert [_state(client, run) for run in runs] == ["Crashed", "Cancelled", "Crashed", "Completed"]
    crashed = client.read_flow_run(runs[0]).state
    assert crashed is not None
    assert "run it again to go on" in str(crashed.message)
