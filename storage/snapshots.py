"""Folders in a bucket (dataset versions, checkpoints, models) that readers see whole or not at all.

The files of ``datasets/v1`` are stored below ``datasets/v1/``, each with its content's digest in
its name (``trainA/01.<sha256>.png``), so that two machines that publish at the same time never
overwrite each other's objects. ``datasets/v1/published.json`` is written last and lists the files
of the snapshot; without it the snapshot does not exist. Files that a killed process has sent stay
in the bucket, and the next call does not send them again.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

from core.errors import BucketError, TransientError
from core.files import canonical_json, file_sha256, sync_file, sync_folder
from core.language.messages import localised
from core.locks import file_lock
from storage.s3 import Bucket

MARKER = "published.json"
_NUM_DIGITS = 16  # of a digest in an object's name
_NUM_THREADS = 16
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Snapshot:
    """The content of ``published.json``."""

    files: Mapping[str, str]  # sha256 of each file by its path in the folder
    tag: str  # of the marker object, for conditional writes; "" right after publishing


def publish(
    bucket: Bucket,
    folder: Path,
    name: str,
    *,
    files: Collection[Path] = (),
    replace: bool = False,
) -> Snapshot:
    """Publish ``folder`` (or only ``files`` of it) under ``name``; returns the bucket's snapshot.

    An older snapshot of this name stays and is returned; with ``replace`` the new one takes its
    place. Objects that it lists and the bucket has lost are stored again where the folder has them.
    Raises ``TransientError`` when another machine replaced it at the same time.
    """
    older = load(bucket, name)
    if older is not None and not replace:
        _restore_lost(bucket, folder, name, older)
        return older
    paths = files or _visible_files(folder)
    with ThreadPoolExecutor(_NUM_THREADS) as pool:
        digests = pool.map(file_sha256, paths)
        digest_by_path = {
            path.relative_to(folder).as_posix(): sha256
            for path, sha256 in zip(paths, digests, strict=True)
        }
    if older is not None and older.files == digest_by_path:
        _restore_lost(bucket, folder, name, older)
        return older
    stored = bucket.sizes(name)
    missing = {
        key: folder / path
        for path, sha256 in digest_by_path.items()
        if (key := f"{name}/{object_name(path, sha256)}") not in stored
    }
    bucket.map(lambda item: bucket.put(*item), missing.items())
    content = canonical_json({"files": digest_by_path}).encode()
    if bucket.compare_and_swap(f"{name}/{MARKER}", content, older.tag if older else None):
        return Snapshot(digest_by_path, "")
    concurrent = load(bucket, name)
    if concurrent is None or replace:
        raise TransientError(
            localised(
                "{bucket}/{name}: another machine published it too; run it again",
                bucket=bucket,
                name=name,
            )
        )
    return concurrent


def _restore_lost(bucket: Bucket, folder: Path, name: str, snapshot: Snapshot) -> None:
    """Store what the snapshot lists and the bucket lacks: a damaged object that was deleted."""
    stored = bucket.sizes(name)
    for path, sha256 in snapshot.files.items():
        key, file = f"{name}/{object_name(path, sha256)}", folder / path
        if key not in stored and file.is_file() and file_sha256(file) == sha256:
            bucket.put(key, file)


def load(bucket: Bucket, name: str) -> Snapshot | None:
    """The snapshot of this name, or ``None``. Raises ``BucketError`` for a malformed marker."""
    marker = bucket.read(f"{name}/{MARKER}")
    if marker is None:
        return None
    content, tag = marker
    try:
        files = {str(path): str(sha256) for path, sha256 in json.loads(content)["files"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _marker_error(bucket, name, str(error)) from error
    for path, sha256 in files.items():
        parts = PurePosixPath(path).parts
        if not parts or path.startswith("/") or ".." in parts or not _SHA256.fullmatch(sha256):
            raise _marker_error(bucket, name, localised("the entry {path!r}", path=path[:80]))
    return Snapshot(files, tag)


def fetch(bucket: Bucket, folder: Path, name: str, *, replace: bool = False) -> bool:
    """Download the snapshot ``name`` to ``folder``; returns whether the folder exists afterwards.

    An existing folder stays as it is; with ``replace`` it becomes the snapshot. Every file is
    compared with its digest. Files that an interrupted call downloaded are used.
    """
    if folder.is_dir() and not replace:
        return True
    snapshot = load(bucket, name)
    if snapshot is None:
        return False
    with file_lock(folder.parent / f".{folder.name}.fetch.lock"):
        if folder.is_dir() and (not replace or is_identical(folder, snapshot)):
            return True
        draft = folder.with_name(f".{folder.name}.fetched")
        download(bucket, draft, name, snapshot, existing=folder)
        expected = {draft / path for path in snapshot.files}
        for path in draft.rglob("*"):
            if path.is_file() and path not in expected:  # from an interrupted call
                path.unlink()
        _replace_folder(folder, draft)
    return True


def download(
    bucket: Bucket, target: Path, name: str, snapshot: Snapshot, existing: Path | None = None
) -> None:
    """Write the files of the snapshot to ``target``; other files there stay.

    Files that the folder ``existing`` has with the same content are copied, not downloaded.
    """
    download_one = partial(_download_file, bucket, target, name, existing)
    bucket.map(download_one, snapshot.files.items())


def read_file(bucket: Bucket, name: str, snapshot: Snapshot, path: str) -> bytes:
    """The content of one file of a snapshot; empty where the snapshot has no such file."""
    sha256 = snapshot.files.get(path)
    response = bucket.read(f"{name}/{object_name(path, sha256)}") if sha256 else None
    return response[0] if response else b""


def names(bucket: Bucket, parent: str) -> list[str]:
    """Names of the snapshots directly below ``parent``, sorted."""
    folders = bucket.folders(parent)
    published = bucket.map(lambda name: bucket.has(f"{parent}/{name}/{MARKER}"), folders)
    return [name for name, is_whole in zip(folders, published, strict=True) if is_whole]


def delete(bucket: Bucket, name: str) -> None:
    """Delete a snapshot: first its marker, so that readers see none, then its files."""
    bucket.delete([f"{name}/{MARKER}"])
    bucket.delete(bucket.sizes(name))


def remove_files(bucket: Bucket, name: str, paths: Collection[str]) -> None:
    """Remove some files of a snapshot: first from its list, so that no reader misses one.

    Raises ``TransientError`` when another machine replaced the snapshot at the same time.
    """
    snapshot = load(bucket, name)
    if snapshot is None:
        return
    remaining = {path: sha256 for path, sha256 in snapshot.files.items() if path not in paths}
    content = canonical_json({"files": remaining}).encode()
    if not bucket.compare_and_swap(f"{name}/{MARKER}", content, snapshot.tag):
        raise TransientError(
            localised(
                "{bucket}/{name}: another machine published it too; run it again",
                bucket=bucket,
                name=name,
            )
        )
    objects = {object_name(path, sha256) for path, sha256 in remaining.items()}
    bucket.delete(
        [
            f"{name}/{removed}"
            for path in paths
            if path in snapshot.files
            and (removed := object_name(path, snapshot.files[path])) not in objects
        ]
    )


def unlisted(bucket: Bucket, name: str, *, nested: Collection[str] = ()) -> set[str]:
    """Keys of objects below a snapshot that it does not list: replaced files, and those of killed
    publishers. Folders in the folders ``nested`` are snapshots of their own and are left out.
    """
    snapshot = load(bucket, name)
    listed = {f"{name}/{MARKER}"}
    if snapshot is not None:
        listed |= {f"{name}/{object_name(*entry)}" for entry in snapshot.files.items()}
    parents = tuple(f"{name}/{folder}/" for folder in nested)
    return {
        key
        for key in bucket.sizes(name).keys() - listed
        if not any(key.startswith(parent) and "/" in key[len(parent) :] for parent in parents)
    }


def is_identical(folder: Path, snapshot: Snapshot) -> bool:
    """Whether the folder holds exactly the files of the snapshot, byte for byte.

    Hidden files do not count.
    """
    paths = {path.relative_to(folder).as_posix() for path in _visible_files(folder)}
    return paths == snapshot.files.keys() and all(
        file_sha256(folder / path) == sha256 for path, sha256 in snapshot.files.items()
    )


def _download_file(
    bucket: Bucket, target: Path, name: str, existing: Path | None, entry: tuple[str, str]
) -> None:
    path, sha256 = entry
    file = target / path
    if file.is_file() and file_sha256(file) == sha256:
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    copy = existing / path if existing is not None else None
    if copy is not None and copy.is_file() and file_sha256(copy) == sha256:
        shutil.copyfile(copy, file)
    else:
        draft = file.with_name(f".{file.name}.{os.getpid()}.tmp")
        if not bucket.download(f"{name}/{object_name(path, sha256)}", draft, sha256):
            raise TransientError(
                localised(
                    "{bucket}/{name}: {path} was removed or replaced during the download. Run it "
                    "again; if that does not help, run the stage again on the machine that wrote "
                    "it, which stores the file again",
                    bucket=bucket,
                    name=name,
                    path=path,
                )
            )
        draft.replace(file)
    sync_file(file)


def _replace_folder(folder: Path, draft: Path) -> None:
    old = folder.with_name(f".{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.is_dir():
        folder.rename(old)
    draft.rename(folder)
    sync_folder(folder.parent)
    shutil.rmtree(old, ignore_errors=True)


def _visible_files(folder: Path) -> list[Path]:
    """The folder's files, sorted, without hidden ones (locks, temporary files)."""
    return [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]


def object_name(path: str, sha256: str) -> str:
    """The name of a file's object below its snapshot."""
    pure = PurePosixPath(path)
    return str(pure.with_name(f"{pure.stem}.{sha256[:_NUM_DIGITS]}{pure.suffix}"))


def _marker_error(bucket: Bucket, name: str, content: str) -> BucketError:
    return BucketError(
        localised(
            "{bucket}/{name}/{marker}: got {content}, needed a list of files and "
            "digests; remove this object, and run the stage again on the machine that "
            "wrote it",
            bucket=bucket,
            name=name,
            marker=MARKER,
            content=content,
        )
    )
