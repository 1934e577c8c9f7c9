"""What the independent judges say of translations whose worth is known, without any model.

Held-out pictures of drawn people and of photographs of faces (``shared/data/makeup128``, all of a
person held out or none) are judged as a model's translations would be: colour transport of lips,
eyes and cheeks; a mixture of which every second picture is replaced by its true counterpart, or for
photographs by a real training picture of the target; and all true counterparts. By definition of
KID a half of real pictures is about 75 % of the way. Judges that need a face's place take that of
the replaced input, which in aligned crops is nearly the same.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from drawn_faces import prepare_drawn
from photographs import DATA
from real_faces import prepare_people

from core.progress import silent
from core.workspace import Workspace
from core.workspace_folders import DatasetFolder
from evaluation.arrays import Pictures
from evaluation.config import EvaluateConfig
from evaluation.data.held_out import HeldOut, load_held_out
from evaluation.features.collect import FeatureCollector
from evaluation.judges.judge_scores import JudgeScores
from evaluation.judges.panel import JudgePanel
from evaluation.metrics.closed_forms import closed_form_translations
from evaluation.metrics.measurement import Side
from evaluation.metrics.metric_meanings import ClosedForm
from evaluation.metrics.regions import contrasts
from evaluation.metrics.true_counterparts import load_counterparts, load_truth

_PX = 128
_NUM_DRAWN, _DRAWN_TEST_FRACTION = 312, 0.375
_DIRECTIONS = {"to bare": ("A", "B"), "to make-up": ("B", "A")}


@dataclass(frozen=True)
class Opinions:
    """The judges' scores of one direction, by the kind of translation."""

    title: str
    num_test: int
    by_translation: dict[str, tuple[JudgeScores, ...]]


def main() -> None:
    """Judge, print a table of each kind of pictures, and end with one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few drawn people, no photographs")
    given = parser.parse_args()
    figures = {}
    with tempfile.TemporaryDirectory(prefix="suyan-bench-") as scratch:
        workspace = Workspace(Path(scratch) / "drawn")
        num = 70 if given.quick else _NUM_DRAWN
        dataset = prepare_drawn(
            workspace, num, test_fraction=_DRAWN_TEST_FRACTION, px=_PX * 17 // 16
        )
        figures |= _report(judge(dataset, workspace, quick=given.quick), "drawn")
        if not given.quick and (DATA / "makeup128").is_dir():
            workspace = Workspace(Path(scratch) / "photographs")
            dataset = prepare_people(workspace, 10_000, _PX * 17 // 16)
            figures |= _report(judge(dataset, workspace, quick=False), "photographs")
        else:
            print(f"\nskipped photographs: --quick, or {DATA / 'makeup128'} is not there")
    print(json.dumps(figures))


def judge(dataset: Path, workspace: Workspace, *, quick: bool) -> list[Opinions]:
    """The judges' scores of every kind of translation, in both directions."""
    config = EvaluateConfig(inception="never", num_bootstrap=100 if quick else 1000)
    held_out = load_held_out(config, DatasetFolder(dataset))
    crop_px = held_out.crop_px or _PX
    collector = FeatureCollector(config, workspace.features, None, silent)
    sides = {
        side: collector.side(dataset, held_out.test[side], held_out.train[side], _PX, crop_px)
        for side in "AB"
    }
    panel = JudgePanel(
        config,
        sides,
        held_out.alignment,
        workspace.features,
        collector.device,
        silent,
        names={side: rows[0].domain for side, rows in held_out.test.items()},
    )
    opinions = []
    for title, (source, target) in _DIRECTIONS.items():
        scores = {}
        for name, pictures in _translations(held_out, sides, (source, target), workspace):
            colours = contrasts(pictures, sides[source].meshes)
            scores[name] = panel.scores(source, pictures, colours, target)
        opinions.append(Opinions(title, len(sides[source].rows), scores))
    return opinions


def _translations(
    held_out: HeldOut, sides: dict[str, Side], direction: tuple[str, str], workspace: Workspace
) -> Iterator[tuple[str, Pictures]]:
    """Translations of the source's held-out pictures by name, of the least worth first."""
    source, target = (sides[name] for name in direction)
    for form, pictures in closed_form_translations(source, target):
        if form is ClosedForm.REGION_TRANSPORT:
            yield "region transport", pictures
    if not workspace.truth_table.is_file():
        real = target.load_train_pictures()
        half = source.pictures.copy()
        half[::2] = real[: len(half[::2])]
        yield "half of them real", half
        return
    truths = load_counterparts(
        source.rows, load_truth(workspace.truth), held_out.crop_px or _PX, _PX
    )
    assert truths is not None
    true = source.pictures.copy()
    true[truths.indices] = truths.pictures
    half = np.where(np.arange(len(true))[:, None, None, None] % 2 == 0, true, source.pictures)
    yield "half of the truth", half
    yield "the truth", true


def _report(directions: list[Opinions], kind: str) -> dict[str, float | None]:
    """Print the tables of one kind of pictures; returns the shares of the way."""
    figures = {}
    for opinions in directions:
        print(f"\n{kind}, {opinions.title}: {opinions.num_test} held-out pictures")
        first = next(iter(opinions.by_translation.values()))
        names = list(opinions.by_translation)
        print(f"{'judge':34}{'errors apart':>22}" + "".join(f"{name:>20}" for name in names))
        for number, judged in enumerate(first):
            apart = " / ".join(f"{view.errors_apart:.1f}" for view in judged.views.values())
            shares = {name: opinions.by_translation[name][number].share for name in names}
            cells = [
                "blind" if share is None else f"{100 * share.value:.0f} %"
                for share in shares.values()
            ]
            print(f"{judged.judge:34}{apart:>22}" + "".join(f"{cell:>20}" for cell in cells))
            figures |= {
                f"{kind}/{opinions.title}/{judged.judge}/{name}": None
                if share is None
                else round(share.value, 3)
                for name, share in shares.items()
            }
    return figures


if __name__ == "__main__":
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
    main()
