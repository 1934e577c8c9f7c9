"""The folders into which a workspace's dataset versions were exported, on this machine."""

from __future__ import annotations

from pathlib import Path

from core.files import try_load_json, write_json
from core.locks import file_lock
from core.workspace import Workspace

FOLDER_FORMATS = ("huggingface", "folders")
"""The formats of which an export is a folder, ``<version>-<format>``; the others are files."""


def record_export(workspace: Workspace, folder: Path) -> None:
    """Record that ``folder`` gets an export, so that ``suyan forget`` finds it."""
    path, folder = workspace.exports, folder.absolute()
    with file_lock(path.with_name(f".{path.name}.lock")):
        folders = export_folders(workspace)
        if folder not in folders:
            write_json(path, {"folders": sorted(str(each) for each in (*folders, folder))})


def export_folders(workspace: Workspace) -> list[Path]:
    """The folders of all recorded exports; some may be gone."""
    content = try_load_json(workspace.exports) or {}
    return [Path(folder) for folder in content.get("folders", ())]
