"""Folders in a bucket: dataset versions, checkpoints, models. Readers see a whole one or none.

The files of ``datasets/v1`` lie below ``datasets/v1/`` under their own names with their content's
digest in them (``trainA/01.<sha256>.png``), so that two who publish at once never write to one
another's objects. ``datasets/v1/published.json`` names the files of one of them; it comes last, and
without it there is nothing to see. Who was killed in between finds what was sent already.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

from filelock import FileLock

from core.errors import BucketError, TransientError
from core.files import canonical_json, file_sha256, sync_folder
from storage.s3 import Bucket

MARKER = "published.json"
_DIGITS = 16
_AT_ONCE = 16
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Published:
    """What ``published.json`` says: sha256 of each file by its path in the folder."""

    files: Mapping[str, str]
    tag: str


def publish(
    bucket: Bucket, folder: Path, name: str, *, files: Collection[Path] = (), again: bool = False
) -> Published:
    """Make ``folder`` (or some files of it) appear in the bucket under ``name``, whole.

    What was published first stays, and comes back; with ``again`` the newest replaces it.
    """
    before = read(bucket, name)
    if before is not None and not again:
        return before
    chosen = files or _files(folder)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        digests = pool.map(file_sha256, chosen)
        ours = {
            path.relative_to(folder).as_posix(): sha256
            for path, sha256 in zip(chosen, digests, strict=True)
        }
    if before is not None and before.files == ours:
        return before
    sent = bucket.sizes(name)
    missing = {
        key: folder / path
        for path, sha256 in ours.items()
        if (key := f"{name}/{_stored(path, sha256)}") not in sent
    }
    bucket.each(lambda item: bucket.put(*item), missing.items())
    content = canonical_json({"files": ours}).encode()
    if bucket.swap(f"{name}/{MARKER}", content, before.tag if before else None):
        return Published(ours, "")
    theirs = read(bucket, name)
    if theirs is None or again:
        raise TransientError(f"{bucket}/{name}: another machine published it too; run it again")
    return theirs


def read(bucket: Bucket, name: str) -> Published | None:
    """What is published under this name. Raises ``BucketError`` for what we never wrote."""
    found = bucket.read(f"{name}/{MARKER}")
    if found is None:
        return None
    content, tag = found
    try:
        files = {str(path): str(sha256) for path, sha256 in json.loads(content)["files"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _strange(bucket, name, str(error)) from error
    for path, sha256 in files.items():
        parts = PurePosixPath(path).parts
        if not parts or path.startswith("/") or ".." in parts or not _SHA256.fullmatch(sha256):
            raise _strange(bucket, name, f"the entry {path[:80]!r}")
    return Published(files, tag)


def fetch(bucket: Bucket, folder: Path, name: str, *, replace: bool = False) -> bool:
    """Bring what is published under ``name`` to ``folder``; whether there is such a thing.

    A folder that is there already stays, unless ``replace``: then it becomes as published. Each
    file is compared with its digest; what an interrupted call had brought is not brought again.
    """
    if folder.is_dir() and not replace:
        return True
    published = read(bucket, name)
    if published is None:
        return False
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.parent / f".{folder.name}.fetch.lock"):
        if folder.is_dir() and (not replace or is_same(folder, published)):
            return True
        partial_folder = folder.with_name(f".{folder.name}.fetched")
        bring(bucket, partial_folder, name, published, known=folder)
        wanted = {partial_folder / path for path in published.files}
        for path in partial_folder.rglob("*"):
            if path.is_file() and path not in wanted:  # of an interrupted call
                path.unlink()
        _settle(partial_folder, folder)
    return True


def bring(
    bucket: Bucket, target: Path, name: str, published: Published, known: Path | None = None
) -> None:
    """Make ``target`` hold the published files, taking those that ``known`` has from there."""
    place = partial(_place, bucket, target, name, known)
    bucket.each(place, published.files.items())


def read_file(bucket: Bucket, name: str, published: Published, path: str) -> bytes:
    """The content of one published file; empty where the folder has none of this name."""
    sha256 = published.files.get(path)
    found = bucket.read(f"{name}/{_stored(path, sha256)}") if sha256 else None
    return found[0] if found else b""


def names(bucket: Bucket, parent: str) -> list[str]:
    """Names of the folders below ``parent`` that are published."""
    found = bucket.folders(parent)
    whole = bucket.each(lambda name: bucket.has(f"{parent}/{name}/{MARKER}"), found)
    return [name for name, is_whole in zip(found, whole, strict=True) if is_whole]


def withdraw(bucket: Bucket, name: str) -> None:
    """Remove a published folder: nobody sees it any more, then its files go."""
    bucket.remove([f"{name}/{MARKER}"])
    bucket.remove(bucket.sizes(name))


def _place(
    bucket: Bucket, target: Path, name: str, known: Path | None, entry: tuple[str, str]
) -> None:
    path, sha256 = entry
    file = target / path
    if file.is_file() and file_sha256(file) == sha256:
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    if known is not None and (known / path).is_file() and file_sha256(known / path) == sha256:
        shutil.copyfile(known / path, file)
    else:
        fresh = file.with_name(f".{file.name}.{os.getpid()}.tmp")
        if not bucket.download(f"{name}/{_stored(path, sha256)}", fresh, sha256):
            raise TransientError(
                f"{bucket}/{name}: {path} is gone; it was removed or replaced while we read it. "
                "Run it again; if it stays so, remove this folder from the bucket and publish anew"
            )
        fresh.replace(file)
    with file.open("rb") as handle:
        os.fsync(handle.fileno())


def _settle(fetched: Path, folder: Path) -> None:
    old = folder.with_name(f".{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.is_dir():
        folder.rename(old)
    fetched.rename(folder)
    sync_folder(folder.parent)
    shutil.rmtree(old, ignore_errors=True)


def is_same(folder: Path, published: Published) -> bool:
    """Whether the folder holds the published files, byte for byte, and no others."""
    here = {path.relative_to(folder).as_posix() for path in _files(folder)}
    return here == published.files.keys() and all(
        file_sha256(folder / path) == sha256 for path, sha256 in published.files.items()
    )


def _files(folder: Path) -> list[Path]:
    """Its files but hidden ones (locks, temporary files), in order."""
    inside: Iterable[Path] = sorted(folder.rglob("*"))
    return [
        path
        for path in inside
        if path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]


def _stored(path: str, sha256: str) -> str:
    pure = PurePosixPath(path)
    return str(pure.with_name(f"{pure.stem}.{sha256[:_DIGITS]}{pure.suffix}"))


def _strange(bucket: Bucket, name: str, what: str) -> BucketError:
    return BucketError(
        f"{bucket}/{name}/{MARKER}: got {what}, needed what suyan publishes; remove "
        f"{bucket}/{name} and publish it again"
    )
