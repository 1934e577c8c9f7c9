"""The versions of a recipe, and the pointer to its champion.

``core.workspace_folders.ModelFolder`` describes a version. It has its ``config.json`` beside the
weights, so that it is read like a checkpoint. ``champion.json`` is beside the versions.

A version is written whole or not at all, and the pointer moves in one rename. A process that stores
a version or moves the pointer holds the lock.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

from core.champion_pointer import Champion, load_champion
from core.errors import CheckpointError, SuyanError
from core.files import (
    atomic_file,
    digest,
    file_sha256,
    load_json,
    sync_file,
    sync_folder,
    write_json,
)
from core.language.messages import localised
from core.locks import file_lock
from core.workspace import Workspace
from core.workspace_folders import (
    DatasetFolder,
    EvaluationFolder,
    ModelFolder,
    RecipeModels,
    RunFolder,
)
from evaluation.data.phrase_yields import phrase_yields
from evaluation.model_registry.model_card import load_facts, model_card
from evaluation.report.wording import LANGUAGES
from evaluation.scores import Scores, load_scores, write_scores
from evaluation.weights_choice import GENERATORS, Kind, generator_files

DISCRIMINATORS = ("D_A", "D_B")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")


def champion(workspace: Workspace, recipe: str) -> Path:
    """The folder of ``recipe``'s champion. Raises ``SuyanError`` when there is none."""
    models = workspace.recipe_models(recipe).path
    folder = current(models) if _NAME.fullmatch(recipe) else None
    if folder is None:
        raise SuyanError(
            localised(
                "{models} has no champion; run the pipeline for {recipe!r}, or give the path "
                "of one of its versions",
                models=models,
                recipe=recipe,
            )
        )
    return folder


def find_champion(workspace: Workspace, recipe: str) -> Path | None:
    """The folder of ``recipe``'s champion, or ``None``."""
    return current(models_folder(workspace, recipe))


def versions(workspace: Workspace, recipe: str) -> list[Path]:
    """Folders of the recipe's stored models, sorted by name."""
    models = models_folder(workspace, recipe)
    return sorted(
        path for path in models.glob("*") if path.is_dir() and _is_whole(models, path.name)
    )


def crown(workspace: Workspace, recipe: str, version: str, reason: str = "") -> Path:
    """Make ``version`` the champion whatever its figures, as a person decided; returns its folder.

    For ``suyan promote``, and for the approval of a paused flow. Raises ``ValueError`` for a
    version that the recipe does not have.
    """
    models = models_folder(workspace, recipe)
    names = [path.name for path in versions(workspace, recipe)]
    if version not in names:  # before the lock, which would create the recipe's folder
        raise ValueError(
            localised(
                "version: got {version!r}, {models} has {names}",
                version=version,
                models=models,
                names=", ".join(names) or localised("none"),
            )
        )
    with locked(models):
        if current(models) != models / version:
            move_pointer(models, models / version, by="person", reason=reason)
    return models / version


def rollback(workspace: Workspace, recipe: str) -> Path:
    """Make the previous champion the champion again; returns its folder.

    A second call goes back to the champion before that. Raises ``SuyanError`` when no whole one is
    left.
    """
    models = models_folder(workspace, recipe)
    if not models.is_dir():  # the lock would create it
        raise SuyanError(
            localised(
                "{models} is not there: recipe {recipe} has no model", models=models, recipe=recipe
            )
        )
    with locked(models):
        pointer = load_champion(RecipeModels(models))
        previous = [name for name in pointer.previous if _is_whole(models, name)]
        if not previous:
            raise SuyanError(
                localised(
                    "{models} has no earlier champion to go back to; nothing was changed",
                    models=models,
                )
            )
        _point(models, previous[-1], previous[:-1], pointer, by="rollback", reason="")
        return models / previous[-1]


def models_folder(workspace: Workspace, recipe: str) -> Path:
    """``workspace/models/<recipe>``. Raises ``ValueError`` for a name that is no plain name."""
    if not _NAME.fullmatch(recipe):
        raise ValueError(
            localised(
                "recipe: got {recipe!r}, needed letters, digits, '.', '_' and '-'", recipe=recipe
            )
        )
    return workspace.recipe_models(recipe).path


@contextlib.contextmanager
def locked(models: Path) -> Iterator[None]:
    """Hold the recipe's lock: one process at a time stores, decides and moves the pointer."""
    with file_lock(RecipeModels(models).lock):
        yield


def current(models: Path) -> Path | None:
    """The champion's folder, if both the pointer and this folder are whole."""
    name = load_champion(RecipeModels(models)).version
    return models / name if _is_whole(models, name) else None


def move_pointer(models: Path, model: Path, *, by: str, reason: str) -> None:
    """Make ``model`` the champion, and record the one before. The caller holds the lock."""
    pointer = load_champion(RecipeModels(models))
    previous = [*pointer.previous, *filter(None, [pointer.version])]
    _point(models, model.name, previous, pointer, by=by, reason=reason)


