"""The pointer to a recipe's champion, ``champion.json``: the only code that reads it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from core.files import try_load_json
from core.workspace_folders import RecipeModels


@dataclass(frozen=True)
class Champion:
    """The content of the pointer, as far as it says which versions were promoted, and when."""

    version: str = ""  # name of the champion; "" where a recipe has none
    previous: tuple[str, ...] = ()  # names of earlier champions, the latest last
    history: tuple[Any, ...] = ()  # every change of the pointer, the latest last

    @property
    def fetchable(self) -> tuple[str, ...]:
        """The champion and the one before it, without names that are no folder's."""
        names = [self.version, *self.previous[-1:]]
        return tuple(dict.fromkeys(name for name in names if is_version_name(name)))


def load_champion(models: RecipeModels) -> Champion:
    """The recipe's pointer; an empty one where the file is missing or cannot be read.

    Names are as the file has them: check ``is_version_name`` before making a path of one.
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
