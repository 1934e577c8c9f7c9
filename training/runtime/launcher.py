"""One run by several processes, on one machine or many, under torch's elastic launcher.

``train_together`` is ``train`` with the same outcome. Each machine has an agent (torchrun) that
starts the processes there; when one of them dies, all of them are started again, and go on from the
last checkpoint. Whoever started an agent may be killed: agent and processes end too.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from core.errors import SuyanError
from core.files import claim_folder
from core.progress import Progress, silent
from training.config import TrainConfig

if TYPE_CHECKING:
    from training.train import TrainSummary

_logger = logging.getLogger(__name__)  # a flow's log takes warnings, and nothing below
_PATIENCE_S = 60.0  # for a step to end and its checkpoint to be written
_ORPHAN_EVERY_S = 1.0
_REPORT = "--report"
_PATHS = ("run", "checkpoint", "best")


class Torchrun(BaseModel):
    """By how many processes a run is trained; it changes no result but for rounding."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    processes_per_node: int = Field(
        1, ge=1, le=64, description="Processes on each machine: one for each GPU"
    )
    num_nodes: int = Field(
        1, ge=1, le=1024, description="Machines, which must share the workspace's folder"
    )
    rendezvous: str = Field(
        "",
        pattern=r"^(|[^\s:/@]+:\d+)$",
        description="HOST:PORT where the machines meet: this machine's, free and reachable for the "
        "others; empty for one machine",
    )
    max_restarts: int = Field(
        3, ge=0, le=100, description="How often the processes are started again after one died"
    )

    @property
    def num_processes(self) -> int:
        """Those of all machines together."""
        return self.processes_per_node * self.num_nodes

    @property
    def is_needed(self) -> bool:
        """Whether more than the process of the flow itself is to train."""
        return self.num_processes > 1

    def check(self, config: TrainConfig) -> None:
        """Raise ``ValueError`` for what these processes would refuse once they have started."""
        if self.is_needed and config.norm == "batch":
            raise ValueError(
                f"train.norm: got batch with torchrun's {self.num_processes} processes, whose "
                "statistics would differ from those of one process; needed instance"
            )
        if config.batch_size % self.num_processes:
            raise ValueError(
                f"train.batch_size: got {config.batch_size}, needed a multiple of torchrun's "
                f"{self.num_processes} processes, which share each batch"
            )

    @model_validator(mode="after")
    def _can_meet(self) -> Self:
        if self.num_nodes > 1 and not self.rendezvous:
            raise ValueError(
                f"rendezvous: got none for {self.num_nodes} machines, needed HOST:PORT of this one"
            )
        return self

    def arguments(self, name: str) -> list[str]:
        """What torchrun is told on each machine; ``name`` is of the run."""
        if self.num_nodes == 1:
            meeting = ["--standalone"]
        else:
            meeting = ["--rdzv-backend", "c10d", "--rdzv-endpoint", self.rendezvous]
            meeting += ["--rdzv-id", name]
        return [
            *meeting,
            *("--nnodes", str(self.num_nodes)),
            *("--nproc-per-node", str(self.processes_per_node)),
            *("--max-restarts", str(self.max_restarts)),
        ]


def train_together(
    config: TrainConfig,
    dataset: Path,
    run: Path,
    torchrun: Torchrun,
    *,
    progress: Progress = silent,
    distance: str = "",
) -> TrainSummary:
    """Train as ``train`` does, by the processes that ``torchrun`` asks for.

    ``distance`` names the function that makes the distance to validate by,
    ``"module:function"``; each process calls it. With several machines, the command for the
    others is logged, and nothing happens until all of them are there.

    Raises ``SuyanError`` with the last lines that the processes wrote when they failed more often
    than ``max_restarts``, ``ValueError`` for a configuration that they cannot train together.
    """
    from training.runtime.distributed import World
    from training.train import check

    check(config, World(size=torchrun.processes_per_node * torchrun.num_nodes))
    claim_folder(run, {"train": config.model_dump(mode="json"), "dataset": dataset.name})
    work = ["-m", "training", str(run / "config.json"), str(dataset), str(run)]
    work += ["--distance", distance] if distance else []
    launch = torchrun.arguments(run.name)
    if torchrun.num_nodes > 1:
        others = " ".join(["python -m training.runtime.launcher", *launch, *work])
        _logger.warning("waiting for the other machines; on each: %s", others)
    with subprocess.Popen(
        [sys.executable, "-m", "training.runtime.launcher", *launch, *work, _REPORT],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env={"OMP_NUM_THREADS": _threads(torchrun), **os.environ},
    ) as agent:
        try:
            return _followed(agent, progress)
        finally:
            _end(agent)


def _threads(torchrun: Torchrun) -> str:
    return str(max(1, (os.cpu_count() or 1) // torchrun.processes_per_node))


def _followed(agent: subprocess.Popen[str], progress: Progress) -> TrainSummary:
    """Pass on what the processes report, until they end."""
    from training.train import TrainSummary  # with torch, which a flow need not wait for

    assert agent.stdout is not None
    summary: TrainSummary | None = None
    last: list[str] = []
    for line in agent.stdout:
        report = _report(line)
        if report is None:
            last = [*last[-30:], line.rstrip()]
            _logger.warning("%s", line.rstrip())
        elif "progress" in report:
            progress(*report["progress"])
        else:
            values = report["summary"]
            paths = {name: Path(values[name]) for name in _PATHS if values[name] is not None}
            summary = TrainSummary(**{**values, **paths, "events": tuple(values["events"])})
    code = agent.wait()
    if code or summary is None:
        raise SuyanError(
            f"the processes that trained together ended with status {code}. Every checkpoint is "
            "kept: run the same again to go on. Their last lines:\n  " + "\n  ".join(last)
        )
    return summary


def _report(line: str) -> dict[str, Any] | None:
    if not line.startswith('{"'):
        return None
    try:
        value = json.loads(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) and value.keys() & {"progress", "summary"} else None


def tell(report: Mapping[str, Any]) -> None:
    """Write a line that ``train_together`` understands; paths as text."""
    print(json.dumps(report, default=str), flush=True)  # noqa: T201 - a pipe between our processes


def end_with_parent() -> None:
    """Have this process get SIGTERM when the one that started it is no more, SIGKILL later."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_ORPHAN_EVERY_S)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(_PATIENCE_S)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()


def _end(agent: subprocess.Popen[str]) -> None:
    if agent.poll() is None:
        agent.terminate()  # it tells its processes, which save
        try:
            agent.communicate(timeout=_PATIENCE_S)
        except subprocess.TimeoutExpired:
            agent.kill()


def main() -> None:
    """Be the agent of this machine: torchrun that ends with whoever started it."""
    from torch.distributed import run
    from torch.distributed.elastic.multiprocessing.errors import (
        ChildFailedError,
    )

    # A store that outlives its processes would tell new ones the addresses of dead ones.
    os.environ.setdefault("TORCH_DISABLE_SHARE_RDZV_TCP_STORE", "1")
    if _REPORT in sys.argv:  # else it was started by hand, and may outlive a shell
        end_with_parent()
    try:
        run.run(run.parse_args(sys.argv[1:]))  # type: ignore[no-untyped-call]
    except ChildFailedError:
        sys.exit(1)  # the processes have said why


if __name__ == "__main__":
    main()
