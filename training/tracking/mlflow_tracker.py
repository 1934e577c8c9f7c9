"""MLflow, at ``MLFLOW_TRACKING_URI``; without it in a database beside the runs.

``MLFLOW_EXPERIMENT_NAME`` names the experiment.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Metric, Param
from mlflow.exceptions import MlflowException

from core.workspace_folders import RunFolder
from training.tracking.tracker import PROJECT, Row, Status, TrackedRun, Tracker

_KEY_TAG = "suyan.key"
_METRICS_PER_CALL = 1000  # MLflow's own limits
_PARAMS_PER_CALL = 100
_STATUS = {
    Status.RUNNING: "RUNNING",
    Status.FINISHED: "FINISHED",
    Status.INTERRUPTED: "KILLED",
}


class _MlflowTracker:
    def __init__(self) -> None:
        self._client: Any = None
        self._id = ""

    def open(self, run: TrackedRun) -> str:
        files = RunFolder(run.folder.absolute())
        address = os.environ.get("MLFLOW_TRACKING_URI")
        if not address:
            files.mlflow_store.mkdir(parents=True, exist_ok=True)
        self._client = MlflowClient(address or f"sqlite:///{files.mlflow_store}/mlflow.db")
        artifacts = None if address else files.mlflow_artifacts.as_uri()
        self._id = run.id or self._find_or_create(run, self._experiment(artifacts))
        if not self._client.get_run(self._id).data.params:
            params = [Param(name, str(value)) for name, value in run.hyperparameters.items()]
            for start in range(0, len(params), _PARAMS_PER_CALL):
                self._client.log_batch(self._id, params=params[start : start + _PARAMS_PER_CALL])
        self._client.update_run(self._id, status=_STATUS[Status.RUNNING])
        return self._id

    def _experiment(self, artifacts: str | None) -> str:
        """The id of the experiment, which is created where there is none."""
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or PROJECT
        experiment = self._client.get_experiment_by_name(name)
        if experiment is None:
            try:
                return str(self._client.create_experiment(name, artifact_location=artifacts))
            except MlflowException:  # another training has just created it
                experiment = self._client.get_experiment_by_name(name)
                if experiment is None:
                    raise
        return str(experiment.experiment_id)

    def _find_or_create(self, run: TrackedRun, experiment: str) -> str:
        """The id of the run; one that was created before a kill has our key already."""
        former = self._client.search_runs([experiment], f"tags.`{_KEY_TAG}` = '{run.key}'")
        if former:
            return str(former[0].info.run_id)
        tags = {_KEY_TAG: run.key}
        created = self._client.create_run(experiment, tags=tags, run_name=run.folder.name)
        return str(created.info.run_id)

    def last_step(self) -> int:
        names = self._client.get_run(self._id).data.metrics
        return max(
            (
                metric.step
                for name in names
                if not name.startswith("eval")
                for metric in self._client.get_metric_history(self._id, name)
            ),
            default=-1,
        )

    def log(self, rows: Sequence[Row]) -> None:
        for row in rows:
            for name, file in row.pictures.items():
                self._client.log_artifact(self._id, str(file), name)
        self._log_metrics([(row.step, row.figures) for row in rows])

    def log_evaluation(self, step: int, figures: Mapping[str, float], num_before: int) -> None:
        del num_before  # MLflow takes steps in any order
        self._log_metrics([(step, figures)])

    def _log_metrics(self, steps: Sequence[tuple[int, Mapping[str, float]]]) -> None:
        now_ms = int(time.time() * 1000)
        metrics = [
            Metric(name, value, now_ms, step)
            for step, figures in steps
            for name, value in figures.items()
        ]
        for start in range(0, len(metrics), _METRICS_PER_CALL):
            self._client.log_batch(self._id, metrics=metrics[start : start + _METRICS_PER_CALL])

    def close(self, status: str) -> None:
        if status != Status.RUNNING:
            self._client.set_terminated(self._id, _STATUS[status])


def build() -> Tracker:
    """A tracker that is not open yet."""
    return _MlflowTracker()
