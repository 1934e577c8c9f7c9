"""``python -m training CONFIG DATASET RUN``: train without Prefect, on several devices too.

CONFIG is a JSON file of a ``TrainConfig`` (a run's ``config.json`` will do). For example::

    torchrun --nproc-per-node 2 -m training config.json workspace/datasets/makeup-bare-1 runs/two
"""

from __future__ import annotations

import argparse
import importlib
import json
import logging
import os
import sys
import time
from dataclasses import asdict
from pathlib import Path

from core.errors import SuyanError
from core.progress import silent
from training.config import TrainConfig
from training.runtime.launcher import end_with_parent, tell
from training.train import Distance, train


def main() -> None:
    """Train as the arguments say; an error becomes its message and status 1."""
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    parser.add_argument("config", type=Path, help="JSON file of a TrainConfig")
    parser.add_argument("dataset", type=Path, help="folder with trainA, trainB")
    parser.add_argument("run", type=Path, help="folder for checkpoints, samples and logs")
    parser.add_argument(
        "--distance", default="", help="MODULE:FUNCTION that makes the distance to validate by"
    )
    parser.add_argument("--report", action="store_true", help="write progress as JSON lines")
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if "TORCHELASTIC_RUN_ID" in os.environ:
        end_with_parent()
    is_first = os.environ.get("RANK", "0") == "0"
    progress = (_report if given.report else _Lines()) if is_first else silent
    try:
        config = _config(given.config)
        distance = _made(given.distance) if given.distance else None
        summary = train(config, given.dataset, given.run, progress=progress, distance=distance)
    except (SuyanError, ValueError, OSError) as error:
        sys.exit(f"{type(error).__name__}: {error}")
    if is_first and given.report:
        tell({"summary": asdict(summary)})
    elif is_first:
        logging.getLogger(__name__).info("%s", summary.checkpoint)
    if "TORCHELASTIC_RUN_ID" in os.environ:
        _end_at_once()


def _end_at_once() -> None:
    """End without the interpreter's own end, in which a thread of gloo's that still lets go of a
    tensor aborts the process now and then: torchrun would take a training that is done for a failed
    one.
    """
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(0)


def _config(path: Path) -> TrainConfig:
    """Of a file that holds it, or a run's, which has it under ``train``."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        within = isinstance(values, dict) and "train" in values
        return TrainConfig.model_validate(values["train"] if within else values)
    except ValueError as error:
        raise ValueError(f"{path}: needed the JSON of a TrainConfig: {error}") from error


def _made(name: str) -> Distance:
    module, _, function = name.partition(":")
    made: Distance = getattr(importlib.import_module(module), function)()
    return made


def _report(stage: str, done: int, total: int | None, message: str) -> None:
    tell({"progress": [stage, done, total, message]})


class _Lines:
    """Progress as a line every fifty steps, with the time that is still needed."""

    def __init__(self) -> None:
        self._first: tuple[float, int] | None = None

    def __call__(self, stage: str, done: int, total: int | None, message: str) -> None:
        now = time.monotonic()
        self._first = began, first = self._first or (now, done)
        if done % 50 and done != total:
            return
        left = ""
        if total is not None and first < done < total:
            minutes = (now - began) / (done - first) * (total - done) / 60
            left = f", {minutes:.0f} min left" if minutes >= 1 else ", under a minute left"
        logging.getLogger(__name__).info("%s %d/%s %s%s", stage, done, total, message, left)


if __name__ == "__main__":
    main()
