"""Synchronisation of small files that several machines or people change.

The bucket's copy is authoritative. A change is pushed only if no other machine changed the file
in the meantime.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator
from pathlib import Path

from core.errors import BucketError, TransientError
from core.files import atomic_file, digest, try_load_json, write_json
from core.language.messages import localised
from core.workspace import Workspace
from storage.remote import bucket_of
from storage.s3 import Bucket


def pull(workspace: Workspace, path: Path) -> None:
    """Replace ``path`` with the bucket's copy, if the workspace has a bucket with such a file."""
    bucket = bucket_of(workspace)
    if bucket is not None:
        _pull(bucket, workspace, path)


def push(workspace: Workspace, path: Path) -> None:
    """Replace the bucket's copy with ``path``: for pointers whose last writer wins."""
    bucket = bucket_of(workspace)
    if bucket is not None:
        bucket.put(workspace.key(path), path)


def merge(workspace: Workspace, path: Path) -> None:
    """Pull or push a file that people edit, whichever of the two copies is newer.

    A file that was changed here since the last merge is pushed, any other pulled. Raises
    ``BucketError`` when both copies were changed; the bucket's copy is then written beside
    ``path``, for a person to combine both. Raises ``TransientError`` when another machine pushes
    at the same time.
    """
    bucket = bucket_of(workspace)
    if bucket is not None:
        _merge(bucket, workspace, path)


def merge_folder(workspace: Workspace, folder: Path, suffixes: Collection[str]) -> None:
    """Merge the files directly in ``folder`` whose names end in any of ``suffixes``, here and in
    the bucket. Hidden files and links are this machine's alone.

    A file that was removed here is fetched again; one that was removed in the bucket and not
    changed here is removed. Raises as ``merge`` does.
    """
    bucket = bucket_of(workspace)
    if bucket is None:
        return
    key = workspace.key(folder)
    names = {path.name for path in folder.glob("[!.]*")}
    names |= {each.removeprefix(f"{key}/") for each in bucket.sizes(key)}
    for path in (folder / name for name in sorted(names) if "/" not in name):
        if path.suffix in suffixes and not path.is_symlink() and not path.is_dir():
            _merge(bucket, workspace, path)


@contextlib.contextmanager
def update(workspace: Workspace, path: Path, *, by_hand: bool = False) -> Iterator[None]:
    """Pull the file, let the block change it, and push the change.

    ``by_hand`` is for files that people edit: the file is merged before the block, not pulled.
    Raises ``TransientError`` when another machine pushed meanwhile; the file is then as it was
    before the block, and the caller may try again.
    """
    bucket = bucket_of(workspace)
    if bucket is None:
        yield
        return
    tag = (_merge if by_hand else _pull)(bucket, workspace, path)
    before = _read(path)
    yield
    after = _read(path)
    if after is None or after == before:
        return
    key = workspace.key(path)
    if not bucket.compare_and_swap(key, after, tag):
        _write(path, before)
        raise TransientError(
            localised(
                "{bucket}/{key}: another machine changed it at the same time; run it again",
                bucket=bucket,
                key=key,
            )
        )
    if by_hand:
        _save_merged_digest(workspace, path, after)


def _pull(bucket: Bucket, workspace: Workspace, path: Path) -> str | None:
    """The tag of the bucket's copy, ``None`` where there is none."""
    remote = bucket.read(workspace.key(path))
    if remote is None:
        return None
    content, tag = remote
    if content != _read(path):
        _write(path, content)
    return tag


def _merge(bucket: Bucket, workspace: Workspace, path: Path) -> str | None:
    """The tag of the bucket's copy after the merge, ``None`` where there is none."""
    key = workspace.key(path)
    local = _read(path)
    remote, tag = bucket.read(key) or (None, None)
    merged = _merged_digest(workspace, path)
    if local == remote:
        pass
    elif local is None or merged == _digest(local):
        _write(path, remote)
    elif remote is None or merged == _digest(remote):
        if not bucket.compare_and_swap(key, local, tag):
            raise TransientError(
                localised(
                    "{bucket}/{key}: another machine changed it at the same time; run it again",
                    bucket=bucket,
                    key=key,
                )
            )
        tag = (bucket.read(key) or (b"", None))[1]
        remote = local
    else:
        remote_copy = path.with_name(f"{path.name}.theirs")
        _write(remote_copy, remote)
        raise BucketError(
            localised(
                "{path}: changed here and in {bucket}; needed one file. The bucket's copy is "
                "{name} beside it: combine both in {name}, rename that to {original}, and send "
                "it with: aws s3 cp {path} {bucket}/{key}",
                path=path,
                bucket=bucket,
                name=remote_copy.name,
                original=path.name,
                key=key,
            )
        )
    if remote is not None:
        _save_merged_digest(workspace, path, remote)
    return tag


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _write(path: Path, content: bytes | None) -> None:
    """Write the file; ``None`` removes it."""
    if content is None:
        path.unlink(missing_ok=True)
        return
    with atomic_file(path) as file:
        file.write(content)


def _digest(content: bytes) -> str:
    return digest(content.decode("utf-8", "backslashreplace"))


def _merge_note(workspace: Workspace, path: Path) -> Path:
    return workspace.merge_notes / f"{digest(workspace.key(path))}.json"


def _merged_digest(workspace: Workspace, path: Path) -> str:
    """Digest of the content that both copies had after the last merge; "" before the first."""
    return str((try_load_json(_merge_note(workspace, path)) or {}).get("content", ""))


def _save_merged_digest(workspace: Workspace, path: Path, content: bytes) -> None:
    if _merged_digest(workspace, path) != _digest(content):
        note = {"file": workspace.key(path), "content": _digest(content)}
        write_json(_merge_note(workspace, path), note)
