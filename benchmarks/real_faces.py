"""Make-up on and off real faces, judged on people that the training never saw.

Photographs of faces with and without make-up (``shared/data/makeup128``) are prepared as a crawl's
would be, faces aligned where they are found. All photographs of a person are held out, or none. The
training is the ``hour`` preset's, its epochs sized by timed steps so that it takes ``--minutes``;
the evaluation is Suyan's own. A sheet shows held-out people with their translations. ``--out``
keeps dataset, run, report and sheet, and goes on with them.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import logging
import os
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from drawn_faces import SIDES, store_original
from photographs import DATA
from PIL import Image

from core.picture_grid import Tile, draw_grid, save_jpeg
from core.tables import Original, write_rows
from core.workspace import Workspace
from core.workspace_folders import DatasetFolder
from evaluation.config import EvaluateConfig
from evaluation.scores import DirectionScores, Scores
from preprocessing.config import PrepareConfig
from preprocessing.selection.split import is_held_out
from training.config import TrainConfig, hour

_NUM_TIMED_STEPS = 12
_NUM_SHOWN = 10  # people of each side on the sheet


def main() -> None:
    """Prepare, train, evaluate, print a table, and end with one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a rehearsal of seconds")
    parser.add_argument("--minutes", type=float, default=10.0, help="of training, default 10")
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
        minutes = 0.05 if given.quick else given.minutes
        print(json.dumps(measure(workspace, minutes, given.seed, given.px, quick=given.quick)))


def measure(
    workspace: Workspace, minutes: float, seed: int, px: int, *, quick: bool
) -> dict[str, float | None]:
    """Prepare, train for about ``minutes`` and evaluate; prints tables, returns figures."""
    sizes = {"crop_px": px, "load_px": px * 17 // 16}
    dataset = prepare_people(workspace, 60 if quick else 10_000, sizes["load_px"])
    config = _sized(TrainConfig.model_validate(hour().model_dump() | sizes), dataset, minutes, seed)
    return _measure(workspace, dataset, config, quick=quick)


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


def _sized(config: TrainConfig, dataset: Path, minutes: float, seed: int) -> TrainConfig:
    """``config`` with as many epochs as ``minutes`` hold on this machine, by timed steps."""
    from training.build import build, windows_of
    from training.data.dataset import UnalignedPictures
    from training.data.pseudo_pairs import PseudoPairs

    pictures = UnalignedPictures(dataset, config)
    gan = build(config, windows=windows_of(config, dataset))
    batches = iter(pictures.batches(1))
    seconds = []
    for _ in range(min(_NUM_TIMED_STEPS, pictures.num_batches)):
        started = time.perf_counter()
        gan.step(*next(batches).to(gan.device))
        seconds.append(time.perf_counter() - started)
    step_s = float(np.median(seconds))
    started = time.perf_counter()
    pairs = PseudoPairs(config, pictures)
    pairs_s = time.perf_counter() - started
    for batch in pairs.batches(0, 4):
        started = time.perf_counter()
        gan.pseudo_step(*batch.to(gan.device))
        pseudo_step_s = time.perf_counter() - started
    supervised = config.pseudo_steps if minutes >= 5 else 10
    left_s = 60 * minutes - pairs_s - supervised * pseudo_step_s
    epochs = max(2, round(left_s / step_s / pictures.num_batches))
    print(
        f"{len(pictures.a)} and {len(pictures.b)} pictures; a step takes {step_s:.2f} s, so that "
        f"{minutes:g} minutes hold {supervised} supervised steps and {epochs} epochs", flush=True,
    )  # fmt: skip
    changes = {
        "seed": seed, "num_epochs": (epochs + 1) // 2, "num_epochs_decay": epochs // 2,
        "pseudo_steps": supervised,
    }  # fmt: skip
    return TrainConfig.model_validate(config.model_dump() | changes)


def _measure(
    workspace: Workspace, dataset: Path, config: TrainConfig, *, quick: bool
) -> dict[str, float | None]:
    from core.progress import silent
    from evaluation.evaluate import evaluate
    from training.train import train

    run = workspace.folder / "runs" / f"faces-{config.seed}-{config.num_epochs}"
    started = time.monotonic()
    summary = train(config, dataset, run, progress=silent)
    minutes = (time.monotonic() - started) / 60
    settings = EvaluateConfig(inception="cached", num_bootstrap=50 if quick else 1000)
    evaluation = evaluate(settings, dataset, run, workspace)
    scores = evaluation.scores
    print(f"\n{summary.steps} steps, {minutes:.1f} minutes; report: {evaluation.folder}")
    figures: dict[str, float | None] = {"minutes": round(minutes, 1), "steps": summary.steps}
    for name, direction in scores.directions.items():
        figures |= _print_direction(name, direction)
    _save_sheet(workspace, dataset, summary.checkpoint, scores)
    return figures


def _print_direction(name: str, direction: DirectionScores) -> Mapping[str, float | None]:
    print(f"\n{direction.route}: {direction.num_pictures} held out, {direction.num_target} real")
    keys = [
        key
        for key in direction.figures
        if f"{key}_baseline" in direction.figures or key.endswith("_change")
    ]
    for key in keys:
        value, before = direction.figure(key), direction.figure(f"{key}_baseline")
        untranslated = "" if before is None else f"{before.value:12.4f} untranslated"
        assert value is not None
        print(f"  {key:28} {value.value:9.4f} [{value.low:.4f}, {value.high:.4f}]{untranslated}")
    change = direction.figure("kid_change")
    result = {f"kid_change_{name}": change and round(change.value, 5)}
    for region in ("lips", "eyes", "cheeks"):
        after = direction.figure(f"{region}_colour")
        before = direction.figure(f"{region}_colour_baseline")
        if after and before:
            result[f"{region}_colour_left_{name}"] = round(after.value / before.value, 3)
    return result


def _save_sheet(workspace: Workspace, dataset: Path, checkpoint: Path, scores: Scores) -> None:
    """A row of held-out people and a row of their translations, for each side."""
    from evaluation.data.held_out import load_held_out, load_pictures
    from evaluation.data.translations import translate
    from training.run.checkpoint import load_generators

    averaged = scores.weights.chosen == "averaged"
    G_A, G_B, config = load_generators(checkpoint, averaged=averaged)
    G_A.strength, G_B.strength = scores.strengths["G_A"], scores.strengths["G_B"]
    rows = load_held_out(EvaluateConfig(), DatasetFolder(dataset)).test
    grid = []
    for side, forward, backward in (("A", G_A, G_B), ("B", G_B, G_A)):
        places = np.linspace(0, len(rows[side]) - 1, _NUM_SHOWN).astype(int)
        files = [rows[side][place].file for place in places]
        pictures = load_pictures(dataset, files, config.crop_px)
        translated, _ = translate(forward, backward, pictures, batch_size=8, device="cpu")
        grid += [
            [Tile(Image.fromarray(picture)) for picture in row] for row in (pictures, translated)
        ]
    path = workspace.folder / "sheet.jpg"
    save_jpeg(path, draw_grid(grid))
    print(f"sheet: {path}", file=sys.stderr)


if __name__ == "__main__":
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
    main()
