"""Make-up on and off real faces, judged on people that the training never saw.

Photographs of faces with and without make-up (``shared/data/makeup128``) are prepared as a crawl's
would be, faces aligned where they are found. All photographs of a person are held out, or none. The
training is the ``hour`` preset's, its epochs sized by timed steps so that it takes ``--minutes``,
or the preset's own with ``--whole``; the evaluation is Suyan's own. A sheet shows held-out people
with their translations. ``--out`` keeps dataset, run, report and sheet, and goes on with them.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import logging
import os
import tempfile
from pathlib import Path

from drawn_faces import SIDES, store_original
from photographs import DATA
from timed_training import sized, train_and_measure

from core.tables import Original, write_rows
from core.workspace import Workspace
from preprocessing.config import PrepareConfig
from preprocessing.selection.split import is_held_out
from training.config import TrainConfig
from training.standard_configs import hour


def main() -> None:
    """Prepare, train, evaluate, print a table, and end with one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a rehearsal of seconds")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--minutes", type=float, default=10.0, help="of training, default 10")
    length.add_argument("--whole", action="store_true", help="the preset's own number of epochs")
    parser.add_argument("--seed", type=int, default=0, help="of the training, default 0")
    parser.add_argument("--px", type=int, default=128, help="side of the crops, default 128")
    parser.add_argument("--out", type=Path, help="folder that keeps everything")
    given = parser.parse_args()
    if not (DATA / "makeup128").is_dir():
        print(f"skipped: {DATA / 'makeup128'} (photographs of faces) is not there")
        print(json.dumps({"skipped": "no photographs"}))
        return
    logging.getLogger("training").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory(prefix="suyan-bench-") as scratch:
        workspace = Workspace((given.out or Path(scratch)).resolve())
        minutes = 0.05 if given.quick else None if given.whole else given.minutes
        print(json.dumps(measure(workspace, minutes, given.seed, given.px, quick=given.quick)))


def measure(
    workspace: Workspace, minutes: float | None, seed: int, px: int, *, quick: bool
) -> dict[str, float | None]:
    """Prepare, train for about ``minutes`` and evaluate; prints tables, returns figures.

    ``None`` minutes: the preset's own epochs.
    """
    changes = {"seed": seed, "crop_px": px, "load_px": px * 17 // 16}
    config = TrainConfig.model_validate(hour().model_dump() | changes)
    dataset = prepare_people(workspace, 60 if quick else 10_000, config.load_px)
    if minutes is not None:
        config = sized(config, dataset, minutes)
    return train_and_measure(workspace, dataset, config, quick=quick)


def prepare_people(workspace: Workspace, most: int, px: int) -> Path:
    """A dataset version whose held-out people are in no training picture; its folder.

    ``most`` is the number of photographs of each side at most.
    """
    from preprocessing.prepare import prepare

    config = PrepareConfig(
        domain_a="makeup", domain_b="bare", crop_px=px, test_fraction=0.4, min_images=2,
        min_sharpness=0, min_face_px=32, max_outside=0.5,
    )  # fmt: skip
    listings = []
    for side, domain in SIDES.items():
        photographs = sorted((DATA / "makeup128" / side).glob("*.jpg"))[:most]
        rows = [
            store_original(workspace, domain, number, _on_its_side(path, config.test_fraction))
            for number, path in enumerate(photographs)
        ]
        listings.append(workspace.folder / f"{domain}.parquet")
        write_rows(listings[-1], Original, rows)
    return prepare(config, *listings, workspace).dataset


def _on_its_side(photograph: Path, test_fraction: float) -> bytes:
    """The photograph with a few bytes behind its end, for which its person decides the split.

    Which pictures are held out follows from their content; all of a person's must go together.
    """
    person, body = photograph.stem.split("_")[0], photograph.read_bytes()
    wanted = is_held_out(person, test_fraction)
    endings = (str(number).encode() for number in itertools.count())
    return next(
        body + ending
        for ending in endings
        if is_held_out(hashlib.sha256(body + ending).hexdigest(), test_fraction) == wanted
    )


if __name__ == "__main__":
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
    main()
