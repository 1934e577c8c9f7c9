"""Augmentation equals the reference's, is seeded, and uses no network at import."""

import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
from numpy.typing import NDArray

from training.config import TrainConfig
from training.data.augment import Augmentation, preview


def config(**changes: object) -> TrainConfig:
    return TrainConfig.model_validate({"load_px": 286, "crop_px": 256, **changes})


def coded(px: int) -> NDArray[np.uint8]:
    """A picture in which every pixel encodes its position."""
    y, x = np.mgrid[0:px, 0:px]
    return np.stack([x % 256, y % 256, x // 256 + 2 * (y // 256)], axis=-1).astype(np.uint8)


def test_the_reference_crops_evenly_and_mirrors_every_other_picture() -> None:
    augment, picture = Augmentation(config()), coded(286)
    places: Counter[tuple[int, int, bool]] = Counter()
    for seed in range(3000):
        found = augment(picture, seed)
        first, second = (int(found[0, k, 0]) + 256 * int(found[0, k, 2] % 2) for k in (0, 1))
        mirrored = first > second
        straight = found[:, ::-1] if mirrored else found
        x, y = int(straight[0, 0, 0]), int(straight[0, 0, 1])
        assert (straight == picture[y : y + 256, x : x + 256]).all()
        places[x, y, mirrored] += 1
    xs = Counter(x for x, _, _ in places.elements())
    ys = Counter(y for _, y, _ in places.elements())
    assert set(xs) == set(ys) == set(range(31))  # 286 - 256 + 1 places, both ends too
    assert max(xs.values()) < 2 * 3000 / 31
    assert 0.45 < sum(m for _, _, m in places.elements()) / 3000 < 0.55


@pytest.mark.parametrize("kind", ["reference", "mild"])
def test_equal_seeds_give_equal_pictures(kind: str) -> None:
    picture = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    one, two = (Augmentation(config(load_px=64, crop_px=48, augmentation=kind)) for _ in "ab")
    for seed in range(20):
        assert (one(picture, seed) == two(picture, seed)).all()
    assert (one(picture, 1) != one(picture, 2)).any()


def test_mild_changes_move_pixels_and_leave_colours_alone() -> None:
    augment = Augmentation(config(load_px=96, crop_px=64, augmentation="mild"))
    plain = np.full((96, 96, 3), (180, 90, 70), np.uint8)
    assert all((augment(plain, seed) == (180, 90, 70)).all() for seed in range(40))
    corner = coded(96)
    turned = [augment(corner, seed) for seed in range(40)]
    skewed = sum(abs(int(t[0, 0, 1]) - int(t[0, -1, 1])) > 1 for t in turned)
    assert skewed > 15
    assert max(abs(int(t[0, 0, 1]) - int(t[0, -1, 1])) for t in turned) < 12


def test_aligned_faces_get_another_exposure_and_nothing_else() -> None:
    values = config(load_px=64, crop_px=64, flip=False, face_exposure=0.45)
    picture = np.random.default_rng(0).integers(20, 200, (64, 64, 3), np.uint8)
    augment, elsewhere = Augmentation(values, aligned_faces=True), Augmentation(values)
    factors = []
    for seed in range(200):
        assert (elsewhere(picture, seed) == picture).all()  # landscapes: snow is bright
        found = augment(picture, seed).astype(float)
        factors.append(float((found / picture).mean()))
        assert np.abs(found - factors[-1] * picture).max() < 2  # all alike, but cut to whole levels
    assert 0.54 < min(factors) < 0.6
    assert 1.1 < max(factors) < 1.16
    assert 90 < sum(abs(factor - 1) < 1e-9 for factor in factors) < 150  # most stay as they are


def test_an_exposure_needs_pictures_that_are_cropped() -> None:
    with pytest.raises(ValueError, match="face_exposure: got preprocess=scale_width"):
        config(face_exposure=0.45, preprocess="scale_width")


def test_a_preview_has_a_row_for_each_picture() -> None:
    pictures = np.random.default_rng(0).integers(0, 255, (3, 64, 64, 3), np.uint8)
    assert preview(pictures, config(load_px=64, crop_px=32)).size == (9 * 32, 3 * 32)


@pytest.mark.slow
def test_the_import_does_not_reach_for_the_internet() -> None:
    code = (
        "import socket\n"
        "def refuse(*_, **__): raise SystemExit('somebody asked the network')\n"
        "socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse\n"
        "import training.data.augment\n"
    )
    environment = {"NO_ALBUMENTATIONS_UPDATE": "0"}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, timeout=120)
