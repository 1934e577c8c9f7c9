"""The effect of each quality option, on real photographs with and without make-up.

The same small network, steps, seeds and pictures for every option; the reference's losses are the
baseline. Every training also keeps the moving averages of its generators, so that each option has
two rows: its weights of the last step, and their averages. Figures are means of both directions of
Suyan's own evaluation on held-out pictures. ``--out`` keeps the trainings, and goes on with those
of an earlier call; ``--steps`` sets their length, ``--seeds`` and ``--options`` their number.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import math
import os
import shutil
import statistics
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from photographs import DATA
from PIL import Image

from core.tables import Original, write_rows
from core.workspace import Workspace
from evaluation.config import EvaluateConfig
from preprocessing.config import PrepareConfig
from training.config import TrainConfig

_BASE: Mapping[str, Any] = {
    "device": "cpu",
    "crop_px": 64,
    "load_px": 68,
    "num_blocks": 3,
    "ngf": 16,
    "ndf": 32,
    "d_layers": 2,
    "channels_last": False,
    "compile": "off",
    "learning_rate": 5e-4,
    "ema_decay": 0.995,
}
_CYCLES = {"cycle_end": 0.1, "cycle_features": 0.5, "cycle_quality": True}
_OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "reference": {},
    "resize-convolution": {"upsampling": "resize"},
    "DiffAugment": {"diff_augment": ("translation", "cutout")},
    "better cycles": _CYCLES,
    "residual": {"residual": True},
    "residual, resize": {"residual": True, "upsampling": "resize"},
}
_SIDES = {"A": "makeup", "B": "bare"}
_FIGURES = ("kid", "fid", "domain_success", "content", "cycle_ssim", "change_l1")


def main() -> None:
    """Train, measure, print a table, and end with one line of JSON."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument(
        "--quick", action="store_true", help="two options, hardly any training: a rehearsal"
    )
    arguments.add_argument("--steps", type=int, default=800, help="of each training, about")
    arguments.add_argument(
        "--seeds", type=int, nargs="+", default=[0], help="a training of each option for each"
    )
    arguments.add_argument("--options", nargs="+", choices=list(_OPTIONS), help="these alone")
    arguments.add_argument("--out", type=Path, help="folder that keeps dataset and trainings")
    given = arguments.parse_args()
    logging.getLogger("training").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory(prefix="suyan-bench-") as scratch:
        workspace = (given.out or Path(scratch)).resolve()
        dataset = _dataset(workspace, 40 if given.quick else 10_000)
        found: dict[str, list[Mapping[str, Any]]] = {}
        for seed in given.seeds:
            for name in given.options or list(_OPTIONS)[: 2 if given.quick else None]:
                scores = _scores(workspace, dataset, name, seed, given.steps, quick=given.quick)
                for weights, figures in scores.items():
                    found.setdefault(f"{name}{weights}", []).append(figures)
                print(f"seed {seed}: {name} measured", flush=True)
    print(json.dumps(_table(found)))


def _scores(
    workspace: Path, dataset: Path, name: str, seed: int, steps: int, *, quick: bool
) -> dict[str, dict[str, float]]:
    """Train with the option ``name`` and measure: figures by ``""`` and ``", averaged"``."""
    # Imported here: the workers of preparation, which import this file, have little memory.
    from evaluation.evaluate import evaluate
    from training.train import train

    num_pictures = max(len(list((dataset / f"train{side}").iterdir())) for side in "AB")
    epochs = max(1, round((100 if quick else steps) / 2 / num_pictures))
    changes = {"seed": seed, "num_epochs": epochs, "num_epochs_decay": epochs} | _OPTIONS[name]
    if quick:
        changes |= {"crop_px": 32, "load_px": 32, "num_blocks": 1, "num_epochs_decay": 0}
    config = TrainConfig.model_validate({**_BASE, "sample_every": steps, **changes})
    run = workspace / "runs" / f"{name.replace(', ', '-').replace(' ', '-')}-{seed}-{epochs}"
    train(config, dataset, run)
    found = {}
    for weights, key in (("", "raw"), (", averaged", "averaged")):
        settings = EvaluateConfig(
            device="cpu", inception="never", num_bootstrap=20 if quick else 200, weights=key
        )
        scores = evaluate(settings, dataset, run, Workspace(workspace)).scores
        found[weights] = _means([each.figures for each in scores.directions.values()])
    return found


