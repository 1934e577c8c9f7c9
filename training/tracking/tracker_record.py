"""``runs/<run>/tracker-<name>.json``: a tracker's id of the run, and what it has of it."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from core.files import try_load_json, write_json
from core.workspace_folders import RunFolder
from training.tracking.tracker import Status, Value

_KEY_LETTERS = 21  # as SwanLab wants


@dataclass(frozen=True)
class TrackerRecord:
    """The state of a run at a tracker. It holds no secrets."""

    key: str  # chosen here
    id: str = ""  # the tracker's, once it knows the run
    step: int = -1  # the last one that was sent
    evaluations: Mapping[str, str] = field(default_factory=dict)  # digests by checkpoint
    hyperparameters: Mapping[str, Value] = field(default_factory=dict)
    status: str = Status.RUNNING


def load_record(run: Path, name: str) -> TrackerRecord | None:
    """The record; ``None`` where the tracker was never asked to have this run."""
    value = try_load_json(RunFolder(run).tracker(name))
    return None if value is None else TrackerRecord(**value)


def save_record(run: Path, name: str, record: TrackerRecord) -> None:
    """Write the record atomically."""
    write_json(RunFolder(run).tracker(name), asdict(record))


def create_record(run: Path, name: str, hyperparameters: Mapping[str, Value]) -> None:
    """Write a new record, unless there is one."""
    if load_record(run, name) is None:
        key = uuid.uuid4().hex[:_KEY_LETTERS]
        save_record(run, name, TrackerRecord(key, hyperparameters=hyperparameters))
