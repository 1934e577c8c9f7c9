"""Trains one run by several processes, on one machine or many, under torch's elastic launcher.

``train_together`` has the same result as ``train``. On each machine an agent (torchrun) starts the
processes; when one of them dies, all are started again and resume from the last checkpoint. When
the process that started an agent is killed, the agent and its processes end too.
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

from core.config_identity import identity
from core.errors import SuyanError
from core.files import claim_folder
from core.language.messages import localised
from core.progress import Progress, silent
from core.workspace_folders import RunFolder
from training.config import TrainConfig
from training.tracking.tracker import require_packages

if TYPE_CHECKING:
    from training.train import TrainSummary

_logger = logging.getLogger(__name__)  # a flow's log shows only its warnings and errors
_TERMINATION_S = 60.0  # time for the current step and its checkpoint
_PARENT_POLL_S = 1.0
_REPORT_OPTION = "--report"
_NUM_LAST_LINES = 31  # in the error of a training that failed
_PATH_FIELDS = ("run", "checkpoint", "best")  # of a ``TrainSummary``


class Torchrun(BaseModel):
    """The number of processes that train a run; it changes results by rounding only."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    processes_per_node: int = Field(
        1, ge=1, le=64, description="Training processes on each machine: one for each GPU"
    )
    num_nodes: int = Field(
        1,
        ge=1,
        le=1024,
        description="Machines that train together; they share the workspace's folder",
    )
    rendezvous: str = Field(
        "",
        pattern=r"^(|[^\s:/@]+:\d+)$",
        description="HOST:PORT of this machine where several machines meet, free and reachable for "
        "the others; empty for one machine",
    )
    max_restarts: int = Field(
        3, ge=0, le=100, description="Restarts of the processes after one of them died, at most"
    )

    @property
    def num_processes(self) -> int:
        """Processes of all machines together."""
        return self.processes_per_node * self.num_nodes

    @property
    def is_needed(self) -> bool:
        """Whether torchrun is needed: one process trains without it."""
        return self.num_processes > 1

    def check(self, config: TrainConfig) -> None:
        """Raise ``ValueError`` for a configuration that these processes cannot train together."""
        if self.is_needed and config.norm == "batch":
            raise ValueError(
                localised(
                    "train.norm: got batch with torchrun's {num_processes} processes, whose "
                    "statistics would differ from those of one process; needed instance",
                    num_processes=self.num_processes,
                )
            )
        if config.batch_size % self.num_processes:
            raise ValueError(
                localised(
                    "train.batch_size: got {batch_size}, needed a multiple of torchrun's "
                    "{num_processes} processes, which share each batch",
                    batch_size=config.batch_size,
                    num_processes=self.num_processes,
                )
            )

    @model_validator(mode="after")
    def _can_meet(self) -> Self:
        if self.num_nodes > 1 and not self.rendezvous:
            raise ValueError(
                localised(
                    "rendezvous: got none for {num_nodes} machines, needed HOST:PORT of this one",
                    num_nodes=self.num_nodes,
                )
            )
        return self

    def arguments(self, name: str) -> list[str]:
        """Arguments of torchrun on each machine; the run's ``name`` identifies the rendezvous."""
        if self.num_nodes == 1:
            rendezvous = ["--standalone"]
        else:
            rendezvous = ["--rdzv-backend", "c10d", "--rdzv-endpoint", self.rendezvous]
            rendezvous += ["--rdzv-id", name]
        return [
            *rendezvous,
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
    """Train as ``train`` does, by as many processes as ``torchrun`` says.

    ``distance``: ``"module:function"`` that builds the distance to validate by; each process calls
    it. With several machines, the command for the others is logged, and training starts once all
    of them have joined.

    Raises ``SuyanError`` with the processes' last lines when they have failed more than
    ``max_restarts`` times, ``ValueError`` for a configuration that they cannot train together,
    ``MissingModelError`` for a tracker that is not installed.
    """
    from training.runtime.distributed import World
    from training.train import check_world

    require_packages(config.track)
    check_world(config, World(size=torchrun.num_processes))
    claim_folder(run, {"train": identity(config), "dataset": dataset.name})
    command = ["-m", "training", str(RunFolder(run).config), str(dataset), str(run)]
    command += ["--distance", distance] if distance else []
    command += [word for name in config.track for word in ("--track", name)]
    command = ["-m", "training.runtime.launcher", *torchrun.arguments(run.name), *command]
    if torchrun.num_nodes > 1:
        _logger.warning(
            localised("waiting for the other machines; on each, run: python %s"), " ".join(command)
        )
    with subprocess.Popen(
        [sys.executable, *command, _REPORT_OPTION],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        env={"OMP_NUM_THREADS": _num_threads(torchrun), **os.environ},
    ) as agent:
        try:
            return _relay_reports(agent, progress)
        finally:
            _terminate(agent)


def _num_threads(torchrun: Torchrun) -> str:
    return str(max(1, (os.cpu_count() or 1) // torchrun.processes_per_node))


def _relay_reports(agent: subprocess.Popen[str], progress: Progress) -> TrainSummary:
    """Pass the processes' progress on until they end; returns their summary."""
    from training.train import TrainSummary  # imports torch, which a flow need not wait for

    assert agent.stdout is not None
    summary: TrainSummary | None = None
    last_lines: list[str] = []
    for line in agent.stdout:
        report = _parse_report(line)
        if report is None:
            last_lines = [*last_lines[1 - _NUM_LAST_LINES :], line.rstrip()]
            _logger.warning("%s", line.rstrip())
        elif "progress" in report:
            progress(*report["progress"])
        else:
            values = report["summary"]
            paths = {name: Path(values[name]) for name in _PATH_FIELDS if values[name] is not None}
            summary = TrainSummary(**{**values, **paths, "events": tuple(values["events"])})
    code = agent.wait()
    if code or summary is None:
        raise SuyanError(
            localised(
                "the training processes ended with status {code}. Every checkpoint is kept: "
                "run the same again to go on. Their last lines:\n  ",
                code=code,
            )
            + "\n  ".join(last_lines)
        )
    return summary


def _parse_report(line: str) -> dict[str, Any] | None:
    """The report in a line of ``write_report``; ``None`` for any other line."""
    if not line.startswith('{"'):
        return None
    try:
        value = json.loads(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) and value.keys() & {"progress", "summary"} else None


def write_report(report: Mapping[str, Any]) -> None:
    """Print a report as one line of JSON for ``train_together``, paths as text."""
    print(json.dumps(report, default=str), flush=True)  # noqa: T201 - a pipe between our processes


def end_with_parent() -> None:
    """Send this process SIGTERM once its parent is gone, and SIGKILL a minute later."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_PARENT_POLL_S)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(_TERMINATION_S)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()


def _terminate(agent: subprocess.Popen[str]) -> None:
    if agent.poll() is None:
        agent.terminate()  # it passes the signal on to its processes, which save
        try:
            agent.communicate(timeout=_TERMINATION_S)
        except subprocess.TimeoutExpired:
            agent.kill()


def main() -> None:
    """Run torchrun as this machine's agent; it ends when the process that started it does."""
    from torch.distributed import run
    from torch.distributed.elastic.multiprocessing.errors import (
        ChildFailedError,
    )

    # A store that outlived its processes would give new ones the addresses of dead processes.
    os.environ.setdefault("TORCH_DISABLE_SHARE_RDZV_TCP_STORE", "1")
    if _REPORT_OPTION in sys.argv:  # an agent that a person started may outlive the shell
        end_with_parent()
    try:
        run.run(run.parse_args(sys.argv[1:]))  # type: ignore[no-untyped-call]
    except ChildFailedError:
        sys.exit(1)  # the processes have printed the reason


if __name__ == "__main__":
    main()
