"""The pointer to a recipe's champion, ``champion.json``: the only code that reads it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from core.files import try_load_json
from core.workspace_folders import RecipeModels


@dataclass(frozen=True)
class Champion:
    """The content of ``champion.json``: the champion, and the champions before it."""

    version: str = ""  # name of the champion; "" where a recipe has none
    previous: tuple[str, ...] = ()  # names of earlier champions, the latest last
    history: tuple[Any, ...] = ()  # every change of the pointer, the latest last

    @property
    def fetchable(self) -> tuple[str, ...]:
        """The champion and the one before it; names that cannot be a folder's are left out."""
        names = [self.version, *self.previous[-1:]]
        return tuple(dict.fromkeys(name for name in names if is_version_name(name)))


def load_champion(models: RecipeModels) -> Champion:
    """The recipe's pointer; an empty one where the file is missing or cannot be read.

    Names are returned unchecked: call ``is_version_name`` before a path is built from one.
    """
    pointer = try_load_json(models.champion) or {}
    previous, history = pointer.get("previous", []), pointer.get("history", [])
    return Champion(
        str(pointer.get("model", "")),
        tuple(map(str, previous)) if isinstance(previous, list) else (),
        tuple(history) if isinstance(history, list) else (),
    )


def is_version_name(name: str) -> bool:
    """Whether ``name`` is the name of one folder: not empty, no path, not hidden."""
    return bool(name) and not name.startswith(".") and PurePath(name).name == name
