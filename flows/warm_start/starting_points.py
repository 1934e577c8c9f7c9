"""The model that a training starts from, by the name that a person gives it.

A name is ``champion``, a version of the recipe, ``RECIPE/VERSION``, a run, an address on a hub, or
a folder: of a model, a checkpoint, a run, or of the reference's files.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from core.errors import SuyanError, nearest, suggestion
from core.language.messages import localised
from core.workspace import Workspace
from core.workspace_folders import CheckpointFolder, ModelFolder, RunFolder
from storage import models, runs
from storage.hub.hub_address import is_hub_address
from storage.hub.hub_models import fetch_hub_model
from training.config import TrainConfig
from training.run.starting_point import StartingPoint, recorded_origin

CHAMPION = "champion"
_NUM_LISTED = 3  # of each kind, in an error


@contextlib.contextmanager
def starting_point(name: str, workspace: Workspace, recipe: str) -> Iterator[StartingPoint | None]:
    """The model that ``name`` stands for, during the block; ``None`` for "".

    Files of the reference are read for the time of the block. Raises ``SuyanError`` for a name that
    stands for nothing, and for a recorded one whose weights are others now.
    """
    written, digest = recorded_origin(name)
    if not written:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="suyan-start-") as scratch:
        start = _find(written, workspace, recipe, Path(scratch))
        if digest and start.origin != name:
            raise SuyanError(
                localised(
                    "init_from: {folder} has other weights now than {name} records; start from "
                    "{origin}",
                    folder=start.folder,
                    name=name,
                    origin=start.origin,
                )
            )
        yield start


def with_origin(config: TrainConfig, start: StartingPoint | None) -> TrainConfig:
    """``config`` that records the weights of ``start``, which name the run too.

    Raises ``CheckpointError`` where they do not fit this training.
    """
    if start is None:
        return config
    from training.run.initial_weights import check_fit

    check_fit(config, start)
    return config.model_copy(update={"init_from": start.origin})


def check_starting_point(config: TrainConfig, workspace: Workspace, recipe: str) -> None:
    """Raise what ``starting_point`` and ``with_origin`` raise, before hours of other work."""
    with starting_point(config.init_from, workspace, recipe) as start:
        with_origin(config, start)


def _find(name: str, workspace: Workspace, recipe: str, scratch: Path) -> StartingPoint:
    if name == CHAMPION:
        return _champion(workspace, recipe)
    if is_hub_address(name):
        return StartingPoint(fetch_hub_model(name), name)
    folder = Path(name)
    if folder.is_dir():
        return _in_folder(folder, name, scratch)
    owner, _, version = name.rpartition("/")
    checkpoint = workspace.run(owner).checkpoint(version)
    if owner and checkpoint.config.is_file():
        return StartingPoint(checkpoint.path, name)
    models.fetch(workspace, owner or recipe, version)
    model = workspace.recipe_models(owner or recipe).version(version)
    if not name.startswith(".") and model.config.is_file():
        return StartingPoint(model.path, f"{owner or recipe}/{version}")
    run = workspace.run(name)
    with contextlib.suppress(ValueError):
        runs.fetch(workspace, name)
    if "/" not in name and run.config.is_file():
        return _of_run(run, name)
    versions = [path.name for path in sorted(workspace.recipe_models(recipe).path.glob("step*"))]
    trained = [path.name for path in sorted(workspace.runs.glob("[!.]*/"))]
    listed = [
        ", ".join(names[-_NUM_LISTED:]) or localised("none yet") for names in (versions, trained)
    ]
    raise SuyanError(
        localised(
            "init_from: got {name!r}, needed {champion}, a version of {recipe} "
            "({versions}), a run ({runs}) or the folder of a model",
            name=name,
            champion=CHAMPION,
            recipe=recipe,
            versions=listed[0],
            runs=listed[1],
        )
        + suggestion(nearest(name, [CHAMPION, *versions, *trained]))
    )


def _champion(workspace: Workspace, recipe: str) -> StartingPoint:
    from evaluation.model_registry.model_versions import champion

    models.fetch(workspace, recipe)
    model = champion(workspace, recipe)
    return StartingPoint(model, f"{recipe}/{model.name}")


def _in_folder(folder: Path, name: str, scratch: Path) -> StartingPoint:
    if ModelFolder(folder).weights("G_A").is_file():
        return StartingPoint(folder, name)
    if RunFolder(folder).checkpoints.is_dir():
        return _of_run(RunFolder(folder), name)
    epochs = {path.name.partition("_net_")[0] for path in folder.glob("*_net_G_A.pth")}
    if epochs:
        from training.pix2pix import import_reference

        epoch = "latest" if "latest" in epochs else max(epochs, key=lambda each: (len(each), each))
        import_reference(folder, scratch / "imported", epoch=epoch)
        return StartingPoint(scratch / "imported", name)
    raise SuyanError(
        localised(
            "init_from: {folder} holds no G_A.safetensors, no checkpoints and no "
            "*_net_G_A.pth; needed the folder of a model, a checkpoint, a run or the "
            "reference's files",
            folder=folder,
        )
    )


def _of_run(run: RunFolder, name: str) -> StartingPoint:
    """The best checkpoint where the run validated, else the newest."""
    from training.run.checkpoint import best_checkpoint, latest_checkpoint

    checkpoint = best_checkpoint(run.path) or latest_checkpoint(run.path)
    if checkpoint is None:
        raise SuyanError(
            localised("init_from: {path} has no checkpoint yet; train it first", path=run.path)
        )
    return StartingPoint(CheckpointFolder(checkpoint).path, f"{name}/{checkpoint.name}")
