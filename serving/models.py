"""Which model to use, what it was made for, and its generator ready to run."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError
from torch import nn

from core.errors import CheckpointError, MissingModelError
from core.workspace import Workspace
from preprocessing.config import PrepareConfig
from serving.cpu_inference import arrange
from serving.tiling import Tiling
from training.config import TrainConfig
from training.models.factory import architecture_of
from training.run.checkpoint import load_config, load_generator

Direction = Literal["A2B", "B2A"]
DIRECTIONS: tuple[Direction, ...] = ("A2B", "B2A")


@dataclass(frozen=True)
class Model:
    """A model's folder and what stands beside its weights."""

    folder: Path
    config: TrainConfig
    prepare: PrepareConfig  # how photographs are prepared for it

    @property
    def name(self) -> str:
        """Recipe and version, as in ``makeup/step800-ab12cd34``."""
        return f"{self.folder.parent.name}/{self.folder.name}"

    @property
    def directions(self) -> dict[Direction, tuple[str, str]]:
        """Of each direction that there is a generator for: the names of both domains."""
        a, b = self.prepare.domain_a, self.prepare.domain_b
        ways: dict[Direction, tuple[str, str]] = {"A2B": (a, b), "B2A": (b, a)}
        return {way: pair for way, pair in ways.items() if weights_file(self.folder, way).is_file()}

    @property
    def tiling(self) -> Tiling:
        """How a large picture is cut for it."""
        facts = architecture_of(self.config)
        return Tiling(facts.tile_px, facts.margin_px, facts.multiple)

    def direction(self, wanted: str | None) -> Direction:
        """The direction of this name, or that leads to the domain of this name; A2B for ``None``.

        Raises ``ValueError`` that lists what there is.
        """
        there = self.directions
        if wanted is None:
            return next(iter(there))
        for way, (_, to) in there.items():
            if wanted in {way, to}:
                return way
        known = ", ".join(f"{to} (from {source})" for source, to in there.values())
        raise ValueError(f"--to: got {wanted!r}, this model translates to {known}")

    def network(self, direction: Direction) -> nn.Module:
        """The generator as it was trained, in evaluation mode. Raises ``CheckpointError``."""
        return load_generator(self.folder, weights_file(self.folder, direction).stem)[0]

    def generator(self, direction: Direction) -> nn.Module:
        """The same, arranged for inference on a CPU (``serving/cpu_inference.py``)."""
        return arrange(self.network(direction))


def weights_file(folder: Path, direction: Direction) -> Path:
    """Where a model's folder has the generator of this direction."""
    return folder / ("G_A.safetensors" if direction == "A2B" else "G_B.safetensors")


def open_model(workspace: Workspace, recipe: str, wanted: str | None = None) -> Model:
    """The model ``wanted`` (see ``find_model``) with its configurations.

    Raises ``MissingModelError``, ``CheckpointError`` or ``ValueError`` that say what is wrong.
    """
    folder = find_model(workspace, recipe, wanted)
    return Model(folder, load_config(folder), preparation(folder))


def find_model(workspace: Workspace, recipe: str, wanted: str | None = None) -> Path:
    """The folder of a model: a path, a version of ``recipe`` by name, or ``recipe``'s champion.

    A version may be shortened as long as it stays unique. Raises ``MissingModelError`` that says
    what was looked for, what there is, and how to get one.
    """
    versions = workspace / "models" / recipe
    if wanted is None:
        return _champion(workspace, recipe)
    named = sorted(path for path in _folders(versions) if path.name.startswith(wanted))
    exact = [path for path in named if path.name == wanted]
    if len(exact or named) == 1:
        return (exact or named)[0]
    if len(named) > 1:
        raise MissingModelError(
            f"--model: {wanted!r} begins the names of {', '.join(path.name for path in named)}"
        )
    folder = Path(wanted)
    if any(weights_file(folder, way).is_file() for way in DIRECTIONS):
        return folder
    there = ", ".join(path.name for path in _folders(versions)) or "none"
    raise MissingModelError(
        f"--model: {wanted!r} is no version of {recipe!r} (there are: {there}), and no folder with "
        "G_A.safetensors or G_B.safetensors and config.json. A checkpoint of the reference "
        "(…_net_G_A.pth) is brought in by 'suyan import'"
    )


def _champion(workspace: Workspace, recipe: str) -> Path:
    pointer = workspace / "models" / recipe / "champion.json"
    try:
        version = str(json.loads(pointer.read_text(encoding="utf-8"))["model"])
    except (OSError, ValueError, KeyError, TypeError):
        version = ""
    folder = pointer.parent / version
    if version and folder.parent == pointer.parent and weights_file(folder, "A2B").is_file():
        return folder
    if version:
        problem = f"{pointer} names {version!r}, which is not whole"
    else:
        problem = f"there is no champion of {recipe!r} in {workspace}"
    there = [path.name for path in _folders(pointer.parent)]
    others = f"; stored versions, for --model: {', '.join(there)}" if there else ""
    elsewhere = sorted(path.parent for path in Path().glob("workspace*/**/models/*/champion.json"))
    if elsewhere:
        others += f"; there is one in {elsewhere[0].parents[1]}, for --workspace"
    raise MissingModelError(
        f"{problem}{others}. Get one with 'make demo' (ten minutes, drawn faces; then --workspace "
        "workspace/demo), with 'suyan run', or name a model's folder with --model"
    )


def _folders(versions: Path) -> list[Path]:
    """Stored versions of a recipe, by name."""
    found = versions.glob("*") if versions.is_dir() else []
    return sorted(
        path for path in found if any(weights_file(path, way).is_file() for way in DIRECTIONS)
    )


def preparation(folder: Path) -> PrepareConfig:
    """How pictures were prepared for this model.

    Found in its ``prepare.json``, or for a checkpoint of a run in the dataset that it was trained
    on. Fields that other versions of Suyan had are passed over. A model without either file (a
    stranger's) counts as one for whole pictures. Raises ``ValueError`` for a file that is no such
    configuration.
    """
    for path in (folder / "prepare.json", *_of_dataset(folder)):
        if path.is_file():
            fields = {k: v for k, v in read_json(path).items() if k in PrepareConfig.model_fields}
            try:
                return PrepareConfig.model_validate(fields)
            except ValidationError as error:
                raise ValueError(f"{path}: not a configuration of preparation: {error}") from error
    return PrepareConfig(domain_a="a", domain_b="b", faces=False)


def _of_dataset(checkpoint: Path) -> list[Path]:
    """``datasets/<version>/config.json``, for ``runs/<run>/checkpoints/<checkpoint>``."""
    run = checkpoint.resolve().parents[1]
    try:
        dataset = str(json.loads((run / "config.json").read_text(encoding="utf-8"))["dataset"])
    except (OSError, ValueError, KeyError, TypeError):
        return []
    return [run.parents[1] / "datasets" / dataset / "config.json"]


def read_json(path: Path) -> dict[str, Any]:
    """An object in a JSON file; empty where there is none. Raises ``CheckpointError``."""
    if not path.exists():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path}: cannot be read as JSON: {error}") from error
    return found if isinstance(found, dict) else {}
