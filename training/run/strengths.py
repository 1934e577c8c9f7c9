"""The strengths of a stored model's generators, ``strengths.json`` beside its weights.

``{"G_A": 1.25, "G_B": 1.0}``: how many times its trained change a generator applies. A model of
strength 1 has no such file, and neither has a checkpoint of a run.
"""

from __future__ import annotations

import json
from pathlib import Path

from core.commands import suyan_command
from core.errors import CheckpointError
from core.files import load_json
from core.language.messages import localised
from core.workspace_folders import ModelFolder

MAX_STRENGTH = 3.0
_GENERATORS = ("G_A", "G_B")
_MAX_LETTERS = 60  # of a wrong value in a message


def load_strengths(folder: Path) -> dict[str, float]:
    """The strengths of ``G_A`` and ``G_B``, above 0 and at most 3; 1 where none is stored.

    Raises ``CheckpointError`` that names what the file holds and what it needs.
    """
    path = ModelFolder(folder).strengths
    try:
        stored = load_json(path)
    except FileNotFoundError:
        stored = {}
    except (ValueError, RecursionError) as error:
        raise CheckpointError(
            localised(
                "{path}: found no strengths ({error}); {remedy}",
                path=path,
                error=error,
                remedy=_remedy(),
            )
        ) from error
    for name in stored.keys() - set(_GENERATORS):
        raise CheckpointError(
            localised(
                "{path}: found a strength of {abbreviated}, needed those of {names}; {remedy}",
                path=path,
                abbreviated=_abbreviated(name),
                names=" and ".join(_GENERATORS),
                remedy=_remedy(),
            )
        )
    return {name: _checked(path, name, stored.get(name, 1.0)) for name in _GENERATORS}


def _checked(path: Path, name: str, value: object) -> float:
    if (
        not isinstance(value, int | float)
        or isinstance(value, bool)
        or not 0 < value <= MAX_STRENGTH  # also of NaN
    ):
        raise CheckpointError(
            localised(
                "{path}: found {abbreviated} as the strength of {name}, needed a number "
                "above 0 and at most {max_strength:g}; {remedy}",
                path=path,
                abbreviated=_abbreviated(value),
                name=name,
                max_strength=MAX_STRENGTH,
                remedy=_remedy(),
            )
        )
    return float(value)


def _abbreviated(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= _MAX_LETTERS else f"{text[:_MAX_LETTERS]}…"


def _remedy() -> str:
    evaluating = suyan_command("evaluate")
    return f"copy the model's folder again, or let '{evaluating}' store the model again"
