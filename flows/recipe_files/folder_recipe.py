"""The recipe of a person's own folder of pictures, which its training writes into the workspace.

So that its runs, models and champion are apart from those of other pictures, and every command
knows them by the folder's name.
"""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

import yaml

from core.files import atomic_file
from core.workspace import Workspace
from core.workspace_folders import DatasetFolder
from flows.recipe_files.library import SHIPPED_NAMES, files_by_name
from preprocessing.version.folder_version import domains_of

_HEADER = """\
# The pictures of a folder, as they are. The command train wrote this file when it first trained on
# them; change it as you like.
"""
_LONGEST = 40  # letters of a recipe's name


def is_plain_folder(dataset: str) -> bool:
    """Whether ``dataset`` is a folder with ``trainA`` that no preparation made."""
    folder = DatasetFolder(Path(dataset))
    return folder.split("trainA").is_dir() and not folder.manifest.exists()


def folder_recipe(folder: Path, workspace: Workspace) -> str:
    """The name of the folder's recipe, whose file is written where there is none."""
    plain = re.sub(r"[^a-z0-9]+", "-", folder.resolve().name.lower()).strip("-")
    name = plain[:_LONGEST].rstrip("-") or "folder"
    if name in SHIPPED_NAMES:
        name = f"{name}-folder"
    domain_a, domain_b = domains_of(folder)
    values = {
        "crawl_a": {"domain": domain_a, "folders": [str(folder.resolve() / "trainA")]},
        "crawl_b": {"domain": domain_b, "folders": [str(folder.resolve() / "trainB")]},
        "prepare": {"faces": False},
    }
    text = _HEADER + yaml.safe_dump(values, allow_unicode=True, sort_keys=False, width=96)
    if name not in files_by_name(workspace):
        file = workspace.recipe_file(name)
        with contextlib.suppress(FileExistsError), atomic_file(file, is_new=True) as draft:
            draft.write(text.encode())
    return name
