"""Two small datasets: of noise, and of smooth pictures that rounding changes little."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """5 pictures of A and 4 of B for training, 2 of each for testing; noise, 40x40 px."""
    return _draw(tmp_path / "datasets" / "tiny", {"trainA": 5, "trainB": 4}, coarse_px=40)


@pytest.fixture
def smooth_dataset(tmp_path: Path) -> Path:
    """10 pictures of A and 7 of B for training, 2 of each for testing; smooth, 40x40 px."""
    return _draw(tmp_path / "datasets" / "smooth", {"trainA": 10, "trainB": 7}, coarse_px=6)


def _draw(folder: Path, counts: dict[str, int], *, coarse_px: int) -> Path:
    rng = np.random.default_rng(0)
    for name, num in (counts | {"testA": 2, "testB": 2}).items():
        (folder / name).mkdir(parents=True)
        for index in range(num):
            coarse = Image.fromarray(rng.integers(0, 256, (coarse_px, coarse_px, 3), np.uint8))
            picture = coarse.resize((40, 40), Image.Resampling.BICUBIC)
            picture.save(folder / name / f"{index}.png")
    return folder
