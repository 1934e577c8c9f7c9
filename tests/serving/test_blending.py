"""A blended face changes only the face, and leaves no visible edge around it."""

import numpy as np
from numpy.typing import NDArray

from preprocessing.images import geometry
from scraping.offline.corpus import portrait
from serving.blending import blend_change, face_change, face_mask, feather

_SIDE = 64
_POINTS = np.array([(20, 26), (44, 26), (32, 36), (32, 46), (10, 30), (54, 30)], np.float64)


def _change(value: float) -> NDArray[np.float32]:
    return np.full((_SIDE, _SIDE, 3), value, np.float32)


def test_no_change_leaves_every_pixel() -> None:
    picture = portrait("bare", 1)
    transform = geometry.centre_transform(*picture.shape[:2], _SIDE)
    assert np.array_equal(blend_change(picture, _change(0), transform), picture)


def test_a_change_stays_inside_the_crop_and_lands_in_place() -> None:
    picture = np.full((200, 300, 3), 100, np.uint8)
    transform = np.array([[1.0, 0, -100], [0, 1, -50]])  # a crop of 64 px at (100, 50)
    result = blend_change(picture, _change(40) * feather(_SIDE)[..., None], transform)
    changed = np.argwhere((result != picture).any(axis=2))
    assert changed.min(axis=0).tolist() >= [50, 100]
    assert changed.max(axis=0).tolist() <= [113, 163]
    assert result[82, 132].tolist() == [140, 140, 140]


def test_a_large_face_keeps_its_detail_and_a_small_one_is_not_aliased() -> None:
    rng = np.random.default_rng(0)
    photo = rng.integers(50, 200, (640, 640, 3), np.uint8)
    large = np.array([[0.1, 0, 0], [0, 0.1, 0]])
    result = blend_change(photo, _change(20), large)
    assert np.array_equal(result[100:500, 100:500], photo[100:500, 100:500] + 20)
    stripes = _change(0)
    stripes[:, ::2], stripes[:, 1::2] = 60, -60  # finer than the photo's pixels: nothing is left
    small = np.array([[4.0, 0, -400], [0, 4, -400]])
    difference = blend_change(photo, stripes, small).astype(int) - photo
    assert np.abs(difference).max() <= 4


def test_crops_that_leave_the_photo_and_ones_beside_it() -> None:
    photo = np.full((50, 40, 3), 90, np.uint8)
    partly = blend_change(photo, _change(10), np.array([[1.0, 0, 30], [0, 1, 20]]))
    assert partly.shape == photo.shape
    assert partly[0, 0, 0] == 100
    beside = blend_change(photo, _change(10), np.array([[1.0, 0, 900], [0, 1, 900]]))
    assert np.array_equal(beside, photo)


def test_the_mask_is_the_face_and_fades_to_nothing() -> None:
    mask = face_mask(_POINTS, _SIDE)
    for x, y in _POINTS[:4].astype(int):
        assert mask[y, x] > 0.95  # eyes, nose and mouth
    edges = np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]])
    assert edges.max() < 0.01
    larger = face_mask(_POINTS * 4, _SIDE * 4)
    assert np.abs(np.diff(larger, axis=1)).max() < 0.06  # no edge
    assert np.allclose(feather(100), feather(100).T)


def test_a_cast_over_the_whole_crop_is_taken_away_and_make_up_stays() -> None:
    before = np.full((_SIDE, _SIDE, 3), 120, np.uint8)
    mask = face_mask(_POINTS, _SIDE)
    cast = before + np.array([30, 10, 20], np.uint8)
    assert np.abs(face_change(before, cast, mask)).max() < 0.5
    painted = cast.copy()
    painted[42:50, 24:40, 0] += 60  # the mouth
    change = face_change(before, painted, mask)
    assert abs(change[46, 32, 0] - 60) < 3
    assert np.abs(change[:8]).max() < 0.5


def test_no_seam_is_left_of_an_uneven_cast() -> None:
    """Measured: what is left of it beside the face, against pasting with a soft edge alone."""
    photo = np.full((256, 256, 3), 128, np.uint8)
    transform = np.array([[0.5, 0, -20], [0, 0.5, -20]])
    before = geometry.crop(photo, transform, _SIDE)
    cast = np.linspace(-10, 40, _SIDE, dtype=np.float32)[None, :, None]
    after = np.asarray(before + cast, dtype=np.float32)
    mask = face_mask(_POINTS, _SIDE)

    def left(change: NDArray[np.float32]) -> float:
        beside = np.kron(mask < 0.5, np.ones((2, 2), bool))
        crop = blend_change(photo, change, transform)[40:168, 40:168]
        return float(np.abs(crop.astype(float) - 128).mean(axis=2)[beside].max())

    assert left((after - before) * feather(_SIDE)[..., None]) > 20
    assert left(face_change(before, after, mask)) <= 3
