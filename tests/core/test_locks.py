import subprocess
import sys
import time

from core.locks import is_alive


def test_a_dead_child_that_nobody_waited_for_is_not_alive() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    while is_alive(process.pid):
        time.sleep(0.02)
    process.wait()
