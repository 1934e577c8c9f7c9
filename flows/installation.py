"""Where things lie: the workspace of a flow run, the repository with prefect.yaml, its version."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def _version() -> str:
    try:
        return version("suyan")
    except PackageNotFoundError:
        return "unknown"


VERSION = _version()
