"""Which model to use: one named by its folder, or a recipe's champion."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from preprocessing.config import PrepareConfig
from scraping.records import MissingModelError

Direction = Literal["A2B", "B2A"]


def find_model(workspace: Path, recipe: str, model: Path | None = None) -> Path:
    """The folder of ``model``, or of the champion of ``recipe``.

    Raises ``MissingModelError`` that says what was looked for and how to get one.
    """
    if model is not None:
        if not (model / "G_A.safetensors").is_file():
            raise MissingModelError(
                f"{model}: found no G_A.safetensors; needed a folder with G_A.safetensors, "
                "G_B.safetensors and config.json, as under models/ in the workspace"
            )
        return model
    pointer = workspace / "models" / recipe / "champion.json"
    try:
        version = json.loads(pointer.read_text())["model"]
    except (OSError, ValueError, KeyError, TypeError):
        raise MissingModelError(
            f"there is no champion of {recipe!r} in {workspace}; make one with 'make demo' or "
            "'suyan run', or name a model's folder with --model"
        ) from None
    return find_model(workspace, recipe, pointer.parent / str(version))


def preparation(model: Path) -> PrepareConfig:
    """How pictures were prepared for this model (its ``prepare.json``).

    A model without that file counts as a face model prepared by the defaults. Raises ``ValueError``
    for a file that is no such configuration.
    """
    path = model / "prepare.json"
    if not path.exists():
        return PrepareConfig(domain_a="a", domain_b="b")
    try:
        return PrepareConfig.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise ValueError(f"{path}: not a configuration of preparation: {error}") from error


def direction_to(model: Path, domain: str) -> Direction:
    """The direction that leads to the domain of this name. Raises ``ValueError`` for another."""
    prepare = preparation(model)
    names: dict[str, Direction] = {prepare.domain_b: "A2B", prepare.domain_a: "B2A"}
    if domain not in names:
        raise ValueError(f"--to: got {domain!r}, this model knows {', '.join(sorted(names))}")
    return names[domain]
