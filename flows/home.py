"""Where things lie: the workspace of a flow run, the repository with prefect.yaml, its version."""

from __future__ import annotations

import os
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from storage.workspace import local_folder

ROOT = Path(__file__).resolve().parents[1]


def _version() -> str:
    try:
        return version("suyan")
    except PackageNotFoundError:
        return "unknown"


VERSION = _version()


def workspace_folder(given: str) -> Path:
    """The workspace as an absolute path: as given, or the worker's SUYAN_HOME, or ./workspace.

    For ``s3://bucket/prefix`` the folder that stands in for it on this machine.
    """
    return local_folder(given or os.environ.get("SUYAN_HOME") or "workspace").resolve()
