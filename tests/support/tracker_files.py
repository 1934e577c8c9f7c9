"""Reads what trackers keep of a run, offline: the figures of each step, by name."""

from __future__ import annotations

import json
import struct
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

_BLOCK = 32768
_HEADER = 7  # of the file, and of each part of a record


@dataclass
class TrackerFiles:
    """Everything that a tracker has of a run.

    ``figures``: (step, value) of each name, in the order of sending; ``sessions``: the run's id,
    one for each time that it was begun or gone on with.
    """

    figures: dict[str, list[tuple[int, float]]] = field(default_factory=lambda: defaultdict(list))
    pictures: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    hyperparameters: dict[str, str] = field(default_factory=dict)
    sessions: list[str] = field(default_factory=list)
    status: str = ""


def read_wandb(run: Path) -> TrackerFiles:
    from wandb.proto import wandb_internal_pb2

    files = TrackerFiles()
    for path in sorted(run.glob("tracking/wandb/offline-run-*/run-*.wandb")):
        files.status = "running"
        for content in _records(path):
            record = wandb_internal_pb2.Record.FromString(content)
            kind = record.WhichOneof("record_type")
            if kind == "run":
                files.sessions.append(record.run.run_id)
                for each in record.run.config.update:
                    files.hyperparameters[each.key] = str(json.loads(each.value_json))
            elif kind == "exit":
                files.status = "interrupted" if record.exit.exit_code else "finished"
            elif kind == "history":
                row = {
                    tuple(each.nested_key): json.loads(each.value_json)
                    for each in record.history.item
                }
                _add_row(files, record.history.step.num, row)
    return files


def _add_row(files: TrackerFiles, own_step: int, row: dict[tuple[str, ...], Any]) -> None:
    """Add a row of W&B, in which a picture is several values below its name."""
    step = row.get(("eval/step",), own_step)
    for (name, *below), value in row.items():
        if below == ["_type"]:
            files.pictures[name].append(step)
        elif not below and not name.startswith("_"):
            files.figures[name].append((step, value))


def read_swanlab(run: Path) -> TrackerFiles:
    from swanlab.proto.swanlab.record.v1 import record_pb2
    from swanlab.proto.swanlab.run.v1 import run_pb2

    files = TrackerFiles()
    for path in sorted(run.glob("tracking/swanlab/run-*/run-*.swanlab")):
        files.status = "running"
        for content in _records(path):
            record = record_pb2.Record.FromString(content)
            kind = record.WhichOneof("record_type")
            if kind == "start":
                files.sessions.append(record.start.id)
            elif kind == "finish":
                is_whole = record.finish.state == run_pb2.RunState.RUN_STATE_FINISHED
                files.status = "finished" if is_whole else "interrupted"
            elif kind == "scalar":
                value = record.scalar.value.number
                files.figures[record.scalar.key].append((record.scalar.step, value))
            elif kind == "media":
                files.pictures[record.media.key].append(record.media.step)
        config = yaml.safe_load((path.parent / "files" / "config.yaml").read_text("utf-8"))
        files.hyperparameters = {name: str(each["value"]) for name, each in config.items()}
    return files


def read_mlflow(run: Path) -> TrackerFiles:
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{run.parent.absolute()}/.mlflow/mlflow.db")
    (experiment,) = [each for each in client.search_experiments() if each.name == "suyan"]
    files = TrackerFiles()
    for each in client.search_runs([experiment.experiment_id]):
        files.sessions.append(each.info.run_id)
        files.status = {"KILLED": "interrupted"}.get(each.info.status, each.info.status.lower())
        files.hyperparameters = dict(each.data.params)
        for name in each.data.metrics:
            for metric in client.get_metric_history(each.info.run_id, name):
                files.figures[name].append((metric.step, metric.value))
        for path in client.list_artifacts(each.info.run_id, "samples"):
            files.pictures["samples"].append(int(Path(path.path).stem.removeprefix("step_")))
    return files


def _records(path: Path) -> Iterator[bytes]:
    """The records of a file in LevelDB's log format, without a torn last one."""
    content, record = path.read_bytes(), b""
    start = _HEADER
    while start + _HEADER <= len(content):
        left = _BLOCK - start % _BLOCK
        if left < _HEADER:
            start += left
            continue
        _, size, kind = struct.unpack("<IHB", content[start : start + _HEADER])
        record += content[start + _HEADER : start + _HEADER + size]
        start += _HEADER + size
        if kind in {1, 4} and start <= len(content):  # whole, or the last part
            yield record
            record = b""
