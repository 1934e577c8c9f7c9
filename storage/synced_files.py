"""Single small files of a workspace that people and machines change: pointers, decisions.

The bucket's is the one that counts. A change is sent only if nobody else changed it meanwhile.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

from core.errors import BucketError, TransientError
from core.files import atomic_file, digest, write_json
from core.workspace import Workspace
from storage.remote import bucket_of
from storage.s3 import Bucket


def follow(workspace: Workspace, path: Path) -> None:
    """Make ``path`` what the bucket has; without a bucket, or a file there, nothing happens."""
    bucket = bucket_of(workspace)
    if bucket is not None:
        _follow(bucket, workspace, path)


def agree(workspace: Workspace, path: Path) -> None:
    """The same for a file that people edit.

    One that was changed here since it last came is sent instead. Raises ``BucketError`` when it
    was changed there too: theirs then lies beside it, for a person to bring together.
    """
    bucket = bucket_of(workspace)
    if bucket is not None:
        _agree(bucket, workspace, path)


@contextlib.contextmanager
def changing(workspace: Workspace, path: Path, *, by_hand: bool = False) -> Iterator[None]:
    """Fetch the file (``by_hand``: as ``agree`` does), let the block change it, and send it.

    Raises ``TransientError`` when another machine was faster: nothing of theirs is lost, and the
    same again goes by what is there now.
    """
    bucket = bucket_of(workspace)
    if bucket is None:
        yield
        return
    tag = (_agree if by_hand else _follow)(bucket, workspace, path)
    before = _content(path)
    yield
    after = _content(path)
    if after is None or after == before:
        return
    key = _key(workspace, path)
    if not bucket.swap(key, after, tag):
        _write(path, before)
        raise TransientError(
            f"{bucket}/{key}: another machine changed it at the same time; run it again"
        )
    if by_hand:
        _remember(workspace, path, after)


def send(workspace: Workspace, path: Path) -> None:
    """Store the file as it is here, whatever is there: for pointers that the last one wins."""
    bucket = bucket_of(workspace)
    if bucket is not None:
        bucket.put(_key(workspace, path), path)


def _follow(bucket: Bucket, workspace: Workspace, path: Path) -> str | None:
    """Take what is there; its tag."""
    found = bucket.read(_key(workspace, path))
    if found is None:
        return None
    if found[0] != _content(path):
        _write(path, found[0])
    return found[1]


def _agree(bucket: Bucket, workspace: Workspace, path: Path) -> str | None:
    """Make the file the same here and there; its tag there, ``None`` where it is nowhere."""
    key = _key(workspace, path)
    ours, found = _content(path), bucket.read(key)
    theirs, tag = found or (None, None)
    if ours == theirs:
        pass
    elif ours is None or _last(workspace, path) == _digest(ours):
        _write(path, theirs)
    elif theirs is None or _last(workspace, path) == _digest(theirs):
        if not bucket.swap(key, ours, tag):
            raise TransientError(f"{bucket}/{key}: another machine changed it now; run it again")
        tag = (bucket.read(key) or (b"", None))[1]
        theirs = ours
    else:
        beside = path.with_name(f"{path.name}.theirs")
        _write(beside, theirs)
        raise BucketError(
            f"{path}: changed here and in {bucket}, needed one of both. Theirs is {beside.name} "
            f"beside it: bring them together in {beside.name}, put it in the place of "
            f"{path.name}, and send it with: aws s3 cp {path} {bucket}/{key}"
        )
    if theirs is not None:
        _remember(workspace, path, theirs)
    return tag


def _key(workspace: Workspace, path: Path) -> str:
    return path.relative_to(workspace).as_posix()


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _write(path: Path, content: bytes | None) -> None:
    if content is None:
        path.unlink(missing_ok=True)
        return
    with atomic_file(path) as file:
        file.write(content)


def _digest(content: bytes) -> str:
    return digest(content.decode("utf-8", "backslashreplace"))


def _note(workspace: Workspace, path: Path) -> Path:
    return workspace / "cache" / "agreed" / f"{digest(_key(workspace, path))}.json"


def _last(workspace: Workspace, path: Path) -> str:
    """Digest of what both had when they last agreed; "" when they never did."""
    try:
        return str(json.loads(_note(workspace, path).read_text(encoding="utf-8"))["content"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _remember(workspace: Workspace, path: Path, content: bytes) -> None:
    if _last(workspace, path) != _digest(content):
        name = {"file": _key(workspace, path), "content": _digest(content)}
        write_json(_note(workspace, path), name)
