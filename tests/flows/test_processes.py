import os
import subprocess
import sys
import time
from pathlib import Path
from uuid import UUID

import pytest
from remedies import remedy

from core.locks import is_alive
from flows.server import prefect_worker, processes, services
from flows.ui.run_progress import RUN_OF_THIS_PROCESS

RUN = UUID(int=21)  # in Prefect


def test_a_process_that_ignores_sigterm_is_stopped_all_the_same(tmp_path: Path) -> None:
    code = "import signal, time; signal.signal(15, signal.SIG_IGN); print(1, flush=True)\n"
    command = [sys.executable, "-c", code + "time.sleep(60)"]
    pid = processes.start_detached(command, dict(os.environ), tmp_path / "log", tmp_path)
    while not (tmp_path / "log").read_bytes():
        time.sleep(0.02)
    assert is_alive(pid, "python")
    assert processes.stop_process(pid, timeout_s=0.3)
    assert not is_alive(pid)


def test_the_worker_writes_nothing_but_warnings_into_the_log_of_a_run() -> None:
    code = (
        "import logging, prefect.workers.base; from flows.server.prefect_worker import quieten\n"
        "quieten(); log = logging.getLogger('prefect.flow_runs.worker')\n"
        "print(log.isEnabledFor(logging.INFO), log.isEnabledFor(logging.WARNING))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False True\n"


def test_a_dead_child_that_nobody_waited_for_is_not_alive() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    while is_alive(process.pid):
        time.sleep(0.02)
    process.wait()


def test_a_command_of_prefect_that_takes_too_long_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def command() -> str:
        return services._command(os.environ, sys.executable, "-c", "print('deployed')")

    def when_busy() -> None:
        with monkeypatch.context() as patch:
            patch.setattr(services, "_COMMAND_TIMEOUT_S", 0.0)
            command()

    remedy(" s; run the same again when the machine is less busy", when_busy, command)


_RUN = """
import pathlib, signal, sys, time
def save(*_):
    time.sleep(0.3)
    pathlib.Path(sys.argv[1]).write_text("saved")
    sys.exit()
signal.signal(signal.SIGTERM, save)
print("ready", flush=True)
time.sleep(60)
"""


def test_the_runs_of_a_worker_save_before_it_ends(tmp_path: Path) -> None:
    worker = "import subprocess, sys; subprocess.run([sys.executable, '-c', *sys.argv[1:]])"
    command = [sys.executable, "-c", worker, _RUN, str(tmp_path / "checkpoint")]
    environment = {**os.environ, RUN_OF_THIS_PROCESS: str(RUN)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        assert prefect_worker.end_runs(process.pid) == [RUN]
        assert (tmp_path / "checkpoint").read_text() == "saved"
