"""Originals on disk, named by their content: one process writes drafts, another commits them."""

from __future__ import annotations

import hashlib
import os
import socket
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from core.files import sync_file, sync_folder
from core.locks import is_alive
from core.workspace import Workspace
from storage.remote import bucket_of

_MACHINE = hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]
_DAY_S = 86400
_NUM_FLUSHES = 16  # at once: the file system writes its journal once for all of them


class Drafts:
    """Originals under temporary names, until ``commit_drafts`` gives them their own.

    A ``key`` is a path relative to the workspace.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._root = str(workspace.folder)
        self._bucket = bucket_of(workspace)
        self._temporary_paths: dict[str, str] = {}  # key → temporary path

    def has(self, key: str) -> bool:
        """Whether the original is here, or will be as soon as its draft is committed."""
        return key in self._temporary_paths or os.path.exists(f"{self._root}/{key}")  # noqa: PTH110 - thousands

    def is_stored(self, key: str) -> bool:
        """Whether the original is here or in the workspace's bucket."""
        return self.has(key) or (self._bucket is not None and self._bucket.has(key))

    def write(self, key: str, body: bytes) -> str:
        """Write a draft of the original; returns its temporary path, or "" for a stored one."""
        if self.has(key):
            return ""
        folder, _, name = f"{self._root}/{key}".rpartition("/")
        temporary = f"{folder}/.{os.getpid()}-{_MACHINE}-{name}.tmp"
        self._temporary_paths[key] = temporary
        descriptor = _create(folder, temporary)
        try:
            left = memoryview(body)
            while left:
                left = left[os.write(descriptor, left) :]
        finally:
            os.close(descriptor)
        return temporary

    def mark_committed(self, keys: Iterable[str]) -> None:
        """Record that these drafts were renamed to their originals."""
        for key in keys:
            self._temporary_paths.pop(key, None)

    def discard(self) -> None:
        """Remove every draft that was not committed."""
        for temporary in self._temporary_paths.values():
            Path(temporary).unlink(missing_ok=True)
        self._temporary_paths.clear()


def commit_drafts(workspace: Workspace, drafts: Mapping[str, str]) -> set[str]:
    """Rename drafts, ``{key: temporary path}``, to their keys; each appears whole or not at all.

    All files are flushed to disk at once, then all renamed, then their folders flushed, which takes
    little longer than for one file. Returns the keys whose draft and original are both missing.
    """
    root = workspace.folder
    with ThreadPoolExecutor(_NUM_FLUSHES) as executor:
        are_flushed = executor.map(_is_flushed, drafts.values())
        missing_keys = {key for key, done in zip(drafts, are_flushed, strict=True) if not done}
        for key in drafts.keys() - missing_keys:
            try:
                os.replace(drafts[key], f"{root}/{key}")  # noqa: PTH105 - thousands
            except FileNotFoundError:
                missing_keys.add(key)
        folders = {root / key.rpartition("/")[0] for key in drafts}
        list(executor.map(sync_folder, filter(Path.is_dir, folders)))
    return {key for key in missing_keys if not (root / key).exists()}


def remove_stale_drafts(workspace: Workspace) -> None:
    """Remove the drafts of processes that have ended.

    This machine cannot tell whether a process of another one still runs: its drafts stay for a day.
    """
    for draft in workspace.originals.glob("*/.*.tmp"):
        pid, _, rest = draft.name.removeprefix(".").partition("-")
        if rest.startswith(f"{_MACHINE}-"):
            in_use = pid.isdecimal() and is_alive(int(pid))
        else:
            in_use = _is_newer_than(draft, time.time() - _DAY_S)
        if not in_use:
            draft.unlink(missing_ok=True)


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


def _is_flushed(path: str) -> bool:
    """Flush a file to disk; returns whether it exists."""
    try:
        sync_file(Path(path))
    except FileNotFoundError:
        return False
    return True
