import os
import subprocess
import sys
import time
from pathlib import Path

from core.locks import is_alive
from flows.server import processes


def test_a_process_that_ignores_sigterm_is_stopped_all_the_same(tmp_path: Path) -> None:
    code = "import signal, time; signal.signal(15, signal.SIG_IGN); print(1, flush=True)\n"
    command = [sys.executable, "-c", code + "time.sleep(60)"]
    pid = processes.start_detached(command, dict(os.environ), tmp_path / "log", tmp_path)
    while not (tmp_path / "log").read_bytes():
        time.sleep(0.02)
    assert is_alive(pid, "python")
    assert processes.stop_process(pid, timeout_s=0.3)
    assert not is_alive(pid)


def test_a_dead_child_that_nobody_waited_for_is_not_alive() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    while is_alive(process.pid):
        time.sleep(0.02)
    process.wait()
