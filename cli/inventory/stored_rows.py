"""What a workspace stores, as rows: its runs, models, datasets and crawls, the oldest first.

Rows have values for JSON. They are read from the folder alone: of a workspace in a bucket, what is
on this machine.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from core.files import try_load_json
from core.workspace import Workspace
from core.workspace_folders import DatasetFolder, EvaluationFolder, ModelFolder, RunFolder

Row = dict[str, Any]


def run_rows(workspace: Workspace) -> list[Row]:
    """A row for each training run: epochs, steps, and the KID of its newest evaluation."""
    from training.run.run_log import read_log

    rows = []
    for run in map(RunFolder, _folders(workspace.runs)):
        config = try_load_json(run.config)
        if config is None:
            continue
        train = config.get("train", {})
        log = read_log(run.log) if run.log.exists() else []
        last = log[-1] if log else {}
        evaluation = newest_evaluation(run)
        rows.append(
            {
                "run": run.path.name,
                "dataset": config.get("dataset", ""),
                "epoch": last.get("epoch", 0),
                "num_epochs": train.get("num_epochs", 0) + train.get("num_epochs_decay", 0),
                "step": last.get("step", 0),
                "evaluated": evaluation.path.name if evaluation else None,
                "kid": _kid(evaluation.scores) if evaluation else {},
                "changed_at": _changed_at(run.log if run.log.exists() else run.config),
            }
        )
    return sorted(rows, key=_age)


def newest_evaluation(run: RunFolder) -> EvaluationFolder | None:
    """The evaluation of the latest checkpoint that was measured."""
    folders = map(EvaluationFolder, sorted(_folders(run.evaluations), reverse=True))
    return next((folder for folder in folders if folder.scores.is_file()), None)


def model_rows(workspace: Workspace) -> list[Row]:
    """A row for each stored model: its recipe, its run, its KID, and whether it is champion."""
    from evaluation.model_registry.model_versions import find_champion, versions

    rows = []
    for recipe in sorted(path.name for path in _folders(workspace.models)):
        champion = find_champion(workspace, recipe)
        for model in map(ModelFolder, versions(workspace, recipe)):
            lineage = try_load_json(model.lineage) or {}
            rows.append(
                {
                    "model": model.path.name,
                    "recipe": recipe,
                    "is_champion": model.path == champion,
                    "run": lineage.get("run", ""),
                    "kid": _kid(model.scores),
                    "changed_at": _changed_at(model.config),
                }
            )
    return sorted(rows, key=_age)


def dataset_rows(workspace: Workspace) -> list[Row]:
    """A row for each dataset version: pictures by split, and the recipes whose newest it is."""
    newest = {
        folder.name: (try_load_json(workspace.pointer(folder.name, "dataset")) or {}).get("version")
        for folder in _folders(workspace.pointers)
    }
    rows = []
    for dataset in map(DatasetFolder, _folders(workspace.datasets)):
        card = try_load_json(dataset.card)
        if card is None or not dataset.manifest.is_file() or not dataset.split("trainA").is_dir():
            continue  # without a folder of pictures, it shows why too few were usable
        name = dataset.path.name
        rows.append(
            {
                "dataset": name,
                "counts": card.get("counts", {}),
                "newest_of": sorted(each for each, version in newest.items() if version == name),
                "changed_at": card.get("made_at") or _changed_at(dataset.card),
            }
        )
    return sorted(rows, key=_age)


def crawl_rows(workspace: Workspace) -> list[Row]:
    """A row for each crawl; none in a workspace without a catalogue."""
    from cli.inventory.crawl_states import crawl_states
    from scraping.catalogue.database import catalogue_url

    url = catalogue_url(workspace)
    if url == f"sqlite:///{workspace.catalogue}" and not workspace.catalogue.exists():
        return []
    crawls, _ = crawl_states(workspace)
    return [
        {key: value for key, value in crawl.items() if key != "phrases"}
        | {"changed_at": crawl["started_at"].isoformat(timespec="seconds")}
        for crawl in crawls
    ]


def _folders(above: Path) -> Iterator[Path]:
    """The folders in ``above`` that are whole: hidden ones are drafts."""
    return (path for path in above.glob("[!.]*") if path.is_dir())


def _kid(scores: Path) -> dict[str, Any]:
    """The KID of each direction with its interval, by the domains."""
    directions = (try_load_json(scores) or {}).get("directions", {})
    return {
        f"{each.get('from')} → {each.get('to')}": each["kid"]
        for each in directions.values()
        if "kid" in each
    }


def _age(row: Row) -> str:
    return str(row["changed_at"])


def _changed_at(path: Path) -> str:
    return datetime.fromtimestamp(path.stat().st_mtime, UTC).isoformat(timespec="seconds")
