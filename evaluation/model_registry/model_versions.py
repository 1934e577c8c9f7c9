"""The versions of a recipe, and the pointer to its champion.

``workspace/models/<recipe>/<version>/`` holds both generators, ``config.json`` (so that it is read
like a checkpoint), ``scores.json``, ``prepare.json`` (how photographs are cropped for it),
``dataset.json`` and ``card.md`` (what it was made of, and what for), ``report.html``, and
``model.json`` (its lineage). ``champion.json`` beside the versions names the best one.

A version is written whole or not at all; the pointer moves in one rename; whoever stores or moves
holds ``.lock``.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock

from core.errors import CheckpointError, SuyanError
from core.files import atomic_file, digest, file_sha256, sync_folder, write_json
from core.tables import Picture, iter_rows
from core.workspace import ModelFolder, Workspace
from evaluation.model_registry.model_card import load_facts, model_card
from evaluation.weights_choice import GENERATORS, Kind, files_of

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")


def champion(workspace: Workspace, recipe: str) -> Path:
    """The folder of ``recipe``'s champion. Raises ``SuyanError`` when there is none."""
    models = workspace / "models" / recipe
    found = current(models) if _NAME.fullmatch(recipe) else None
    if found is None:
        raise SuyanError(
            f"{models} has no champion; run the pipeline for {recipe!r}, or give the path of one "
            "of its versions"
        )
    return found


def find_champion(workspace: Workspace, recipe: str) -> Path | None:
    """The folder of ``recipe``'s champion, or ``None``."""
    return current(models_folder(workspace, recipe))


def versions(workspace: Workspace, recipe: str) -> list[Path]:
    """Folders of the recipe's stored models, by name."""
    models = models_folder(workspace, recipe)
    return sorted(
        path for path in models.glob("*") if path.is_dir() and _is_whole(models, path.name)
    )


def crown(workspace: Workspace, recipe: str, version: str, reason: str = "") -> Path:
    """A person makes ``version`` the champion, whatever its figures; its folder.

    For ``suyan promote``, and for the approval of a paused flow. Raises ``ValueError`` for a
    version that the recipe does not have.
    """
    models = models_folder(workspace, recipe)
    with locked(models):
        known = versions(workspace, recipe)
        if version not in {path.name for path in known}:
            raise ValueError(
                f"version: got {version!r}, {models} has "
                f"{', '.join(path.name for path in known) or 'none'}"
            )
        if current(models) != models / version:
            move_pointer(models, models / version, by="person", reason=reason)
    return models / version


def rollback(workspace: Workspace, recipe: str) -> Path:
    """Make the champion before the present one champion again; its folder.

    Called again, it goes one further back. Raises ``SuyanError`` when there is none that is whole.
    """
    models = models_folder(workspace, recipe)
    with locked(models):
        pointer = _pointer(models)
        previous = [name for name in pointer.get("previous", []) if _is_whole(models, name)]
        if not previous:
            raise SuyanError(f"{models} has no earlier champion to go back to; nothing was changed")
        _point(models, previous[-1], previous[:-1], pointer, by="rollback", reason="")
        return models / str(previous[-1])


def models_folder(workspace: Workspace, recipe: str) -> Path:
    """``workspace/models/<recipe>``. Raises ``ValueError`` for a name that is no plain name."""
    if not _NAME.fullmatch(recipe):
        raise ValueError(f"recipe: got {recipe!r}, needed letters, digits, '.', '_' and '-'")
    return workspace / "models" / recipe


@contextlib.contextmanager
def locked(models: Path) -> Iterator[None]:
    """Only one process stores, decides and moves the pointer; a dead one's lock is free again."""
    models.mkdir(parents=True, exist_ok=True)
    with FileLock(models / ".lock"):
        yield


def current(models: Path) -> Path | None:
    """The champion's folder, if the pointer and what it points to are whole."""
    name = _pointer(models).get("model")
    return models / str(name) if _is_whole(models, name) else None


def move_pointer(models: Path, model: Path, *, by: str, reason: str) -> None:
    """Make ``model`` the champion; the one before is remembered. The caller holds the lock."""
    pointer = _pointer(models)
    previous = [*pointer.get("previous", []), *([pointer["model"]] if "model" in pointer else [])]
    _point(models, model.name, previous, pointer, by=by, reason=reason)


