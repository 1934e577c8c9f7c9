"""The environment in which hubs are a server on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hub_server import TOKEN, HubServer, hub_server

from storage.hub.hub_listing import MODEL_FILES


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    """A hub without repositories; this process has its token."""
    pytest.importorskip("huggingface_hub", reason="needs the extra hub: pip install -e '.[hub]'")
    with hub_server() as server:
        for name, value in {
            "HF_ENDPOINT": server.url,
            "MODELSCOPE_ENDPOINT": server.url,
            "HF_TOKEN": TOKEN,
            "HF_HOME": str(tmp_path / "hf"),
            "SUYAN_CACHE": str(tmp_path / "cache"),
        }.items():
            monkeypatch.setenv(name, value)
        monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
        yield server


def model_content(folder: Path) -> dict[str, bytes]:
    """The files of a model's folder that a hub gets."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name in MODEL_FILES}
