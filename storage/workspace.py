"""A workspace on object storage: ``SUYAN_HOME=s3://bucket/prefix``, and the folder that stands in.

Stages work on a folder of this machine, as ever: ``$SUYAN_CACHE/<name>`` (``~/.cache/suyan``). What
they make is published to the bucket, what they need is fetched from it, once. ``bucket.json`` in
the folder says which bucket it belongs to; a folder without one is a workspace of its own.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from scraping.records import digest, write_json
from storage.bucket import Bucket, opened, parsed
from storage.connection import endpoint

_BOUND = "bucket.json"
_SCHEME = "s3:"


def local_folder(given: str) -> Path:
    """The workspace's folder on this machine, for a path or ``s3://bucket/prefix``.

    Asks no network. Raises ``ValueError`` for an address that is none.
    """
    if not given.startswith(_SCHEME):
        return Path(given).expanduser()
    name, prefix = parsed(given)
    address = f"s3://{name}/{prefix}".rstrip("/")
    cache = Path(os.environ.get("SUYAN_CACHE") or "~/.cache/suyan").expanduser()
    folder = cache.absolute() / f"{name}-{digest(address, 8)}"
    if address_of(folder) != address:
        write_json(folder / _BOUND, {"address": address})
    return folder


def address_of(workspace: Path) -> str:
    """What other machines know this workspace by: ``s3://…``, or its absolute path."""
    return _bound(workspace) or str(workspace.absolute())


def bucket_of(workspace: Path) -> Bucket | None:
    """The bucket that the workspace lies in, ``None`` where the folder is all there is.

    Raises ``BucketError`` without credentials or without the packages of the extra ``s3``.
    """
    address = _bound(workspace)
    return opened(address, endpoint()) if address else None


def is_shared(workspace: Path) -> bool:
    """Whether the workspace lies in a bucket."""
    return bool(_bound(workspace))


def _bound(workspace: Path) -> str:
    path = workspace / _BOUND
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["address"])
    except FileNotFoundError:
        return ""
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path}: got something that names no bucket ({error}), needed what suyan wrote there; "
            "remove this file, and give the workspace as s3://… again"
        ) from error
