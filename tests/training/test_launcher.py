"""Several processes, one of which is killed, end with the same weights, and no process is left
over."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
from pydantic import ValidationError
from safetensors.torch import load_file

from core.errors import SuyanError
from training.config import TrainConfig
from training.run.checkpoint import checkpoints
from training.runtime.launcher import Torchrun, train_together
from training.train import TrainSummary

ROOT = Path(__file__).resolve().parents[2]
TWO = Torchrun(processes_per_node=2)
CONFIG = TrainConfig(
    num_blocks=1,
    ngf=4,
    ndf=4,
    d_layers=2,
    load_px=36,
    crop_px=32,
    batch_size=4,
    pool_size=5,
    learning_rate=1e-4,
    num_epochs=15,
    num_epochs_decay=10,
    checkpoint_every=5,
    sample_every=1000,
    num_threads=1,
    device="cpu",
)


def _processes(run: Path) -> Iterator[psutil.Process]:
    """The processes that train this run, without their agent."""
    for process in psutil.process_iter(["cmdline"]):
        command = process.info["cmdline"] or []
        if str(run) in command and "training.runtime.launcher" not in command:
            yield process


def _kill_second_after(run: Path, killed: list[int]) -> None:
    while len(checkpoints(run)) < 2:
        time.sleep(0.01)
    (second,) = [p for p in _processes(run) if p.environ().get("RANK") == "1"]
    second.kill()
    killed.append(int(checkpoints(run)[0].name.removeprefix("step_")))


@pytest.mark.slow
def test_a_killed_process_costs_nothing_but_time(
    smooth_dataset: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    undisturbed = train_together(CONFIG, smooth_dataset, tmp_path / "calm", TWO)
    steps: list[int] = []
    killed: list[int] = []
    run = tmp_path / "disturbed"
    killer = threading.Thread(target=_kill_second_after, args=(run, killed), daemon=True)
    killer.start()
    summary = train_together(
        CONFIG,
        smooth_dataset,
        run,
        TWO,
        progress=lambda _stage, done, _total, _message: steps.append(done),
    )
    killer.join(5)
    assert killed
    assert killed[0] < undisturbed.steps
    assert summary.resumed_from_step >= killed[0]
    assert steps[-1] == summary.steps
    assert "failed (exitcode: -9)" in caplog.text  # the level at which a flow's log takes it
    assert (summary.steps, summary.epochs) == (undisturbed.steps, undisturbed.epochs)
    _assert_equal(summary, undisturbed)
    assert not list(_processes(tmp_path))


def _assert_equal(one: TrainSummary, two: TrainSummary) -> None:
    for path in sorted(one.checkpoint.glob("*.safetensors")):
        other = load_file(two.checkpoint / path.name)
        for key, tensor in load_file(path).items():
            np.testing.assert_allclose(tensor, other[key], rtol=1e-4, atol=1e-6, err_msg=key)


@pytest.mark.slow
def test_what_the_processes_said_last_is_the_error(smooth_dataset: Path, tmp_path: Path) -> None:
    config = CONFIG.model_copy(update={"batch_size": 3})
    with pytest.raises(SuyanError, match=r"batch_size: got 3, needed a multiple of the 2"):
        train_together(config, smooth_dataset, tmp_path / "run", Torchrun(
            processes_per_node=2, max_restarts=0
        ))  # fmt: skip


@pytest.mark.slow
def test_nobody_trains_on_for_a_flow_that_was_killed(smooth_dataset: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    config = CONFIG.model_copy(update={"num_epochs": 5000})
    (tmp_path / "go.py").write_text(
        "import sys; from pathlib import Path\n"
        "from training.config import TrainConfig; from training.runtime.launcher import *\n"
        "config = TrainConfig.model_validate_json(sys.argv[1])\n"
        "train_together(config, Path(sys.argv[2]), Path(sys.argv[3]), "
        "Torchrun(processes_per_node=2))\n"
    )
    command = [sys.executable, tmp_path / "go.py", config.model_dump_json(), smooth_dataset, run]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, env=environment, cwd=ROOT) as flow:
        while not checkpoints(run):
            time.sleep(0.05)
            assert flow.poll() is None
        flow.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 60
    while any(str(run) in (p.info["cmdline"] or []) for p in psutil.process_iter(["cmdline"])):
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_machines_need_a_place_to_meet() -> None:
    with pytest.raises(ValidationError, match="rendezvous: got none for 2 machines"):
        Torchrun(num_nodes=2)
    arguments = Torchrun(num_nodes=2, processes_per_node=4, rendezvous="gpu1:29400").arguments(
        "run-1"
    )
    assert arguments[:6] == [
        "--rdzv-backend", "c10d", "--rdzv-endpoint", "gpu1:29400", "--rdzv-id", "run-1",
    ]  # fmt: skip
    assert not Torchrun().is_needed


def test_what_cannot_be_trained_together_is_refused_before_anything_starts(tmp_path: Path) -> None:
    config = CONFIG.model_copy(update={"norm": "batch"})
    with pytest.raises(ValueError, match="norm: got batch with 2 processes"):
        train_together(config, tmp_path / "data", tmp_path / "run", TWO)
    assert not (tmp_path / "run").exists()