def _means(directions: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Mean figures of both directions, and those of untranslated pictures."""
    keys = [*_FIGURES, *(f"{key}_baseline" for key in _FIGURES)]
    return {key: statistics.fmean(_value(d.get(key)) for d in directions) for key in keys}


def _value(figure: Any) -> float:
    value = getattr(figure, "value", figure)
    return float("nan") if value is None else float(value)


def _table(found: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, float]:
    """Print a row an option; the KID of each, for the JSON."""
    print(f"\n{'':28}" + "".join(f"{key:>18}" for key in _FIGURES))
    first = next(iter(found.values()))
    untranslated = {key: first[0][f"{key}_baseline"] for key in _FIGURES}
    rows: dict[str, Sequence[Mapping[str, Any]]] = {"untranslated": [untranslated], **found}
    for name, seeds in rows.items():
        print(f"{name:28}" + "".join(_cell([float(s[key]) for s in seeds]) for key in _FIGURES))
    kids = {name: statistics.fmean(float(s["kid"]) for s in seeds) for name, seeds in rows.items()}
    return {
        f"kid_{name.replace(', ', '_').replace(' ', '_')}": round(kid, 4)
        for name, kid in kids.items()
        if not math.isnan(kid)  # a rehearsal measures none
    }


def _cell(values: Sequence[float]) -> str:
    if math.isnan(sum(values)):
        return "–".rjust(18)
    spread = f" ± {statistics.stdev(values):.3f}" if len(values) > 1 else ""
    return f"{statistics.fmean(values):.3f}{spread}".rjust(18)


def _dataset(workspace: Path, most: int) -> Path:
    """A dataset version of real crops of faces, or of drawn faces where there are none."""
    from preprocessing.prepare import prepare

    listings = []
    for side, domain in _SIDES.items():
        rows = [
            Original(domain, "phrase", "", "objURL", "", "", path.stem, f"originals/{path.name}", 1,
                     "ok", "", f"2026-01-01T00:00:{number:06}")
            for number, path in enumerate(_originals(workspace, side, most))
        ]  # fmt: skip
        listings.append(workspace / f"{domain}.parquet")
        write_rows(listings[-1], Original, rows)
    config = PrepareConfig(
        domain_a="makeup", domain_b="bare", faces=False, crop_px=128, min_sharpness=0, min_images=2,
        test_fraction=0.3 if most < 100 else 0.15,
    )  # fmt: skip
    return prepare(config, *listings, Workspace(workspace)).dataset


def _originals(workspace: Path, side: str, most: int) -> Iterator[Path]:
    """At most ``most`` pictures of one side, stored by their content."""
    source = DATA / "makeup128" / side
    folder = workspace / "originals"
    folder.mkdir(parents=True, exist_ok=True)
    paths = sorted(source.glob("*.jpg")) or _drawn(workspace / "drawn" / side, side)
    for path in paths[:most]:
        kept = folder / f"{hashlib.sha256(path.read_bytes()).hexdigest()}.jpg"
        shutil.copyfile(path, kept)
        yield kept


def _drawn(folder: Path, side: str) -> list[Path]:
    from scraping.offline.portraits import Makeup, Person, Shot, draw

    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number in range(150):
        seed = 2 * number + (side == "B")
        makeup = Makeup.seeded(seed) if side == "A" else None
        paths.append(folder / f"{seed:04}.jpg")
        Image.fromarray(draw(Person.seeded(seed), Shot.seeded(seed), makeup)).save(paths[-1])
    return paths


if __name__ == "__main__":
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
    main()
