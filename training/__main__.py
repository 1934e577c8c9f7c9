"""``python -m training CONFIG DATASET RUN``: train without Prefect, on several devices too.

CONFIG is a JSON file of a ``TrainConfig`` (a run's ``config.json`` will do). For example::

    torchrun --nproc-per-node 2 -m training config.json workspace/datasets/makeup-bare-1 runs/two
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from pathlib import Path

from scraping.records import SuyanError
from training.config import TrainConfig
from training.train import train


def main() -> None:
    """Train as the arguments say; an error becomes one line and status 2."""
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    parser.add_argument("config", type=Path, help="JSON file of a TrainConfig")
    parser.add_argument("dataset", type=Path, help="folder with trainA, trainB")
    parser.add_argument("run", type=Path, help="folder for checkpoints, samples and logs")
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        values = json.loads(given.config.read_text())
        config = TrainConfig.model_validate(values.get("train", values))
        summary = train(config, given.dataset, given.run, progress=_tell)
    except (SuyanError, ValueError, OSError) as error:
        sys.exit(f"{type(error).__name__}: {error}")
    logging.getLogger(__name__).info("%s", summary.checkpoint)


def _tell(stage: str, done: int, total: int | None, message: str) -> None:
    if done % 50 == 0 or done == total:
        logging.getLogger(__name__).info("%s %d/%s %s", stage, done, total, message)


if __name__ == "__main__":
    main()
