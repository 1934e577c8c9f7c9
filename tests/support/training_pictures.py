"""Training statistics of made-up pictures."""

from pathlib import Path

import numpy as np

from core.tables import DRAWN_HOST, Picture
from evaluation.arrays import Array
from evaluation.features.training_statistics import (
    DomainStatistics,
    TrainingStatistics,
    save_statistics,
)

OFFLINE = "efficientnet-lite0 0.1.0, antialiased bilinear 224 px, 2"
DRAWN_PAGE, PHOTO_PAGE = f"http://{DRAWN_HOST}/makeup-1.html", "http://photos.example/1.html"


def picture(page_url: str, domain: str = "makeup") -> Picture:
    """A training picture that this page shows."""
    return Picture(
        "0" * 64, domain, "A", "train", "trainA/0.png", "ok", "", "", "", "", 32, 32, [], [], 1.0,
        "phrase", "http://127.0.0.1:1/1.jpg", "", page_url=page_url,
    )  # fmt: skip


def around(centre: Array, num: int = 60, spread: float = 0.02) -> Array:
    """Features ``[num, D]`` near ``centre`` ``[D]``."""
    noise = np.random.default_rng(0).standard_normal((num, len(centre)))
    return np.asarray(centre + spread * np.linalg.norm(centre) / np.sqrt(len(centre)) * noise)


def statistics_of(
    features: Array, page_url: str = PHOTO_PAGE, extractor: str = OFFLINE
) -> TrainingStatistics:
    """Statistics of pictures with these features, all shown by one page."""
    rows = [picture(page_url)] * len(features)
    return TrainingStatistics(extractor, 64, {"A": DomainStatistics.of(rows, features)})


def write_statistics(file: Path, *, knows_them: bool, page_url: str = PHOTO_PAGE) -> None:
    """Statistics of pictures that no photograph resembles; of too few unless ``knows_them``."""
    centre = np.random.default_rng(1).uniform(-1, 1, 1280)
    features = around(centre, 60 if knows_them else 3)
    save_statistics(file, statistics_of(features, page_url))
