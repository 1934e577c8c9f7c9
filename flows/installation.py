"""The installed program: the folder of the repository, the packages in it, its version."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = (
    "core", "storage", "scraping", "preprocessing", "training", "evaluation", "serving", "flows",
    "cli",
)  # fmt: skip


def _version() -> str:
    try:
        return version("suyan")
    except PackageNotFoundError:
        return "unknown"


VERSION = _version()
