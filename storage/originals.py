"""Originals in a bucket: ``originals/ab/<sha256>.<ext>``, the same names as in the folder."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from core.progress import Progress, silent
from core.workspace import Workspace
from storage.s3 import Bucket

_BATCH = 1000  # fetched between two words of progress


def send(bucket: Bucket, workspace: Workspace, paths: Iterable[str]) -> None:
    """Store these files of the workspace, those of them that are here, and wait for it.

    A path names its content: to send it twice changes nothing.
    """
    here = [path for path in paths if (workspace / path).exists()]
    bucket.each(lambda path: bucket.put(path, workspace / path), here)


def fetch(
    bucket: Bucket, workspace: Workspace, wanted: Mapping[str, str], *, progress: Progress = silent
) -> int:
    """Bring the originals that are not here, each compared with its digest; how many came.

    ``wanted`` has the sha256 of each by its path in the workspace. One that the bucket does not
    have stays missing: preparation says so in its row.
    """
    missing = [(path, sha) for path, sha in wanted.items() if not (workspace / path).exists()]
    num = 0
    for start in range(0, len(missing), _BATCH):
        part = missing[start : start + _BATCH]
        num += sum(bucket.each(lambda one: _bring(bucket, workspace, *one), part))
        progress("fetch originals", start + len(part), len(missing), f"from {bucket}")
    return num


def remove(bucket: Bucket, digests: Collection[str]) -> None:
    """Remove the originals with these sha256, whatever their extension."""
    for head in sorted({digest[:2] for digest in digests}):
        keys = bucket.sizes(f"originals/{head}")
        bucket.remove([key for key in keys if Path(key).name.partition(".")[0] in digests])


def _bring(bucket: Bucket, workspace: Workspace, path: str, sha256: str) -> bool:
    target = workspace / path
    fresh = target.with_name(f".{target.name}.{os.getpid()}.fetched")
    try:
        if not bucket.download(path, fresh, sha256):
            return False
        fresh.replace(target)
        return True
    finally:
        fresh.unlink(missing_ok=True)
