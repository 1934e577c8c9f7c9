"""Originals on disk, named by their content: written by one process, published by another."""

from __future__ import annotations

import hashlib
import os
import socket
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from core.workspace import Workspace
from storage.remote import bucket_of

_HOST = hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]
_DAY_S = 86400


def path_of(sha256: str, extension: str) -> str:
    """Where an original lies, relative to the workspace."""
    return f"originals/{sha256[:2]}/{sha256}.{extension}"


class Drafts:
    """Originals under temporary names, until ``publish`` gives them their own."""

    def __init__(self, workspace: Workspace) -> None:
        self._root = str(workspace)
        self._bucket = bucket_of(workspace)
        self._open: dict[str, str] = {}  # path, relative to the workspace → temporary one

    def has(self, relative: str) -> bool:
        """Whether the file is there, or will be as soon as its draft is published."""
        return relative in self._open or os.path.exists(f"{self._root}/{relative}")  # noqa: PTH110

    def is_stored(self, relative: str) -> bool:
        """Whether ``has`` it, or the workspace's bucket: another machine fetched it."""
        return self.has(relative) or (self._bucket is not None and self._bucket.has(relative))

    def write(self, relative: str, body: bytes) -> str:
        """Write the file under a temporary name, which comes back; "" when ``has`` it already."""
        if self.has(relative):
            return ""
        folder, _, name = f"{self._root}/{relative}".rpartition("/")
        temporary = f"{folder}/.{os.getpid()}-{_HOST}-{name}.tmp"
        self._open[relative] = temporary
        descriptor = _create(folder, temporary)
        try:
            left = memoryview(body)
            while left:
                left = left[os.write(descriptor, left) :]
        finally:
            os.close(descriptor)
        return temporary

    def published(self, relatives: Iterable[str]) -> None:
        """Note that these files have their names."""
        for relative in relatives:
            self._open.pop(relative, None)

    def discard(self) -> None:
        """Remove what was never published."""
        for temporary in self._open.values():
            Path(temporary).unlink(missing_ok=True)
        self._open.clear()


def publish(workspace: Workspace, drafts: Mapping[str, str]) -> set[str]:
    """Give drafts ``{relative path: temporary path}`` their names: each is there whole or not.

    All are synced, then all renamed, then their folders synced: on a disk this costs little more
    than one file. Those whose draft is gone, and which are not there either, come back.
    """
    gone = {relative for relative, temporary in drafts.items() if not _synced(temporary)}
    for relative in drafts.keys() - gone:
        try:
            os.replace(drafts[relative], f"{workspace}/{relative}")  # noqa: PTH105 - thousands
        except FileNotFoundError:
            gone.add(relative)
    for folder in {relative.rpartition("/")[0] for relative in drafts}:
        if os.path.isdir(f"{workspace}/{folder}"):  # noqa: PTH112 - as above
            _sync(f"{workspace}/{folder}")
    return {relative for relative in gone if not (workspace / relative).exists()}


def sweep(workspace: Workspace) -> None:
    """Remove what processes that are no more had begun to write.

    Of other machines that share the workspace we know nothing: what is theirs stays for a day.
    """
    for leftover in (workspace / "originals").glob("*/.*.tmp"):
        pid, _, rest = leftover.name.removeprefix(".").partition("-")
        if rest.startswith(f"{_HOST}-"):
            in_use = pid.isdecimal() and _is_alive(int(pid))
        else:
            in_use = _is_newer_than(leftover, time.time() - _DAY_S)
        if not in_use:
            leftover.unlink(missing_ok=True)


def _is_newer_than(path: Path, time_s: float) -> bool:
    try:
        return path.stat().st_mtime > time_s
    except FileNotFoundError:
        return False


def _create(folder: str, temporary: str) -> int:
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    try:
        return os.open(temporary, flags, 0o644)
    except FileNotFoundError:
        Path(folder).mkdir(parents=True, exist_ok=True)
        return os.open(temporary, flags, 0o644)


def _synced(path: str) -> bool:
    """Whether the file is there; it is on the disk then."""
    try:
        _sync(path)
    except FileNotFoundError:
        return False
    return True


def _sync(path: str) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
