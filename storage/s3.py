"""A prefix of an S3 bucket: read, write, list and delete objects, each whole or not at all."""

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
from core.language.messages import localised
from storage.s3_credentials import connect, endpoint, missing_bucket_error, to_suyan_error

_ADDRESS = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])((?:/[A-Za-z0-9!_.*'()-]+)*)/?")
_NUM_THREADS = 16
_CHUNK_BYTES = 8 * 2**20

Item = TypeVar("Item")
Result = TypeVar("Result")


def parse_address(address: str) -> tuple[str, str]:
    """Bucket and prefix of ``s3://bucket/prefix``. Raises ``ValueError`` for any other text."""
    match = _ADDRESS.fullmatch(address)
    if match is None or ".." in address:
        raise ValueError(
            localised(
                "workspace: got {address!r}, needed s3://BUCKET or s3://BUCKET/PREFIX, "
                "without credentials or spaces in it",
                address=address,
            )
        )
    return match[1], match[2].strip("/")


class Bucket:
    """The objects below ``address`` (``s3://bucket/prefix``) by key.

    A key is a path without a leading slash. Threads may share one ``Bucket``. Every method raises
    ``BucketError`` when the storage refuses a request, and ``TransientError`` when the storage
    cannot be reached; both messages contain a remedy.
    """

    def __init__(self, address: str) -> None:
        name, prefix = parse_address(address)
        self.address = f"s3://{name}/{prefix}".rstrip("/")
        self._store = connect(name, prefix)

    def __str__(self) -> str:
        return self.address

    def put(self, key: str, content: bytes | Path) -> None:
        """Store the object, in place of an older one. A file is streamed."""
        import obstore

        with self._suyan_errors():
            obstore.put(self._store, key, content)

    def compare_and_swap(self, key: str, content: bytes, tag: str | None) -> bool:
        """Store the object if its tag is still ``tag`` (``None``: if there is no object yet).

        Returns whether it was stored: ``False`` when another machine was faster.
        """
        import obstore
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        mode: Any = "create" if tag is None else {"e_tag": tag}
        with self._suyan_errors():
            try:
                obstore.put(self._store, key, content, mode=mode, use_multipart=False)
            except (AlreadyExistsError, PreconditionError):
                return False
        return True

    def read(self, key: str) -> tuple[bytes, str] | None:
        """The object's content and its tag, which changes with it; ``None``: no such object."""
        import obstore

        with self._suyan_errors():
            try:
                response = obstore.get(self._store, key)
                return bytes(response.bytes()), response.meta["e_tag"] or ""
            except FileNotFoundError as error:
                _refuse_missing_bucket(error, self.address)
                return None

    def has(self, key: str) -> bool:
        """Whether the object exists."""
        import obstore

        with self._suyan_errors():
            try:
                obstore.head(self._store, key)
            except FileNotFoundError as error:
                _refuse_missing_bucket(error, self.address)
                return False
        return True

    def download(self, key: str, path: Path, sha256: str) -> bool:
        """Stream the object to ``path``; returns ``False`` where there is no such object.

        Raises ``BucketError``, and leaves no file, when the content's digest is not ``sha256``.
        """
        import obstore

        path.parent.mkdir(parents=True, exist_ok=True)
        actual = hashlib.sha256()
        with self._suyan_errors():
            try:
                response = obstore.get(self._store, key)
                with path.open("wb") as file:
                    for chunk in response.stream(min_chunk_size=_CHUNK_BYTES):
                        actual.update(chunk)
                        file.write(chunk)
            except FileNotFoundError as error:
                _refuse_missing_bucket(error, self.address)
                return False
        if actual.hexdigest() != sha256:
            path.unlink()
            raise BucketError(
                localised(
                    "{bucket}/{key}: its content has sha256 {hexdigest}, needed {sha256}: the "
                    "object is damaged. Delete it, and run the stage again on the machine that "
                    "wrote it, which stores it again",
                    bucket=self,
                    key=key,
                    hexdigest=actual.hexdigest(),
                    sha256=sha256,
                )
            )
        return True

    def sizes(self, folder: str) -> dict[str, int]:
        """Every key below ``folder``, with the object's length in bytes."""
        import obstore

        with self._suyan_errors():
            pages = obstore.list(self._store, f"{folder}/", chunk_size=1000)
            return {str(item["path"]): int(item["size"]) for page in pages for item in page}

    def folders(self, folder: str) -> list[str]:
        """Names of the folders directly below ``folder``, sorted."""
        import obstore

        with self._suyan_errors():
            listing = obstore.list_with_delimiter(self._store, f"{folder}/")
        return sorted(prefix.rpartition("/")[2] for prefix in listing["common_prefixes"])

    def delete(self, keys: Collection[str]) -> None:
        """Delete objects; keys without an object are ignored."""
        import obstore

        if keys:
            with self._suyan_errors(), contextlib.suppress(FileNotFoundError):
                obstore.delete(self._store, list(keys))

    def probe(self) -> float:
        """Try every kind of request on a temporary object; returns mean seconds per request.

        Raises ``BucketError`` or ``TransientError`` that says which request failed.
        """
        key, started = f"tried/{uuid.uuid4().hex}", time.monotonic()
        try:
            is_written = self.compare_and_swap(key, b"suyan", None)
            is_overwritten = self.compare_and_swap(key, b"suyan", None)
            is_readable = self.read(key) is not None
            is_listed = key in self.sizes("tried")
        finally:
            self.delete([key])
        if not is_written or is_overwritten or not is_readable or not is_listed:
            raise BucketError(
                localised(
                    "{bucket}: {endpoint} ignores conditional writes (If-None-Match), or does not "
                    "list new objects",
                    bucket=self,
                    endpoint=endpoint(),
                ),
                remedy=localised("Use S3 with both, as Amazon, MinIO, Ceph and R2 provide it"),
            )
        return (time.monotonic() - started) / 5

    def map(self, function: Callable[[Item], Result], items: Collection[Item]) -> list[Result]:
        """The results of ``function`` for each item, in order; many threads call it.

        The first error cancels the items that have not begun, and is raised.
        """
        with ThreadPoolExecutor(_NUM_THREADS) as pool:
            try:
                return list(pool.map(function, items))
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    @contextlib.contextmanager
    def _suyan_errors(self) -> Iterator[None]:
        """Raise errors of the library as errors of ours, without text that the server quoted."""
        from obstore import exceptions

        try:
            yield
        except FileNotFoundError as error:
            if error.filename is not None:  # of the local disk
                raise
            _refuse_missing_bucket(error, self.address)
            raise BucketError(
                localised("{bucket}: an object was deleted meanwhile; run it again", bucket=self)
            ) from None
        except exceptions.BaseError as error:
            raise to_suyan_error(self.address, str(error)) from None


@functools.lru_cache(maxsize=8)
def open_bucket(address: str, _endpoint_url: str = "") -> Bucket:
    """The bucket of this address; one object per process, address and endpoint."""
    return Bucket(address)


def _refuse_missing_bucket(error: FileNotFoundError, address: str) -> None:
    if "NoSuchBucket" in str(error):
        raise missing_bucket_error(address) from None
