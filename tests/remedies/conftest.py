"""A workspace in which everything was done once."""

import json
import tarfile
from pathlib import Path
from types import MappingProxyType

import pytest

from core.workspace import Workspace
from preprocessing import cache
from preprocessing import prepare as preparation

_GOLDEN = Path(__file__).resolve().parents[1] / "golden"


@pytest.fixture
def golden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """The golden workspace: crawled, prepared, trained for ten steps, evaluated and promoted.

    It stands among the libraries of its making, so that the same work has the same name.
    """
    with tarfile.open(_GOLDEN / "workspace.tar.xz") as archive:
        archive.extractall(tmp_path / "golden", filter="data")
    names = json.loads((_GOLDEN / "names.json").read_text(encoding="utf-8"))
    for module in (cache, preparation):
        monkeypatch.setattr(module, "libraries", lambda: MappingProxyType(names["libraries"]))
    return Workspace(tmp_path / "golden")
