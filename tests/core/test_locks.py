"""One process at a time holds a lock; a dead process holds none."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from core.locks import file_lock, is_alive

ROOT = Path(__file__).resolve().parents[2]
HOLDER = """
import sys
from pathlib import Path
from core.locks import file_lock
with file_lock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


class BusyError(Exception):
    """Raised by a process that does not want to wait."""


@contextmanager
def another_holder(lock: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the lock until its input ends."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(lock)],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


def refuse() -> None:
    raise BusyError


def test_a_free_lock_is_held_at_once_and_again(tmp_path: Path) -> None:
    for _ in range(2):
        with file_lock(tmp_path / "folder" / ".lock", on_wait=refuse):
            assert (tmp_path / "folder" / ".lock").exists()


def test_a_waiting_process_says_so_once_and_gets_the_lock(tmp_path: Path) -> None:
    waits = list[int]()
    with another_holder(tmp_path / ".lock") as holder:

        def on_wait() -> None:
            waits.append(holder.pid)
            assert holder.stdin is not None
            holder.stdin.close()  # the holder releases the lock

        with file_lock(tmp_path / ".lock", on_wait=on_wait):
            assert waits == [holder.pid]


def test_a_process_may_refuse_to_wait(tmp_path: Path) -> None:
    with (
        another_holder(tmp_path / ".lock"),
        pytest.raises(BusyError),
        file_lock(tmp_path / ".lock", on_wait=refuse),
    ):
        pytest.fail("another process holds it")


def test_a_killed_process_gives_its_lock_back(tmp_path: Path) -> None:
    with another_holder(tmp_path / ".lock") as holder:
        holder.kill()
        holder.wait()
        with file_lock(tmp_path / ".lock", on_wait=refuse):
            pass


def test_a_process_is_alive_until_it_ends() -> None:
    assert is_alive(os.getpid())
    process = subprocess.Popen(
        [sys.executable, "-c", "print(flush=True); input()"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    process.stdout.readline()  # before that it may have its parent's command line
    try:
        assert is_alive(process.pid)
        assert is_alive(process.pid, "input()")
        assert not is_alive(process.pid, "another command")
    finally:
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # a zombie from here on
    assert not is_alive(process.pid)
    process.communicate()
    assert not is_alive(process.pid)
