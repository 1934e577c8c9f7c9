"""A model by name or path: its configurations, and its generators ready to run."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import ValidationError
from torch import nn

from core.champion_pointer import is_version_name, load_champion
from core.commands import suyan_command
from core.errors import MissingModelError
from core.files import load_json, try_load_json
from core.language.messages import localised
from core.workspace import Workspace, other_workspace
from core.workspace_folders import ModelFolder, RecipeModels, RunFolder
from evaluation.features.likeness import LikenessJudge
from evaluation.features.training_statistics import (
    TrainedOn,
    TrainingStatistics,
    load_statistics,
)
from preprocessing.config import PrepareConfig
from serving.cpu_inference import optimize_for_cpu
from serving.tiling import Tiling
from storage.hub.hub_address import is_hub_address
from storage.hub.hub_models import fetch_hub_model
from training.config import TrainConfig
from training.models.factory import architecture_of
from training.run.checkpoint import load_config, load_generator

Direction = Literal["A2B", "B2A"]
_GENERATORS: Mapping[Direction, str] = {"A2B": "G_A", "B2A": "G_B"}


@dataclass(frozen=True)
class Model:
    """A model's folder and the configurations beside its weights."""

    folder: Path
    config: TrainConfig
    prepare: PrepareConfig  # of the preparation of its pictures

    @property
    def name(self) -> str:
        """Recipe and version, as in ``makeup/step800-ab12cd34``."""
        return f"{self.folder.parent.name}/{self.folder.name}"

    @property
    def directions(self) -> dict[Direction, tuple[str, str]]:
        """Source and target domain of each direction that the model has a generator for."""
        a, b = self.prepare.domain_a, self.prepare.domain_b
        domains: dict[Direction, tuple[str, str]] = {"A2B": (a, b), "B2A": (b, a)}
        return {
            direction: pair
            for direction, pair in domains.items()
            if weights_file(self.folder, direction).is_file()
        }

    @functools.cached_property
    def training_statistics(self) -> TrainingStatistics | None:
        """What is known of its training pictures; ``None``: nothing, as of an imported model."""
        run = RunFolder(self.folder.resolve().parents[1])  # of a checkpoint
        files = (
            ModelFolder(self.folder).training_statistics,
            run.evaluation(self.folder.name).training_statistics,
        )
        return next(filter(None, map(load_statistics, files)), None)

    @property
    def trained_on(self) -> TrainedOn:
        """The origin of its training pictures."""
        statistics = self.training_statistics
        return statistics.trained_on if statistics else TrainedOn.UNKNOWN

    @functools.cached_property
    def likeness(self) -> LikenessJudge:
        """Judges how far photographs lie from its training pictures."""
        return LikenessJudge(self.training_statistics)

    @property
    def tiling(self) -> Tiling:
        """The tiling of large pictures for this model."""
        facts = architecture_of(self.config)
        return Tiling(facts.tile_px, facts.margin_px, facts.multiple, facts.least_px)

    def direction(self, name: str | None) -> Direction:
        """The direction ``A2B`` or ``B2A``, or the one to a domain of this name.

        ``None`` stands for the first one. Raises ``ValueError`` that lists the directions.
        """
        directions = self.directions
        if name is None:
            return next(iter(directions))
        for direction, (_, target) in directions.items():
            if name in {direction, target}:
                return direction
        choices = ", ".join(f"{target} (from {source})" for source, target in directions.values())
        raise ValueError(
            localised(
                "got {name!r}, this model translates to {choices}", name=name, choices=choices
            )
        )

    def network(self, direction: Direction) -> nn.Module:
        """The generator as it was trained, in evaluation mode. Raises ``CheckpointError``."""
        return load_generator(self.folder, _GENERATORS[direction])[0]

    def generator(self, direction: Direction) -> nn.Module:
        """The generator, optimised for a CPU. Raises ``CheckpointError``."""
        return optimize_for_cpu(self.network(direction))


def weights_file(folder: Path, direction: Direction) -> Path:
    """The file of a direction's generator in a model's folder."""
    return ModelFolder(folder).weights(_GENERATORS[direction])


def open_model(workspace: Workspace, recipe: str, name: str | None = None) -> Model:
    """The model that ``find_model`` finds, with its configurations.

    Raises ``MissingModelError``, ``CheckpointError`` or ``ValueError`` that name the problem.
    """
    folder = find_model(workspace, recipe, name)
    return Model(folder, load_config(folder), load_preparation(folder))


