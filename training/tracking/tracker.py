"""Trackers of experiments: what each of them does, and which ones there are."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol, get_args

from core.commands import install_command
from core.errors import MissingModelError
from core.language.messages import localised

TrackerName = Literal["wandb", "mlflow", "swanlab"]
"""The trackers; each has an extra of the same name, and a module ``<name>_tracker``."""

PROJECT = "suyan"
"""The project, or experiment, of the runs where the environment names none."""

Value = str | int | float | bool
"""The value of a hyperparameter."""


class Status:
    """How a training ended, or that it has not."""

    RUNNING = "running"
    FINISHED = "finished"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True)
class Row:
    """All figures and pictures of one step."""

    step: int
    figures: Mapping[str, float] = field(default_factory=dict)
    pictures: Mapping[str, Path] = field(default_factory=dict)  # JPEG files


@dataclass(frozen=True)
class TrackedRun:
    """What a tracker needs to know of a run to begin it, or to go on with it."""

    folder: Path  # runs/<run>
    id: str  # the tracker's name of it; "": none yet
    key: str  # ours, unique, for a tracker that chooses the id itself
    hyperparameters: Mapping[str, Value]
    is_new: bool  # nothing was sent yet


class Tracker(Protocol):
    """A connection to a tracker, for one run. Every method may raise what its package raises."""

    def open(self, run: TrackedRun) -> str:
        """Begin the run with its hyperparameters, or go on with it; returns its id."""

    def last_step(self) -> int:
        """The last step that the tracker knows to have; -1 where it cannot tell."""

    def log(self, rows: Sequence[Row]) -> None:
        """Send the rows, the oldest first; all of their figures, or none."""

    def log_evaluation(self, step: int, figures: Mapping[str, float], num_before: int) -> None:
        """Send figures of the checkpoint at ``step``; ``num_before`` evaluations were sent."""

    def close(self, status: str) -> None:
        """Wait until everything is sent, and end the run with a ``Status``."""


def require_packages(names: Iterable[str]) -> None:
    """Raise ``MissingModelError`` for trackers whose packages are not installed."""
    missing = [name for name in names if importlib.util.find_spec(name) is None]
    if missing:
        packages = localised(" and ").join(missing)
        raise MissingModelError(
            localised("track: got {packages}, and its package is not installed", packages=packages)
            if len(missing) == 1
            else localised("track: got {packages}, and packages not installed", packages=packages),
            remedy=localised("Run: {command}", command=install_command(",".join(missing))),
        )


def build_tracker(name: str) -> Tracker:
    """The tracker of this name. Imports its package, which takes seconds.

    Raises ``MissingModelError`` where it is not installed.
    """
    assert name in get_args(TrackerName)
    require_packages([name])
    module = importlib.import_module(f"training.tracking.{name}_tracker")
    tracker: Tracker = module.build()
    return tracker
