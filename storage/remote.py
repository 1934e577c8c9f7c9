"""A workspace on object storage (``SUYAN_HOME=s3://bucket/prefix``) and its folder on this machine.

Stages always work on a folder of this machine; for a bucket it is ``$SUYAN_CACHE/<name>`` (default
``~/.cache/suyan``). Results are published to the bucket, and inputs are fetched from it, once.
``bucket.json`` in the folder names the bucket; a folder without this file is a workspace of its
own.
"""

from __future__ import annotations

import os
from pathlib import Path

from core.files import digest, write_json
from core.workspace import Workspace
from storage.s3 import Bucket, open_bucket, parse_address
from storage.s3_credentials import endpoint

_SCHEME = "s3:"


def open_workspace(address: str) -> Workspace:
    """The workspace at a path; for ``s3://bucket/prefix``, its folder on this machine.

    Sends no request. Raises ``ValueError`` for a malformed address.
    """
    if not address.startswith(_SCHEME):
        return Workspace(Path(address).expanduser())
    bucket, prefix = parse_address(address)
    bucket_address = f"s3://{bucket}/{prefix}".rstrip("/")
    cache = Path(os.environ.get("SUYAN_CACHE") or "~/.cache/suyan").expanduser()
    folder = cache.absolute() / f"{bucket}-{digest(bucket_address, 8)}"
    if Workspace(folder).bucket_address != bucket_address:
        write_json(Workspace(folder).bucket_file, {"address": bucket_address})
    return Workspace(folder)


def default_workspace(address: str) -> Workspace:
    """The workspace at ``address``; "" stands for ``SUYAN_HOME``, else ``./workspace``.

    Its folder is absolute.
    """
    workspace = open_workspace(address or os.environ.get("SUYAN_HOME") or "workspace")
    return Workspace(workspace.folder.resolve())


def address_of(workspace: Workspace) -> str:
    """The address by which other machines open this workspace: ``s3://…``, or an absolute path."""
    return workspace.bucket_address or str(workspace.folder.absolute())


def bucket_of(workspace: Workspace) -> Bucket | None:
    """The bucket of the workspace, ``None`` for a workspace that is only a folder.

    Raises ``BucketError`` without credentials or without the packages of the extra ``s3``.
    """
    address = workspace.bucket_address
    return open_bucket(address, endpoint()) if address else None


def is_shared(workspace: Workspace) -> bool:
    """Whether the workspace lies in a bucket."""
    return bool(workspace.bucket_address)
