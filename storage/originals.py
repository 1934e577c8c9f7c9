"""Originals in a bucket: ``originals/ab/<sha256>.<ext>``, the same paths as in the workspace."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from core.progress import Progress, silent
from core.workspace import Workspace
from storage.s3 import Bucket

_FILES_PER_PROGRESS = 1000


def publish(bucket: Bucket, workspace: Workspace, paths: Iterable[str]) -> None:
    """Store the files of the workspace with these relative paths; missing files are skipped.

    Returns when all are stored. A path names its content, so storing it twice changes nothing.
    """
    files = [path for path in paths if (workspace.folder / path).exists()]
    bucket.map(lambda path: bucket.put(path, workspace.folder / path), files)


def fetch(
    bucket: Bucket,
    workspace: Workspace,
    sha256_by_path: Mapping[str, str],
    *,
    progress: Progress = silent,
) -> int:
    """Download originals that this machine lacks, check their digests, return their number.

    Paths are relative to the workspace. An original that the bucket lacks stays missing:
    preparation then rejects its row with a reason.
    """
    missing = [
        (path, sha256)
        for path, sha256 in sha256_by_path.items()
        if not (workspace.folder / path).exists()
    ]
    num_fetched = 0
    for start in range(0, len(missing), _FILES_PER_PROGRESS):
        batch = missing[start : start + _FILES_PER_PROGRESS]
        num_fetched += sum(bucket.map(lambda entry: _fetch_one(bucket, workspace, *entry), batch))
        progress("fetch originals", start + len(batch), len(missing), f"from {bucket}")
    return num_fetched


def delete(bucket: Bucket, workspace: Workspace, digests: Collection[str]) -> None:
    """Delete the originals with these sha256, whatever their extension."""
    for head in sorted({digest[:2] for digest in digests}):
        keys = bucket.sizes(workspace.key(workspace.originals / head))
        bucket.delete([key for key in keys if Path(key).name.partition(".")[0] in digests])


def _fetch_one(bucket: Bucket, workspace: Workspace, path: str, sha256: str) -> bool:
    target = workspace.folder / path
    draft = target.with_name(f".{target.name}.{os.getpid()}.fetched")
    try:
        if not bucket.download(path, draft, sha256):
            return False
        draft.replace(target)
        return True
    finally:
        draft.unlink(missing_ok=True)