def find_model(workspace: Workspace, recipe: str, name: str | None = None) -> Path:
    """The folder of a model: ``recipe``'s champion, or the one that ``name`` stands for.

    ``name`` is a version of the recipe, its unique beginning, a path, or an address on a hub, from
    which it is fetched. Raises ``MissingModelError`` that lists the versions and the commands that
    make a model, and what ``fetch_hub_model`` raises.
    """
    models = workspace.recipe_models(recipe)
    if name is None:
        return _find_champion(workspace, recipe)
    if is_hub_address(name):
        return fetch_hub_model(name)
    versions = _versions(models)
    matches = [path for path in versions if path.name.startswith(name)]
    exact = [path for path in matches if path.name == name]
    if len(exact or matches) == 1:
        return (exact or matches)[0]
    if len(matches) > 1:
        names = ", ".join(path.name for path in matches)
        raise MissingModelError(
            localised("--model: {name!r} begins the names of {names}", name=name, names=names)
        )
    folder = Path(name)
    if _has_generator(folder):
        return folder
    names = ", ".join(path.name for path in versions) or "none"
    raise MissingModelError(
        localised(
            "--model: {name!r} is no version of {recipe!r} (there are: {names}), and no "
            "folder with G_A.safetensors or G_B.safetensors and config.json. To read a "
            "checkpoint of the reference implementation (…_net_G_A.pth): '{command}'",
            name=name,
            recipe=recipe,
            names=names,
            command=suyan_command("import", "FOLDER", "--out", "MODEL"),
        )
    )


def load_preparation(folder: Path) -> PrepareConfig:
    """The configuration that a model's pictures were prepared with.

    It is read from the model's ``prepare.json``, or, for a checkpoint of a run, from the dataset of
    the run. Fields of other versions of Suyan are ignored. A model with neither file counts as one
    for whole pictures. Raises ``ValueError`` for a file that holds no such configuration.
    """
    for path in (ModelFolder(folder).prepare, *_dataset_config(folder)):
        if path.is_file():
            values = load_json(path)
            fields = {k: v for k, v in values.items() if k in PrepareConfig.model_fields}
            try:
                return PrepareConfig.model_validate(fields)
            except ValidationError as error:
                raise ValueError(
                    localised(
                        "{path}: not a configuration of preparation: {error}",
                        path=path,
                        error=error,
                    )
                ) from error
    return PrepareConfig(domain_a="a", domain_b="b", faces=False)


def _find_champion(workspace: Workspace, recipe: str) -> Path:
    models = workspace.recipe_models(recipe)
    version = load_champion(models).version
    if is_version_name(version) and weights_file(models.version(version).path, "A2B").is_file():
        return models.version(version).path
    if version:
        problem = f"{models.champion} names {version!r}, which is not whole"
    else:
        problem = f"there is no champion of {recipe!r} in {workspace}"
    names = [path.name for path in _versions(models)]
    hint = f"; stored versions, for --model: {', '.join(names)}" if names else ""
    other = other_workspace(lambda each: each.recipe_models("*").champion)
    hint += f"; that of {other} is used with --workspace {other}" if other else ""
    run = suyan_command("run", "--small", workspace=workspace, recipe=recipe)
    remedy = f"Name a model's folder with --model, or get a model with '{run}'"
    if recipe == "makeup":
        demo = suyan_command("demo")
        remedy += f", or of drawn faces, offline, with '{demo}' and then --workspace workspace/demo"
    raise MissingModelError(f"{problem}{hint}", remedy=remedy)


def _versions(models: RecipeModels) -> list[Path]:
    """Folders of the stored versions, by name."""
    return sorted(path for path in models.path.glob("*") if _has_generator(path))


def _has_generator(folder: Path) -> bool:
    return any(weights_file(folder, direction).is_file() for direction in _GENERATORS)


def _dataset_config(checkpoint: Path) -> list[Path]:
    """The configuration of the dataset that a checkpoint of a run was trained on, if any."""
    run = RunFolder(checkpoint.resolve().parents[1])
    dataset = (try_load_json(run.config) or {}).get("dataset")
    if dataset is None:
        return []
    return [Workspace(run.path.parents[1]).dataset(str(dataset)).config]
