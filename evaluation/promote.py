"""Keep a measured model as a version, and make it the champion when it has earned it.

``workspace/models/<recipe>/<version>/`` holds both generators, ``config.json`` (so that it is read
like a checkpoint), ``scores.json``, ``prepare.json`` (how photographs are cropped for it) and
``model.json`` (its lineage). ``champion.json`` beside the versions names the best one.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from scraping.records import (
    CheckpointError,
    SuyanError,
    digest,
    file_sha256,
    sync_folder,
    write_json,
)

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")
_WEIGHTS = ("G_A.safetensors", "G_B.safetensors")


@dataclass(frozen=True)
class Promotion:
    """What became of a model: ``model`` is its folder in any case."""

    promoted: bool  # it is the champion now
    reason: str  # one or two sentences
    model: Path


def promote(run: Path, evaluation: Path, workspace: Path, recipe: str) -> Promotion:
    """Store the evaluated checkpoint as a version of ``recipe``; champion if it passes the gate.

    The gate: KID better than untranslated pictures in both directions, and on the champion's own
    dataset a mean KID that is not above the champion's. A repeated call changes nothing.

    Raises ``ValueError`` for a recipe name that is no plain name, ``SuyanError`` when
    ``evaluation`` holds no scores, ``CheckpointError`` when the evaluated checkpoint is gone.
    """
    if not _NAME.fullmatch(recipe):
        raise ValueError(f"recipe: got {recipe!r}, needed letters, digits, '.', '_' and '-'")
    scores = _scores(evaluation)
    models = workspace / "models" / recipe
    model = _store(run, scores, workspace, models)
    current = _current(models)
    if current == model:
        return Promotion(
            promoted=True, reason=f"{model.name} is the champion already.", model=model
        )
    objection = _objection(scores, current)
    if objection:
        use = f"It is kept as {model.relative_to(workspace)}: give that path to use it."
        return Promotion(promoted=False, reason=f"Not promoted: {objection} {use}", model=model)
    _crown(models, model, scores)
    instead = f" in place of {current.name}" if current else ""
    reason = (
        f"{model.name} is the champion of {recipe}{instead}: both directions are better than "
        "untranslated pictures."
    )
    return Promotion(promoted=True, reason=reason, model=model)


def champion(workspace: Path, recipe: str) -> Path:
    """The folder of ``recipe``'s champion. Raises ``SuyanError`` when there is none."""
    models = workspace / "models" / recipe
    found = _current(models) if _NAME.fullmatch(recipe) else None
    if found is None:
        raise SuyanError(
            f"{models} has no champion; run the pipeline for {recipe!r}, or give the path of one "
            "of its versions"
        )
    return found


def _scores(evaluation: Path) -> dict[str, Any]:
    try:
        scores: dict[str, Any] = json.loads((evaluation / "scores.json").read_text("utf-8"))
    except (FileNotFoundError, json.JSONDecodeError) as error:
        raise SuyanError(f"{evaluation}: no whole scores.json ({error}); evaluate first") from error
    return scores


def _objection(scores: Mapping[str, Any], current: Path | None) -> str:
    """Why the model may not be champion; ``""`` when it may."""
    for direction in scores["directions"].values():
        after, before = direction["kid"]["value"], direction["kid_baseline"]["value"]
        if not after < before:
            return (
                f"{direction['from']} → {direction['to']} has a KID of {after:.4f}, and leaving "
                f"pictures as they are has {before:.4f}."
            )
    if current is None:
        return ""
    rival = json.loads((current / "scores.json").read_text("utf-8"))
    same = ("dataset", "features", "px")
    if any(rival.get(key) != scores.get(key) for key in same):
        return ""  # figures of different datasets cannot be compared: the newer one wins
    mine, theirs = _mean_kid(scores), _mean_kid(rival)
    if mine > theirs:
        return f"its mean KID is {mine:.4f}, the champion {current.name} has {theirs:.4f}."
    return ""


def _mean_kid(scores: Mapping[str, Any]) -> float:
    values = [float(direction["kid"]["value"]) for direction in scores["directions"].values()]
    return sum(values) / len(values)


def _current(models: Path) -> Path | None:
    """The champion's folder, if the pointer and what it points to are whole."""
    try:
        name = json.loads((models / "champion.json").read_text("utf-8"))["model"]
    except (FileNotFoundError, json.JSONDecodeError, KeyError, TypeError):
        return None
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        return None
    folder = models / name
    return folder if (folder / "scores.json").exists() else None


def _store(run: Path, scores: Mapping[str, Any], workspace: Path, models: Path) -> Path:
    """Copy the model to a folder of its own, whole or not at all; the (new or old) folder."""
    checkpoint = run / "checkpoints" / str(scores["checkpoint"])
    missing = [name for name in (*_WEIGHTS, "config.json") if not (checkpoint / name).exists()]
    if missing:
        raise CheckpointError(f"{checkpoint}: {missing} missing; evaluate a newer checkpoint")
    weights = {name: file_sha256(checkpoint / name) for name in _WEIGHTS}
    identity = digest({"weights": weights, "dataset": scores["dataset"]}, length=8)
    model = models / f"step{scores['step']}-{identity}"
    if not model.exists():
        models.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(dir=models, prefix=f".{model.name}."))
        try:
            _fill(partial, checkpoint, scores, workspace, run, weights)
            partial.chmod(0o755)
            partial.rename(model)
            sync_folder(models)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    write_json(model / "scores.json", scores)
    return model


def _fill(
    folder: Path,
    checkpoint: Path,
    scores: Mapping[str, Any],
    workspace: Path,
    run: Path,
    weights: Mapping[str, str],
) -> None:
    for name in (*_WEIGHTS, "config.json"):
        shutil.copyfile(checkpoint / name, folder / name)
        with (folder / name).open("rb") as file:
            os.fsync(file.fileno())
    prepare = workspace / "datasets" / str(scores["dataset"]) / "config.json"
    if prepare.exists():
        shutil.copyfile(prepare, folder / "prepare.json")
    write_json(folder / "scores.json", scores)
    write_json(
        folder / "model.json",
        {
            "domains": scores["domains"],
            "directions": {
                name: {"generator": f"G_{name[0]}", "from": entry["from"], "to": entry["to"]}
                for name, entry in scores["directions"].items()
            },
            "px": scores["px"],
            "dataset": scores["dataset"],
            "run": run.name,
            "checkpoint": scores["checkpoint"],
            "weights_sha256": dict(weights),
        },
    )


def _crown(models: Path, model: Path, scores: Mapping[str, Any]) -> None:
    write_json(
        models / "champion.json",
        {
            "model": model.name,
            "dataset": scores["dataset"],
            "mean_kid": _mean_kid(scores),
            "promoted_at": datetime.now(UTC).isoformat(timespec="seconds"),
        },
    )
