"""A tiny dataset and a hardly trained model, for the tests of evaluation and its report."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from core.files import write_json
from core.tables import Picture, write_rows
from core.workspace import DatasetFolder, Workspace
from evaluation.config import EvaluateConfig
from evaluation.evaluate import Evaluation, evaluate
from training.config import TrainConfig
from training.train import train

PHRASE = "<script>alert('妆')</script>"


def dataset_of(folder: Path, num_test: int = 12) -> Path:
    """Noise in two tints; each split has one picture of an odd size."""
    rng = np.random.default_rng(0)
    rows = []
    for side, domain in (("A", "makeup"), ("B", "bare")):
        for split, num in (("train", 14), ("test", num_test)):
            (folder / f"{split}{side}").mkdir(parents=True)
            for index in range(num):
                file = f"{split}{side}/{index}.png"
                coarse = rng.integers(0, 256, (4, 4, 3), np.uint8)
                coarse[..., 0 if side == "A" else 2] //= 3
                size = (40, 48) if index == 0 else (32, 32)
                Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC).save(folder / file)
                rows.append(
                    Picture(
                        f"{len(rows):064x}", domain, side, split, file, "ok", "", "", "", "", 32,
                        32, [], [1.0, 0, 0, 0, 1, 0], 1.0, PHRASE, "http://x.example/1", "",
                    )
                )  # fmt: skip
    write_rows(DatasetFolder(folder).manifest, Picture, rows)
    write_json(DatasetFolder(folder).config, {"crop_px": 32})
    return folder


@dataclass(frozen=True)
class Measured:
    workspace: Path
    dataset: Path
    run: Path
    done: Evaluation

    def again(self, **changes: Any) -> Evaluation:
        return evaluate(config_of(**changes), self.dataset, self.run, Workspace(self.workspace))


def config_of(**changes: object) -> EvaluateConfig:
    return EvaluateConfig.model_validate(
        {"num_bootstrap": 50, "num_gallery": 2, "device": "cpu", "inception": "cached"} | changes
    )


def train_on(dataset: Path, run: Path, seed: int = 0, ema_decay: float = 0.0) -> Path:
    config = TrainConfig(
        num_blocks=1, ngf=4, ndf=4, d_layers=2, load_px=32, crop_px=32, num_epochs=1,
        num_epochs_decay=1, batch_size=1, device="cpu", seed=seed, ema_decay=ema_decay,
    )  # fmt: skip
    return train(config, dataset, run).run


def measure_tiny(workspace: Path) -> Measured:
    """Train and evaluate in ``workspace``."""
    dataset = dataset_of(workspace / "datasets" / "tiny")
    run = train_on(dataset, workspace / "runs" / "r")
    return Measured(
        workspace, dataset, run, evaluate(config_of(), dataset, run, Workspace(workspace))
    )
