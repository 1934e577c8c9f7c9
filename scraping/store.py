"""Originals on disk, named by their content."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from sqlalchemy.exc import DBAPIError

from scraping.records import SuyanError, sync_folder


def path_of(sha256: str, extension: str) -> str:
    """Where an original lies, relative to the workspace."""
    return f"originals/{sha256[:2]}/{sha256}.{extension}"


def store(workspace: Path, bodies: Mapping[str, bytes]) -> None:
    """Write files ``{relative path: bytes}`` so that each is there whole or not at all.

    All are written, then all synced, then all renamed, then their folders synced: on a disk this
    costs little more than one file. When one cannot be written, nothing half written stays. Few
    system calls a file, for each lets another thread take the interpreter.
    """
    unfinished: dict[str, int] = {}  # temporary name → descriptor
    finals: dict[str, str] = {}
    try:
        for relative, body in bodies.items():
            folder, _, name = str(workspace / relative).rpartition("/")
            temporary = f"{folder}/.{os.getpid()}-{name}.tmp"
            unfinished[temporary] = _create(folder, temporary)
            finals[temporary] = f"{folder}/{name}"
            _write(unfinished[temporary], body)
        for descriptor in unfinished.values():
            os.fsync(descriptor)
        for temporary, descriptor in list(unfinished.items()):
            os.replace(temporary, finals[temporary])  # noqa: PTH105 - one call a file
            os.close(descriptor)
            del unfinished[temporary]
        for folder in {final.rpartition("/")[0] for final in finals.values()}:
            sync_folder(Path(folder))
    finally:
        for temporary, descriptor in unfinished.items():
            os.close(descriptor)
            Path(temporary).unlink(missing_ok=True)


def _create(folder: str, temporary: str) -> int:
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    try:
        return os.open(temporary, flags, 0o644)
    except FileNotFoundError:
        Path(folder).mkdir(parents=True, exist_ok=True)
        return os.open(temporary, flags, 0o644)


def _write(descriptor: int, body: bytes) -> None:
    left = memoryview(body)
    while left:
        left = left[os.write(descriptor, left) :]


@contextlib.contextmanager
def disk_full_is_said(workspace: Path) -> Iterator[None]:
    """Turn what files and databases raise on a full disk into one ``SuyanError`` with a way out."""
    try:
        yield
    except (OSError, DBAPIError) as error:
        full = {errno.ENOSPC, errno.EDQUOT}
        if getattr(error, "errno", None) not in full and "disk is full" not in str(error):
            raise
        raise SuyanError(
            f"the disk of {workspace} is full. Everything stored so far is kept: free some space "
            "(or move the workspace) and run the same command again, it goes on where it stopped"
        ) from error


def sweep(workspace: Path) -> None:
    """Remove what processes that are no more had begun to write."""
    for leftover in (workspace / "originals").glob("*/.*.tmp"):
        pid = leftover.name.split("-")[0].removeprefix(".")
        if not (pid.isdecimal() and _is_alive(int(pid))):
            leftover.unlink(missing_ok=True)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
