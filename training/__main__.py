"""``python -m training CONFIG DATASET RUN`` trains without Prefect, on one device or several.

CONFIG is a JSON file of a ``TrainConfig``, or the ``config.json`` of a run. For example::

    torchrun --nproc-per-node 2 -m training config.json workspace/datasets/makeup-bare-1 runs/two
"""

from __future__ import annotations

import argparse
import importlib
import logging
import os
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import get_args

from core.errors import SuyanError
from core.files import load_json
from core.language.messages import localised
from core.progress import silent
from training.config import TrainConfig
from training.runtime.launcher import end_with_parent, write_report
from training.tracking.tracker import TrackerName
from training.train import Distance, train

_STEPS_PER_LINE = 50


def main() -> None:
    """Train as the arguments say; prints an error and exits with status 1."""
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    parser.add_argument("config", type=Path, help="JSON file of a TrainConfig")
    parser.add_argument("dataset", type=Path, help="folder with trainA, trainB")
    parser.add_argument("run", type=Path, help="folder for checkpoints, samples and logs")
    parser.add_argument(
        "--distance", default="", help="MODULE:FUNCTION that builds the distance to validate by"
    )
    parser.add_argument(
        "--track",
        action="append",
        default=[],
        choices=get_args(TrackerName),
        help="tracker that gets figures and sample grids; repeatable. The config.json of a run "
        "names none",
    )
    parser.add_argument("--report", action="store_true", help="write progress as JSON lines")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if "TORCHELASTIC_RUN_ID" in os.environ:
        end_with_parent()
    is_first = os.environ.get("RANK", "0") == "0"
    progress = (_report_progress if arguments.report else _ProgressLines()) if is_first else silent
    try:
        config = _load_config(arguments.config, arguments.track)
        distance = _build_distance(arguments.distance) if arguments.distance else None
        summary = train(
            config, arguments.dataset, arguments.run, progress=progress, distance=distance
        )
    except (SuyanError, ValueError, OSError) as error:
        sys.exit(f"Error: {error}")
    if is_first and arguments.report:
        write_report({"summary": asdict(summary)})
    elif is_first:
        logging.getLogger(__name__).info("%s", summary.checkpoint)
    if "TORCHELASTIC_RUN_ID" in os.environ:
        _exit_without_cleanup()


def _exit_without_cleanup() -> None:
    """Exit with status 0 before the interpreter cleans up.

    A thread of gloo that frees a tensor during the cleanup sometimes aborts the process, and
    torchrun would take a finished training for a failed one.
    """
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(0)


def _load_config(path: Path, track: list[str]) -> TrainConfig:
    """The ``TrainConfig`` in a file, or under ``train`` in a run's, with the trackers too."""
    try:
        values = load_json(path)
        values = values.get("train", values)
        return TrainConfig.model_validate(values | {"track": [*values.get("track", ()), *track]})
    except ValueError as error:
        raise ValueError(
            localised("{path}: needed the JSON of a TrainConfig: {error}", path=path, error=error)
        ) from error


def _build_distance(name: str) -> Distance:
    """The result of calling the function ``module:function``."""
    module, _, function = name.partition(":")
    distance: Distance = getattr(importlib.import_module(module), function)()
    return distance


def _report_progress(stage: str, done: int, total: int | None, message: str) -> None:
    write_report({"progress": [stage, done, total, message]})


class _ProgressLines:
    """A ``Progress`` that logs every fifty steps, with the minutes left."""

    def __init__(self) -> None:
        self._start: tuple[float, int] | None = None  # time in s, and the steps done at that time

    def __call__(self, stage: str, done: int, total: int | None, message: str) -> None:
        now = time.monotonic()
        self._start = began, first = self._start or (now, done)
        if done % _STEPS_PER_LINE and done != total:
            return
        left = ""
        if total is not None and first < done < total:
            minutes = (now - began) / (done - first) * (total - done) / 60
            left = f", {minutes:.0f} min left" if minutes >= 1 else ", under a minute left"
        logging.getLogger(__name__).info("%s %d/%s %s%s", stage, done, total, message, left)


if __name__ == "__main__":
    main()
