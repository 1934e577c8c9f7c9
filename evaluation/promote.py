"""Keep a measured model as a version, and make it the champion when it has earned it.

``workspace/models/<recipe>/<version>/`` holds both generators, ``config.json`` (so that it is read
like a checkpoint), ``scores.json``, ``prepare.json`` (how photographs are cropped for it) and
``model.json`` (its lineage). ``champion.json`` beside the versions names the best one.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock

from evaluation.config import PromoteConfig
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


def promote(
    run: Path,
    evaluation: Path,
    workspace: Path,
    recipe: str,
    rule: PromoteConfig = PromoteConfig(),  # noqa: B008 - frozen
) -> Promotion:
    """Store the evaluated checkpoint as a version of ``recipe``; champion if it passes the gate.

    The gate: KID better than untranslated pictures in both directions, and a better mean KID than
    the champion's on the same test pictures; both beyond the 95 % interval unless ``rule`` says
    otherwise. A champion of another dataset stays: a person decides (``crown``). A repeated call
    changes nothing. One process at a time decides; others wait.

    Raises ``ValueError`` for a recipe name that is no plain name, ``SuyanError`` when
    ``evaluation`` holds no scores, ``CheckpointError`` when the evaluated checkpoint is gone.
    """
    models = _models(workspace, recipe)
    scores = _scores(evaluation)
    with _locked(models):
        return _decide(run, scores, workspace, models, rule)


def _decide(
    run: Path, scores: Mapping[str, Any], workspace: Path, models: Path, rule: PromoteConfig
) -> Promotion:
    model = _store(run, scores, workspace, models)
    current = _current(models)
    if current == model:
        return Promotion(
            promoted=True, reason=f"{model.name} is the champion already.", model=model
        )
    objection = _objection(scores, current, rule)
    if objection:
        use = (
            f"It is kept as {model.relative_to(workspace)}: give that path to use it, or "
            f"'suyan promote {model.name} --recipe {models.name}' to make it champion all the same."
        )
        return Promotion(promoted=False, reason=f"Not promoted: {objection} {use}", model=model)
    reason = "it passed the gate" + (f" against {current.name}" if current else "")
    _crown(models, model, by="gate", reason=reason)
    instead = f" in place of {current.name}" if current else ""
    better = ": both directions are better than untranslated pictures" * rule.beat_untranslated
    reason = f"{model.name} is the champion of {models.name}{instead}{better}."
    return Promotion(promoted=True, reason=reason, model=model)


def crown(workspace: Path, recipe: str, version: str, reason: str = "") -> Path:
    """A person makes ``version`` the champion, whatever its figures; its folder.

    Raises ``ValueError`` for a version that the recipe does not have.
    """
    models = _models(workspace, recipe)
    with _locked(models):
        known = versions(workspace, recipe)
        if version not in {path.name for path in known}:
            raise ValueError(
                f"version: got {version!r}, {models} has "
                f"{', '.join(path.name for path in known) or 'none'}"
            )
        if _current(models) != models / version:
            _crown(models, models / version, by="person", reason=reason)
    return models / version


def rollback(workspace: Path, recipe: str) -> Path:
    """Make the champion before the present one champion again; its folder.

    Called again, it goes one further back. Raises ``SuyanError`` when there is none that is whole.
    """
    models = _models(workspace, recipe)
    with _locked(models):
        pointer = _pointer(models)
        previous = [name for name in pointer.get("previous", []) if _is_whole(models, name)]
        if not previous:
            raise SuyanError(f"{models} has no earlier champion to go back to; nothing was changed")
        _point(models, previous[-1], previous[:-1], pointer, by="rollback", reason="")
        return models / str(previous[-1])


def versions(workspace: Path, recipe: str) -> list[Path]:
    """Folders of the recipe's stored models, by name."""
    models = _models(workspace, recipe)
    return sorted(
        path for path in models.glob("*") if path.is_dir() and _is_whole(models, path.name)
    )


def _models(workspace: Path, recipe: str) -> Path:
    if not _NAME.fullmatch(recipe):
        raise ValueError(f"recipe: got {recipe!r}, needed letters, digits, '.', '_' and '-'")
    return workspace / "models" / recipe


@contextlib.contextmanager
def _locked(models: Path) -> Iterator[None]:
    """Only one process stores, decides and moves the pointer; a dead one's lock is free again."""
    models.mkdir(parents=True, exist_ok=True)
    with FileLock(models / ".lock"):
        yield


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


def _objection(scores: Mapping[str, Any], current: Path | None, rule: PromoteConfig) -> str:
    """Why the model may not be champion; ``""`` when it may."""
    if not rule.automatic:
        return "only a person promotes (promote.automatic is off)."
    for direction in scores["directions"].values():
        after, before = direction["kid"]["value"], direction["kid_baseline"]["value"]
        change = direction["kid_change"]["high"] if rule.surely else after - before
        if rule.beat_untranslated and not change < 0:
            return (
                f"{direction['from']} → {direction['to']} has a KID of {after:.4f}, and leaving "
                f"pictures as they are has {before:.4f}"
                + (": better, but not surely so." if after < before else ".")
            )
    if current is None:
        return ""
    rival = json.loads((current / "scores.json").read_text("utf-8"))
    same = ("dataset", "features", "px", "counts")
    differing = [key for key in same if rival.get(key) != scores.get(key)]
    if differing:
        return (
            f"the champion {current.name} was measured on other pictures ({', '.join(differing)} "
            "differ), so that their figures cannot be compared."
        )
    mine, theirs = _mean_kid(scores), _mean_kid(rival)
    margin = _half_width(scores) if rule.surely else 0.0
    if not mine + margin < theirs:
        return (
            f"its mean KID is {mine:.4f} (± {margin:.4f}), the champion {current.name} has "
            f"{theirs:.4f}."
        )
    return ""


def _half_width(scores: Mapping[str, Any]) -> float:
    """Of the mean KID's 95 % interval, the directions taken as independent."""
    halves = [
        float(direction["kid"]["high"]) - float(direction["kid"]["value"])
        for direction in scores["directions"].values()
    ]
    return float(sum(half**2 for half in halves) ** 0.5 / len(halves))


def _mean_kid(scores: Mapping[str, Any]) -> float:
    values = [float(direction["kid"]["value"]) for direction in scores["directions"].values()]
    return sum(values) / len(values)


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
    return all((models / name / file).is_file() for file in (*_WEIGHTS, "scores.json"))


def _current(models: Path) -> Path | None:
    """The champion's folder, if the pointer and what it points to are whole."""
    name = _pointer(models).get("model")
    return models / str(name) if _is_whole(models, name) else None


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


def _crown(models: Path, model: Path, *, by: str, reason: str) -> None:
    pointer = _pointer(models)
    previous = [*pointer.get("previous", []), *([pointer["model"]] if "model" in pointer else [])]
    _point(models, model.name, previous, pointer, by=by, reason=reason)


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
            "mean_kid": _mean_kid(scores),
            "promoted_at": now,
            "previous": previous,
            "history": [*pointer.get("history", []), event],
        },
    )
