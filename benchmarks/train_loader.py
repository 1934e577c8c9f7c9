"""The speed of the loader, alone and compared with the training step that it feeds.

Alone: 256² crops of 286² pictures held as uint8, on one core. Compared: the loader's pictures a
second divided by those of the step at the reference's size (``--quick``: a smaller one). The peer
is the reference's loading of a picture: open, convert, resize, crop, flip and normalise, on one
core.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torchvision import transforms

from training.build import build
from training.config import TrainConfig
from training.data.dataset import UnalignedPictures

_NUM = 64  # pictures of each side


def main() -> None:
    """Measure, print a table, and end with one line of JSON."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--quick", action="store_true", help="fewer rounds, a smaller step")
    given = arguments.parse_args()
    torch.set_num_threads(1)
    config = TrainConfig(device="cpu")
    rates: dict[str, list[float]] = {"ours": [], "reference's way": []}
    with tempfile.TemporaryDirectory(prefix="suyan-bench-") as name:
        folder = Path(name)
        _draw(folder)
        pictures = UnalignedPictures(folder, config)
        for turn in range(2 if given.quick else 8):
            rates["ours"].append(_ours(pictures, turn))
            rates["reference's way"].append(_reference(folder))
    for who, found in rates.items():
        print(f"{who:18} {statistics.median(found):8.0f} images/s on one core")
    step_s = _step(config if not given.quick else _smaller(config))
    ours = statistics.median(rates["ours"])
    consumed = 2 / step_s  # one picture of each side
    print(f"a step takes {step_s:.2f} s on one core and eats {consumed:.1f} images/s")
    figures = {
        "images_per_s_core": round(ours),
        "ratio_step": round(ours / consumed, 1),
        "ratio_reference": round(ours / statistics.median(rates["reference's way"]), 1),
    }
    print(json.dumps(figures))


def _ours(pictures: UnalignedPictures, epoch: int) -> float:
    """Pictures a CPU second, float tensors at the end."""
    device = torch.device("cpu")
    began, num = time.process_time(), 0
    for batch in islice(pictures.batches(epoch), _NUM):
        a, b = batch.to(device)
        num += len(a) + len(b)
    return num / (time.process_time() - began)


def _reference(folder: Path) -> float:
    prepare = transforms.Compose(
        [
            transforms.Resize([286, 286], transforms.InterpolationMode.BICUBIC),
            transforms.RandomCrop(256),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
        ]
    )
    paths = sorted(folder.glob("train*/*"))
    began = time.process_time()
    for path in paths:
        with Image.open(path) as image:
            prepare(image.convert("RGB"))
    return len(paths) / (time.process_time() - began)


def _step(config: TrainConfig) -> float:
    gan = build(config)
    a, b = (torch.rand(1, 3, config.crop_px, config.crop_px) * 2 - 1 for _ in range(2))
    gan.step(a, b)
    began = time.process_time()  # of one core: fair on a busy machine
    gan.step(a, b)
    return time.process_time() - began


def _smaller(config: TrainConfig) -> TrainConfig:
    return config.model_copy(update={"num_blocks": 2, "ngf": 16, "ndf": 16})


def _draw(folder: Path) -> None:
    rng = np.random.default_rng(0)
    for side in ("trainA", "trainB"):
        (folder / side).mkdir()
        for index in range(_NUM):
            coarse = rng.integers(0, 256, (16, 16, 3), np.uint8)
            picture = Image.fromarray(coarse).resize((300, 300), Image.Resampling.BICUBIC)
            picture.save(folder / side / f"{index}.jpg", quality=92)


if __name__ == "__main__":
    main()
