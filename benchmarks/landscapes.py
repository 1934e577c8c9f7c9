"""Summer to winter and back: the recipe without faces, trained for so many minutes.

The landscapes are drawn, no place in both seasons; ``--photographs DIR`` takes photographs instead,
in a folder with ``trainA`` and ``trainB``. The training is the ``hour`` preset's, its epochs sized
by timed steps so that it takes ``--minutes``, or the preset's own with ``--whole``; the evaluation
is Suyan's own. A sheet shows held-out pictures with their translations. ``--out`` keeps dataset,
run, report and sheet, and goes on with them.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import tempfile
from pathlib import Path

from drawn_faces import store_original
from timed_training import sized, train_and_measure

from core.tables import Original, write_rows
from core.workspace import Workspace
from preprocessing.config import PrepareConfig
from scraping.offline.corpus import jpeg
from scraping.offline.landscapes import draw
from training.config import TrainConfig
from training.standard_configs import hour

_NUM = 1100  # landscapes a side: about 800 of them are trained on
_TEST_FRACTION = 0.25
_DOMAINS = ("summer", "winter")
_FIRST_SEEDS = {"summer": 61_000_000, "winter": 62_000_000}


def main() -> None:
    """Prepare, train, evaluate, print a table, and end with one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a rehearsal of seconds")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--minutes", type=float, default=8.0, help="of training, default 8")
    length.add_argument("--whole", action="store_true", help="the preset's own number of epochs")
    parser.add_argument("--seed", type=int, default=0, help="of the training, default 0")
    parser.add_argument("--px", type=int, default=128, help="side of the crops, default 128")
    parser.add_argument("--photographs", type=Path, help="folder of photographs, default: drawn")
    parser.add_argument("--out", type=Path, help="folder that keeps everything")
    given = parser.parse_args()
    logging.getLogger("training").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory(prefix="suyan-bench-") as scratch:
        workspace = Workspace((given.out or Path(scratch)).resolve())
        load_px = given.px * 17 // 16
        if given.photographs:
            from preprocessing.version.folder_version import version_of_folder

            dataset = version_of_folder(
                given.photographs, workspace, test_fraction=_TEST_FRACTION
            ).dataset
        else:
            dataset = prepare_landscapes(workspace, 40 if given.quick else _NUM, load_px)
        changes = {"seed": given.seed, "crop_px": given.px, "load_px": load_px}
        config = TrainConfig.model_validate(hour().model_dump() | changes)
        if given.quick or not given.whole:
            config = sized(config, dataset, 0.05 if given.quick else given.minutes)
        print(json.dumps(train_and_measure(workspace, dataset, config, quick=given.quick)))


def prepare_landscapes(workspace: Workspace, num: int, px: int) -> Path:
    """Draw and prepare ``num`` landscapes a side; returns the dataset version's folder."""
    from preprocessing.prepare import prepare

    listings = []
    for domain in _DOMAINS:
        rows = [
            store_original(
                workspace, domain, number,
                jpeg(draw(_FIRST_SEEDS[domain] + number, winter=domain == "winter")),
            )
            for number in range(num)
        ]  # fmt: skip
        listings.append(workspace.folder / f"{domain}.parquet")
        write_rows(listings[-1], Original, rows)
    config = PrepareConfig(
        domain_a="summer", domain_b="winter", faces=False, crop_px=px, min_images=2,
        test_fraction=_TEST_FRACTION, min_sharpness=0,
    )  # fmt: skip
    return prepare(config, *listings, workspace).dataset


if __name__ == "__main__":
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
    main()
