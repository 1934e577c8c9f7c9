"""Minutes until a translator of drawn faces is useful: the small preset, the reference's recipe.

Drawn people have a true counterpart. A training is *there* when the error on lips and eyes of
people that it never saw has fallen by 40 % in both directions. The reference's recipe at this size
(resnet of 6 blocks, transposed convolutions, one picture a step, rate 2e-4, cycle weight 10) runs
as a plain eager step; both run alternately, a quarter of a minute each, until they are there or
their time is over. Clocks count everything of a training: rendering pairs too, the measuring not.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from drawn_faces import prepare_drawn

from core.workspace import Workspace
from core.workspace_folders import DatasetFolder
from evaluation.config import EvaluateConfig
from evaluation.data.held_out import load_held_out, load_pictures
from evaluation.metrics.true_counterparts import (
    TrueCounterparts,
    errors,
    load_counterparts,
    load_truth,
)
from training.algorithm.cyclegan import CycleGan
from training.algorithm.schedules import pseudo_learning_rate
from training.build import build, plain_generators, windows_of
from training.config import TrainConfig
from training.data.dataset import UnalignedPictures
from training.data.pseudo_pairs import PseudoPairs
from training.data.tensors import to_pictures, to_tensor
from training.standard_configs import demo

_TARGET = 0.40  # of the error on lips and eyes, both ways
_SLICE_S = 15.0
_REFERENCE = {
    "generator": "resnet", "num_blocks": 6, "load_px": 136, "crop_px": 128, "compile": "off",
    "merge_passes": False, "channels_last": False, "winograd": False, "fused_adam": False,
}  # fmt: skip


class Contestant:
    """A training that can be run for a while, with its own clock."""

    def __init__(self, name: str, config: TrainConfig, dataset: Path) -> None:
        self.name, self.seconds, self.num_steps = name, 0.0, 0
        self.reductions = {"A": 0.0, "B": 0.0}
        started = time.perf_counter()
        self._steps = self._train(config, dataset)
        self.gan: CycleGan | None = None
        self.seconds += time.perf_counter() - started

    @property
    def has_arrived(self) -> bool:
        """Whether the error has fallen far enough both ways."""
        return min(self.reductions.values()) >= _TARGET

    def run(self, seconds: float) -> None:
        """Train for about so long."""
        started = time.perf_counter()
        while time.perf_counter() - started < seconds:
            next(self._steps)
            self.num_steps += 1
        self.seconds += time.perf_counter() - started

    def _train(self, config: TrainConfig, dataset: Path) -> Iterator[None]:
        pictures = UnalignedPictures(dataset, config)
        self.gan = gan = build(config, windows=windows_of(config, dataset))
        if config.pseudo_steps or config.pseudo_weight:
            pairs = PseudoPairs(config, pictures)
            for step, batch in enumerate(pairs.batches(0, config.pseudo_steps)):
                gan.set_learning_rate(pseudo_learning_rate(config, step))
                gan.pseudo_step(*batch.to(gan.device))
                yield
            gan.forget_moments()
        gan.set_learning_rate(config.learning_rate, generator_share=config.generator_rate)
        for epoch in range(1, 1_000_000):
            for number, batch in enumerate(pictures.batches(epoch)):
                targets = (
                    pairs.targets(epoch, number).to(gan.device) if config.pseudo_weight else None
                )
                gan.step(*batch.to(gan.device), targets)
                yield

    def measure(self, held_out: dict[str, HeldOutTruths]) -> None:
        """Measure the share of the error that translation takes away, in both directions."""
        assert self.gan is not None
        for side, generator in zip("AB", plain_generators(self.gan), strict=True):
            self.reductions[side] = held_out[side].reduction(held_out[side].translated(generator))

    def __str__(self) -> str:
        a, b = (self.reductions[side] for side in "AB")
        return (
            f"{self.name:10} {self.seconds / 60:6.2f} min, {self.num_steps:6} steps: "
            f"to bare {-a:+.0%}, to make-up {-b:+.0%}"
        )


class HeldOutTruths:
    """Pictures of one side with their truth."""

    def __init__(self, pictures: np.ndarray, truths: TrueCounterparts) -> None:
        self.pictures, self._truths = pictures[truths.indices], truths

    @torch.no_grad()
    def translated(self, generator: torch.nn.Module) -> np.ndarray:
        """The translations of all pictures, ``[N, H, W, 3]`` uint8."""
        parts = [
            to_pictures(generator(to_tensor(self.pictures[start : start + 8])))
            for start in range(0, len(self.pictures), 8)
        ]
        return np.concatenate(parts)

    def reduction(self, translated: np.ndarray) -> float:
        """Share of the error on lips and eyes that translation takes away."""
        truths = self._truths
        before = errors(self.pictures, truths.pictures, truths.masks).inside
        after = errors(translated, truths.pictures, truths.masks).inside
        return float(1 - np.nanmean(after) / np.nanmean(before))


def main() -> None:
    """Train both alternately, print a line for each measurement, end with one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a rehearsal of seconds")
    parser.add_argument(
        "--minutes", type=float, default=6.0, help="longest time of each training, default 6"
    )
    parser.add_argument("--seed", type=int, default=0, help="of both trainings, default 0")
    given = parser.parse_args()
    num, slice_s = (24, 2.0) if given.quick else (300, _SLICE_S)
    most_s = 4.0 if given.quick else 60 * given.minutes
    with tempfile.TemporaryDirectory(prefix="suyan-bench-") as scratch:
        workspace = Workspace(Path(scratch))
        dataset = prepare_drawn(workspace, num, test_fraction=0.3, px=136)
        held_out = load_held_out_truths(workspace, dataset, 4 if given.quick else 40)
        ours = demo().model_copy(update={"seed": given.seed})
        if given.quick:
            ours = ours.model_copy(update={"pseudo_steps": min(ours.pseudo_steps, 4)})
        theirs = TrainConfig.model_validate({**_REFERENCE, "seed": given.seed})
        contestants = [
            Contestant("Suyan", ours, dataset),
            Contestant("reference", theirs, dataset),
        ]
        while any(not each.has_arrived and each.seconds < most_s for each in contestants):
            for each in contestants:
                if not each.has_arrived and each.seconds < most_s:
                    each.run(slice_s)
                    each.measure(held_out)
                    print(each, flush=True)
    fast, slow = contestants
    figures = {
        f"{each.name.lower()}_minutes": round(each.seconds / 60, 2) if each.has_arrived else None
        for each in contestants
    }
    ratio = slow.seconds / fast.seconds if fast.has_arrived else None
    if ratio is not None:
        bound = "" if slow.has_arrived else "at least "
        print(f"\nThe reference's recipe takes {bound}{ratio:.1f} times as long.")
    print(json.dumps(figures | {
        "ratio_time_to_quality": None if ratio is None else round(ratio, 2),
        "ratio_is_a_lower_bound": not slow.has_arrived,
    }))  # fmt: skip


def load_held_out_truths(
    workspace: Workspace, dataset: Path, most: int
) -> dict[str, HeldOutTruths]:
    """The first ``most`` held-out pictures of each side with their true counterparts."""
    rows = load_held_out(EvaluateConfig(num_pictures=most), DatasetFolder(dataset)).test
    files = load_truth(workspace.truth)
    result = {}
    for side in "AB":
        truths = load_counterparts(rows[side], files, 136, 128)
        assert truths is not None
        pictures = load_pictures(dataset, [row.file for row in rows[side]], 128)
        result[side] = HeldOutTruths(pictures, truths)
    return result


if __name__ == "__main__":
    main()
