"""A workspace on object storage: ``SUYAN_HOME=s3://bucket/prefix``, and the folder that stands in.

Stages work on a folder of this machine, as ever: ``$SUYAN_CACHE/<name>`` (``~/.cache/suyan``). What
they make is published to the bucket, what they need is fetched from it, once. ``bucket.json`` in
the folder says which bucket it belongs to; a folder without one is a workspace of its own.
"""

from __future__ import annotations

import os
from pathlib import Path

from core.files import digest, write_json
from core.workspace import Workspace
from storage.s3 import Bucket, opened, parsed
from storage.s3_client import endpoint

_SCHEME = "s3:"


def open_workspace(given: str) -> Workspace:
    """The workspace at a path or ``s3://bucket/prefix``: its folder on this machine.

    Asks no network. Raises ``ValueError`` for an address that is none.
    """
    if not given.startswith(_SCHEME):
        return Workspace(Path(given).expanduser())
    name, prefix = parsed(given)
    address = f"s3://{name}/{prefix}".rstrip("/")
    cache = Path(os.environ.get("SUYAN_CACHE") or "~/.cache/suyan").expanduser()
    folder = cache.absolute() / f"{name}-{digest(address, 8)}"
    if Workspace(folder).bucket_address != address:
        write_json(Workspace(folder).bucket_file, {"address": address})
    return Workspace(folder)


def default_workspace(given: str) -> Workspace:
    """The workspace as given, else ``SUYAN_HOME``, else ``./workspace``; its folder is absolute."""
    workspace = open_workspace(given or os.environ.get("SUYAN_HOME") or "workspace")
    return Workspace(workspace.folder.resolve())


def address_of(workspace: Workspace) -> str:
    """What other machines know this workspace by: ``s3://…``, or its absolute path."""
    return workspace.bucket_address or str(workspace.folder.absolute())


def bucket_of(workspace: Workspace) -> Bucket | None:
    """The bucket that the workspace lies in, ``None`` where the folder is all there is.

    Raises ``BucketError`` without credentials or without the packages of the extra ``s3``.
    """
    address = workspace.bucket_address
    return opened(address, endpoint()) if address else None


def is_shared(workspace: Workspace) -> bool:
    """Whether the workspace lies in a bucket."""
    return bool(workspace.bucket_address)
