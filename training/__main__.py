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
from dataclasses import asdict
from pathlib import Path

from scraping.records import SuyanError
from training.config import TrainConfig
from training.elastic import end_with_parent, tell
from training.train import Distance, train


def main() -> None:
    """Train as the arguments say; an error becomes one line and status 2."""
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
    progress = (_report if given.report else _tell) if is_first else _nothing
    try:
        values = json.loads(given.config.read_text())
        config = TrainConfig.model_validate(values.get("train", values))
        distance = _made(given.distance) if given.distance else None
        summary = train(config, given.dataset, given.run, progress=progress, distance=distance)
    except (SuyanError, ValueError, OSError) as error:
        sys.exit(f"{type(error).__name__}: {error}")
    if is_first and given.report:
        tell({"summary": asdict(summary)})
    elif is_first:
        logging.getLogger(__name__).info("%s", summary.checkpoint)


def _made(name: str) -> Distance:
    module, _, function = name.partition(":")
    made: Distance = getattr(importlib.import_module(module), function)()
    return made


def _report(stage: str, done: int, total: int | None, message: str) -> None:
    tell({"progress": [stage, done, total, message]})


def _tell(stage: str, done: int, total: int | None, message: str) -> None:
    if done % 50 == 0 or done == total:
        logging.getLogger(__name__).info("%s %d/%s %s", stage, done, total, message)


def _nothing(stage: str, done: int, total: int | None, message: str) -> None:
    pass


if __name__ == "__main__":
    main()
