"""One prefix of a bucket on object storage that speaks S3: objects appear whole or not at all."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import re
import time
import uuid
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from core.errors import BucketError
from storage.s3_client import connect, endpoint, explained, no_bucket

_ADDRESS = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])((?:/[A-Za-z0-9!_.*'()-]+)*)/?")
_AT_ONCE = 16
_CHUNK_BYTES = 8 * 2**20

Item = TypeVar("Item")
Result = TypeVar("Result")


def parsed(address: str) -> tuple[str, str]:
    """Bucket and prefix of ``s3://bucket/prefix``. Raises ``ValueError`` for any other text."""
    match = _ADDRESS.fullmatch(address)
    if match is None or ".." in address:
        raise ValueError(
            f"workspace: got {address!r}, needed s3://BUCKET or s3://BUCKET/PREFIX, without "
            "credentials or spaces in it"
        )
    return match[1], match[2].strip("/")


class Bucket:
    """The objects below ``address`` by key, a path without a leading slash. For many threads.

    Every method raises ``BucketError`` when storage refuses, ``TransientError`` when it cannot be
    reached; both say what to do.
    """

    def __init__(self, address: str) -> None:
        name, prefix = parsed(address)
        self.address = f"s3://{name}/{prefix}".rstrip("/")
        self._store = connect(name, prefix)

    def __str__(self) -> str:
        return self.address

    def put(self, key: str, content: bytes | Path) -> None:
        """Store the object, in place of an old one. A file is read as it is sent."""
        import obstore

        with self._explained():
            obstore.put(self._store, key, content)

    def swap(self, key: str, content: bytes, tag: str | None) -> bool:
        """Store the object if it is still the one with this tag (``None``: if there is none).

        False when somebody else was faster.
        """
        import obstore
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        mode: Any = "create" if tag is None else {"e_tag": tag}
        with self._explained():
            try:
                obstore.put(self._store, key, content, mode=mode, use_multipart=False)
            except (AlreadyExistsError, PreconditionError):
                return False
        return True

    def read(self, key: str) -> tuple[bytes, str] | None:
        """The object's content and its tag, which changes with it; ``None`` where there is none."""
        import obstore

        with self._explained():
            try:
                found = obstore.get(self._store, key)
                return bytes(found.bytes()), found.meta["e_tag"] or ""
            except FileNotFoundError as error:
                _refuse_missing_bucket(error, self.address)
                return None

    def has(self, key: str) -> bool:
        """Whether there is such an object."""
        import obstore

        with self._explained():
            try:
                obstore.head(self._store, key)
            except FileNotFoundError as error:
                _refuse_missing_bucket(error, self.address)
                return False
        return True

    def download(self, key: str, path: Path, sha256: str) -> bool:
        """Write the object to ``path``, bit by bit; False where there is none.

        Raises ``BucketError`` when its content is not what ``sha256`` names; no file stays then.
        """
        import obstore

        path.parent.mkdir(parents=True, exist_ok=True)
        seen = hashlib.sha256()
        with self._explained():
            try:
                found = obstore.get(self._store, key)
                with path.open("wb") as file:
                    for chunk in found.stream(min_chunk_size=_CHUNK_BYTES):
                        seen.update(chunk)
                        file.write(chunk)
            except FileNotFoundError as error:
                _refuse_missing_bucket(error, self.address)
                return False
        if seen.hexdigest() != sha256:
            path.unlink()
            raise BucketError(
                f"{self}/{key}: its content has sha256 {seen.hexdigest()}, needed {sha256}: it was "
                "changed or damaged. Remove this object, and let the machine that has the original "
                "publish it again"
            )
        return True

    def sizes(self, folder: str) -> dict[str, int]:
        """Every key below a folder, with its length in bytes."""
        import obstore

        with self._explained():
            pages = obstore.list(self._store, f"{folder}/", chunk_size=1000)
            return {str(item["path"]): int(item["size"]) for page in pages for item in page}

    def folders(self, folder: str) -> list[str]:
        """Names of what lies directly below a folder and has something below itself."""
        import obstore

        with self._explained():
            found = obstore.list_with_delimiter(self._store, f"{folder}/")
        return sorted(prefix.rpartition("/")[2] for prefix in found["common_prefixes"])

    def remove(self, keys: Collection[str]) -> None:
        """Remove objects; those that are not there do not matter."""
        import obstore

        if keys:
            with self._explained(), contextlib.suppress(FileNotFoundError):
                obstore.delete(self._store, list(keys))

    def try_out(self) -> float:
        """Do each thing that is needed, on an object that is gone afterwards; seconds a request.

        Raises ``BucketError`` or ``TransientError`` that say what does not work.
        """
        key, began = f"tried/{uuid.uuid4().hex}", time.monotonic()
        try:
            written = self.swap(key, b"suyan", None)
            again = self.swap(key, b"suyan", None)
            found = self.read(key)
            listed = key in self.sizes("tried")
        finally:
            self.remove([key])
        if not written or again or found is None or not listed:
            raise BucketError(
                f"{self}: {endpoint()} does not keep to conditional writes (If-None-Match), or "
                "does not list what was written",
                remedy="Use S3 as Amazon, MinIO, Ceph and R2 have it",
            )
        return (time.monotonic() - began) / 5

    def each(self, act: Callable[[Item], Result], items: Collection[Item]) -> list[Result]:
        """``act`` on each, many at a time; the first error ends it."""
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            try:
                return list(pool.map(act, items))
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn what the library raises into our errors, without what a server may have quoted."""
        from obstore import exceptions

        try:
            yield
        except FileNotFoundError as error:
            if error.filename is not None:  # a file of this machine
                raise
            _refuse_missing_bucket(error, self.address)
            raise BucketError(f"{self}: an object that was there is gone; run it again") from None
        except exceptions.BaseError as error:
            raise explained(self.address, str(error)) from None


@functools.lru_cache(maxsize=8)
def opened(address: str, _endpoint_url: str = "") -> Bucket:
    """The bucket of this address, made once in a process."""
    return Bucket(address)


def _refuse_missing_bucket(error: FileNotFoundError, address: str) -> None:
    if "NoSuchBucket" in str(error):
        raise no_bucket(address) from None
