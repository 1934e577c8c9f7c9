"""The installed program: the folder of the repository, the packages in it, its version."""

from __future__ import annotations

import tomllib
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = (
    "core", "storage", "scraping", "preprocessing", "training", "evaluation", "serving", "flows",
    "cli",
)  # fmt: skip


def _version() -> str:
    project = ROOT / "pyproject.toml"
    if project.is_file():  # what pip recorded is older, in a clone that was updated since
        text = project.read_text(encoding="utf-8")
        return str(tomllib.loads(text)["project"]["version"])
    return version("suyan")


VERSION = _version()
