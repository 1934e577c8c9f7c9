"""A training for so many minutes, its evaluation, and a sheet of held-out pictures."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from core.picture_grid import Tile, draw_grid, save_jpeg
from core.workspace import Workspace
from core.workspace_folders import DatasetFolder
from evaluation.config import EvaluateConfig
from evaluation.scores import DirectionScores, Scores
from training.config import TrainConfig

_NUM_TIMED_STEPS = 12
_NUM_SHOWN = 10  # pictures of each side on the sheet


def sized(config: TrainConfig, dataset: Path, minutes: float) -> TrainConfig:
    """``config`` with as many epochs as ``minutes`` hold on this machine, by timed steps.

    Prints how many.
    """
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
    return config.model_copy(
        update={
            "num_epochs": (epochs + 1) // 2, "num_epochs_decay": epochs // 2,
            "pseudo_steps": supervised,
        }
    )  # fmt: skip


def train_and_measure(
    workspace: Workspace, dataset: Path, config: TrainConfig, *, quick: bool
) -> dict[str, float | None]:
    """Train, evaluate, print a table and draw a sheet of held-out pictures; returns figures."""
    from core.progress import silent
    from evaluation.evaluate import evaluate
    from training.train import train

    run = workspace.folder / "runs" / f"{dataset.name}-{config.seed}-{config.num_epochs}"
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
        after, before, real = (
            direction.figure(f"{region}_colour{part}") for part in ("", "_baseline", "_ceiling")
        )
        if after and before and real:
            left, real_left = after.value / before.value, real.value / before.value
            print(
                f"  {region}: {left:.0%} of the colours' distance to the target's is left; "
                f"real training pictures of the target have {real_left:.0%}"
            )
            result[f"{region}_colour_left_{name}"] = round(left, 3)
            result[f"{region}_colour_left_real_{name}"] = round(real_left, 3)
    return result


def _save_sheet(workspace: Workspace, dataset: Path, checkpoint: Path, scores: Scores) -> None:
    """A row of held-out pictures and a row of their translations, for each side."""
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