def store(run: Path, evaluation: Path, scores: Scores, workspace: Workspace, models: Path) -> Path:
    """Copy the evaluated checkpoint to its version, whole or not at all; returns the folder.

    The weights and strengths that the evaluation chose become the model's. An existing version gets
    the newer figures. Raises ``CheckpointError`` when the evaluated checkpoint is gone.
    """
    checkpoint = RunFolder(run).checkpoint(scores.checkpoint)
    kind: Kind = "averaged" if scores.weights.chosen == "averaged" else "raw"
    generators = generator_files(checkpoint.path, kind)
    missing = [file.name for file in (*generators.values(), checkpoint.config) if not file.exists()]
    if missing:
        raise CheckpointError(
            localised(
                "{path}: {missing} missing; evaluate a newer checkpoint",
                path=checkpoint.path,
                missing=missing,
            )
        )
    weights = {f"{name}.safetensors": file_sha256(file) for name, file in generators.items()}
    parts = {"weights": weights, "dataset": scores.dataset, **_strengths(scores)}
    identity = digest(parts, length=8)
    model = models / f"step{scores.step}-{identity}"
    if not model.exists():
        partial = Path(tempfile.mkdtemp(dir=models, prefix=f".{model.name}."))
        try:
            for name, file in generators.items():
                _copy(file, ModelFolder(partial).weights(name))
            for name in DISCRIMINATORS:  # for a training that starts from the model
                if checkpoint.weights(name).is_file():
                    _copy(checkpoint.weights(name), ModelFolder(partial).weights(name))
            _copy(checkpoint.config, ModelFolder(partial).config)
            _describe(ModelFolder(partial), model.name, evaluation, scores, workspace, run, weights)
            partial.chmod(0o755)
            partial.rename(model)
            sync_folder(models)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    else:  # measured again: the figures may be newer
        _describe(ModelFolder(model), model.name, evaluation, scores, workspace, run, weights)
    return model


def _strengths(scores: Scores) -> dict[str, dict[str, float]]:
    """The strengths under their key; nothing where both are 1, so that names stay."""
    strengths = scores.strengths
    return {"strengths": strengths} if set(strengths.values()) - {1.0} else {}


def _copy(source: Path, target: Path) -> None:
    shutil.copyfile(source, target)
    sync_file(target)


def _describe(
    model: ModelFolder,
    version: str,
    evaluation: Path,
    scores: Scores,
    workspace: Workspace,
    run: Path,
    weights: Mapping[str, str],
) -> None:
    """Write everything beside the weights, each file whole."""
    dataset = workspace.dataset(scores.dataset)
    copies = {
        model.prepare: dataset.config,
        model.dataset_card: dataset.card,
        model.report: EvaluationFolder(evaluation).report,
        **{
            model.translated_report(each): EvaluationFolder(evaluation).translated_report(each)
            for each in LANGUAGES
        },
        model.training_statistics: EvaluationFolder(evaluation).training_statistics,
    }
    for target, source in copies.items():
        if source.exists():
            with atomic_file(target) as file:
                file.write(source.read_bytes())
    model.strengths.unlink(missing_ok=True)  # a model of strength 1 has no such file
    for strengths in _strengths(scores).values():
        write_json(model.strengths, strengths)
    lineage = {
        "domains": scores.domains,
        "directions": {
            name: {
                "generator": f"G_{name[0]}",
                "from": direction.source,
                "to": direction.target,
            }
            for name, direction in scores.directions.items()
        },
        "px": scores.px,
        "phrases": _phrases(dataset),
        "dataset": scores.dataset,
        "run": run.name,
        "checkpoint": scores.checkpoint,
        **_starting_point(model),
        "weights": scores.weights.chosen,
        "weights_sha256": dict(weights),
        "evaluation": scores.key,
    }
    write_json(model.lineage, lineage)
    write_scores(model.scores, scores)
    facts = load_facts(model, f"{model.path.parent.name}/{version}")
    with atomic_file(model.card) as file:
        file.write(model_card(facts, facts.language).encode())


def _starting_point(model: ModelFolder) -> dict[str, str]:
    """The model that the training started from, or the run that it continued; else nothing."""
    config = load_json(model.config)
    return {name: config[name] for name in ("init_from", "continues") if config.get(name)}


def _phrases(dataset: DatasetFolder) -> dict[str, list[str]]:
    """The search phrases behind each domain's usable pictures, sorted."""
    phrases: dict[str, set[str]] = {}
    for each in phrase_yields(dataset.manifest):
        if each.num_usable:
            phrases.setdefault(each.domain, set()).add(each.phrase)
    return {domain: sorted(names) for domain, names in phrases.items()}


def _is_whole(models: Path, name: str) -> bool:
    if not _NAME.fullmatch(name):
        return False
    model = RecipeModels(models).version(name)
    return model.scores.is_file() and all(model.weights(each).is_file() for each in GENERATORS)


def _point(
    models: Path,
    name: str,
    previous: list[str],
    pointer: Champion,
    *,
    by: str,
    reason: str,
) -> None:
    """Write champion.json: the model, the champions before it, and the history of all changes."""
    scores = load_scores(RecipeModels(models).version(name).scores)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    event = {"model": name, "at": now, "by": by, "reason": reason}
    write_json(
        RecipeModels(models).champion,
        {
            "model": name,
            "dataset": scores.dataset,
            "mean_kid": scores.mean_kid,
            "promoted_at": now,
            "previous": previous,
            "history": [*pointer.history, event],
        },
    )
