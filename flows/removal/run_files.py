"""Files of runs and models that show a forgotten picture, and the weights that learned from it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import get_args

from core.errors import SuyanError
from core.files import try_load_json
from core.language.messages import localised
from core.locks import file_lock
from core.workspace import Workspace
from core.workspace_folders import EvaluationFolder, ModelFolder, RecipeModels, RunFolder
from flows.removal.copy_names import is_named_after
from storage.forgotten_record import NUM_DIGITS, ForgottenRecord, RemovedVersion
from training.tracking.tracker import TrackerName
from training.tracking.tracker_record import load_record

_NOTHING = RemovedVersion()


@dataclass(frozen=True)
class TrainedRun:
    """A run on a version that held a forgotten picture."""

    folder: RunFolder
    fate: RemovedVersion

    @property
    def trackers(self) -> list[str]:
        """The trackers that may have shown the picture, in grids of samples, to others too."""
        names = get_args(TrackerName) if self.fate.in_samples else ()
        return [name for name in names if load_record(self.folder.path, name) is not None]

    def files(self) -> list[Path]:
        """The files and folders here that may show the picture: grids of samples (TensorBoard and
        trackers have them too), reports with their galleries and figures, pools of translations.
        """
        run, fate = self.folder, self.fate
        paths: list[Path] = []
        if fate.in_samples:
            paths += [run.samples_folder(), run.samples_folder(averaged=True), run.tensorboard]
            paths.append(run.tracking)
            mlflow = load_record(run.path, "mlflow")
            if mlflow is not None and mlflow.id:
                paths.append(run.mlflow_artifacts / mlflow.id)
        if fate.in_augmentation:
            paths.append(run.augmentation)
        if fate.is_used:
            for path in run.evaluations.glob("[!.]*/"):
                evaluation = EvaluationFolder(path)
                paths += [evaluation.scores, evaluation.figures]
                paths += [evaluation.report, evaluation.gallery]
        if fate.is_trained_on:
            paths += [run.checkpoint(path.name).state for path in run.checkpoints.glob("step_*/")]
        return [path for path in paths if path.exists()]


def find_runs(workspace: Workspace, record: ForgottenRecord) -> list[TrainedRun]:
    """The runs here whose dataset held a forgotten picture, also where the dataset is gone."""
    runs = []
    for path in sorted(workspace.runs.glob("[!.]*/")):
        run = RunFolder(path)
        version = str((try_load_json(run.config) or {}).get("dataset", ""))
        fate = record.versions.get(version, _NOTHING)
        if not fate.is_trained_on and _trained_on(run, record):
            fate = RemovedVersion(is_used=True, is_trained_on=True)
        if fate.is_used:
            runs.append(TrainedRun(run, fate))
    return runs


def find_models(workspace: Workspace, record: ForgottenRecord) -> dict[ModelFolder, bool]:
    """The stored models here of such runs, and whether each was trained on a forgotten picture."""
    trained = {run.folder.path.name: run.fate for run in find_runs(workspace, record)}
    models = {}
    for recipe in map(RecipeModels, sorted(workspace.models.glob("[!.]*/"))):
        for model in map(ModelFolder, sorted(recipe.path.glob("[!.]*/"))):
            lineage = try_load_json(model.lineage) or {}
            fate = record.versions.get(str(lineage.get("dataset", "")), _NOTHING)
            if not fate.is_used:
                fate = trained.get(str(lineage.get("run", "")), _NOTHING)
            if fate.is_used:
                models[model] = fate.is_trained_on
    return models


def remove_run_files(run: TrainedRun) -> list[Path]:
    """Remove the run's files that may show the picture; returns them."""
    files = run.files()
    for path in files:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    return files


@contextmanager
def not_training(run: TrainedRun) -> Iterator[None]:
    """Hold the run's lock; raises ``SuyanError`` while another process trains it."""

    def refuse() -> None:
        raise SuyanError(
            localised(
                "{path}: another process trains it now, on a picture to forget",
                path=run.folder.path,
            ),
            remedy=localised(
                "Stop it (Ctrl-C, or cancel its run in the Prefect UI), and run the same again"
            ),
        )

    with file_lock(run.folder.lock, on_wait=refuse):
        yield


def _trained_on(run: RunFolder, record: ForgottenRecord) -> bool:
    """Whether the pictures that the run recorded, by name and digest, have a forgotten one."""
    heads, contents = record.heads, {sha256[:NUM_DIGITS] for sha256 in record.copies}
    for files in (try_load_json(run.pictures) or {}).values():
        for name, digits in dict(files).items():
            if is_named_after(PurePosixPath(name).name, heads) or digits in contents:
                return True
    return False