def store(
    run: Path, evaluation: Path, scores: Mapping[str, Any], workspace: Workspace, models: Path
) -> Path:
    """Copy the model to a folder of its own, whole or not at all; the (new or old) folder.

    Of the checkpoint's weights, those that the evaluation chose become the model's.
    Raises ``CheckpointError`` when the evaluated checkpoint is gone.
    """
    checkpoint = run / "checkpoints" / str(scores["checkpoint"])
    kind: Kind = scores.get("weights", {}).get("chosen", "raw")
    files = files_of(checkpoint, kind) | {"config.json": checkpoint / "config.json"}
    missing = [file.name for file in files.values() if not file.exists()]
    if missing:
        raise CheckpointError(f"{checkpoint}: {missing} missing; evaluate a newer checkpoint")
    weights = {name: file_sha256(files[name]) for name in GENERATORS}
    identity = digest({"weights": weights, "dataset": scores["dataset"]}, length=8)
    model = models / f"step{scores['step']}-{identity}"
    if not model.exists():
        partial = Path(tempfile.mkdtemp(dir=models, prefix=f".{model.name}."))
        try:
            _copy(files, partial)
            _describe(partial, model.name, evaluation, scores, workspace, run, weights)
            partial.chmod(0o755)
            partial.rename(model)
            sync_folder(models)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    else:  # measured again: the figures may be newer
        _describe(model, model.name, evaluation, scores, workspace, run, weights)
    return model


def _copy(files: Mapping[str, Path], folder: Path) -> None:
    for name, source in files.items():
        shutil.copyfile(source, folder / name)
        with (folder / name).open("rb") as file:
            os.fsync(file.fileno())


def _describe(
    folder: Path,
    version: str,
    evaluation: Path,
    scores: Mapping[str, Any],
    workspace: Workspace,
    run: Path,
    weights: Mapping[str, str],
) -> None:
    """Write everything beside the weights, each file whole."""
    dataset = workspace / "datasets" / str(scores["dataset"])
    sources = {
        "prepare.json": dataset / "config.json",
        "dataset.json": dataset / "card.json",
        "report.html": evaluation / "report.html",
    }
    for name, source in sources.items():
        if source.exists():
            with atomic_file(folder / name) as file:
                file.write(source.read_bytes())
    lineage = {
        "domains": scores["domains"],
        "directions": {
            name: {"generator": f"G_{name[0]}", "from": entry["from"], "to": entry["to"]}
            for name, entry in scores["directions"].items()
        },
        "px": scores["px"],
        "phrases": _phrases(dataset / "manifest.parquet"),
        "dataset": scores["dataset"],
        "run": run.name,
        "checkpoint": scores["checkpoint"],
        "weights": scores.get("weights", {}).get("chosen", "raw"),
        "weights_sha256": dict(weights),
        "evaluation": scores.get("key", ""),
    }
    write_json(folder / "model.json", lineage)
    write_json(folder / "scores.json", scores)
    facts = load_facts(ModelFolder(folder), f"{folder.parent.name}/{version}")
    with atomic_file(ModelFolder(folder).card) as file:
        file.write(model_card(facts, facts.language).encode())


def _phrases(manifest: Path) -> dict[str, list[str]]:
    """The search phrases behind each domain's usable pictures."""
    rows = iter_rows(manifest, Picture) if manifest.is_file() else iter(())
    found: dict[str, set[str]] = {}
    for row in rows:
        if row.status == "ok":
            found.setdefault(row.domain, set()).add(row.phrase)
    return {domain: sorted(phrases) for domain, phrases in found.items()}


def _pointer(models: Path) -> dict[str, Any]:
    """Content of champion.json; empty when there is none, or none that can be read."""
    try:
        found = json.loads((models / "champion.json").read_text("utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return {}
    return found if isinstance(found, dict) else {}


def _is_whole(models: Path, name: Any) -> bool:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        return False
    return all((models / name / file).is_file() for file in (*GENERATORS, "scores.json"))


def _point(
    models: Path,
    name: str,
    previous: list[str],
    pointer: Mapping[str, Any],
    *,
    by: str,
    reason: str,
) -> None:
    """Write champion.json: the model, the champions before it, and everything that happened."""
    scores = json.loads((models / name / "scores.json").read_text("utf-8"))
    now = datetime.now(UTC).isoformat(timespec="seconds")
    event = {"model": name, "at": now, "by": by, "reason": reason}
    write_json(
        models / "champion.json",
        {
            "model": name,
            "dataset": scores["dataset"],
            "mean_kid": mean_kid(scores),
            "promoted_at": now,
            "previous": previous,
            "history": [*pointer.get("history", []), event],
        },
    )


def mean_kid(scores: Mapping[str, Any]) -> float | None:
    """Of both directions; ``None`` where too few pictures left it out."""
    try:
        values = [float(entry["kid"]["value"]) for entry in scores["directions"].values()]
    except KeyError:
        return None
    return sum(values) / len(values)
