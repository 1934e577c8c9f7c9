"""Crops have the positions of the formulas."""

import math

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from preprocessing.images import geometry

coordinates = st.floats(-500, 500)


@given(coordinates, coordinates, st.floats(5, 300), st.floats(0, 2 * math.pi))
def test_the_eyes_come_to_their_places(x: float, y: float, apart: float, angle: float) -> None:
    across = apart * np.array([math.cos(angle), math.sin(angle)])
    eyes = np.stack([np.array([x, y]), np.array([x, y]) + across])
    transform = geometry.eye_transform(eyes, 200, 0.4, 0.35)
    assert geometry.apply(transform, eyes) == pytest.approx(
        np.array([[60, 70], [140, 70]]), abs=1e-6
    )
    turn = transform[:, :2]
    assert turn @ turn.T == pytest.approx(np.eye(2) * (80 / apart) ** 2, rel=1e-6, abs=1e-9)
    assert np.linalg.det(turn) > 0  # never a mirror image


def test_coinciding_eyes_are_refused() -> None:
    with pytest.raises(ValueError, match="at one point"):
        geometry.eye_transform(np.ones((2, 2)), 100, 0.4, 0.4)


def test_the_middle_of_a_picture_fills_the_crop() -> None:
    transform = geometry.centre_transform(height=100, width=300, crop_px=50)
    corners = geometry.apply(transform, np.array([[100.0, 0], [200, 100]]))
    assert corners == pytest.approx(np.array([[0, 0], [50, 50]]))
    assert geometry.outside_share(transform, 100, 300, 50) == pytest.approx(0)


@given(st.floats(0, 1))
def test_the_share_outside_is_an_area(share: float) -> None:
    shifted = np.array([[1.0, 0, share * 64], [0, 1, 0]])
    assert geometry.outside_share(shifted, 64, 64, 64) == pytest.approx(share, abs=1e-3)


def test_a_profile_has_its_nose_off_the_middle() -> None:
    eyes = [[0.0, 0], [10, 0]]
    assert geometry.profile(np.array([*eyes, [5, 7]])) == pytest.approx(0)
    assert geometry.profile(np.array([*eyes, [10, 7]])) == pytest.approx(0.5)
    assert geometry.profile(np.array([[1.0, 1], [1, 1], [5, 7]])) == np.inf


def test_the_identity_crops_exactly() -> None:
    picture = np.random.default_rng(0).integers(0, 255, (40, 40, 3), np.uint8)
    assert (geometry.crop(picture, np.eye(2, 3), 40) == picture).all()
    moved = geometry.crop(picture, np.array([[1.0, 0, -5], [0, 1, -7]]), 20)
    assert (moved == picture[7:27, 5:25]).all()


def test_shrinking_is_anti_aliased() -> None:
    board = np.indices((400, 400)).sum(axis=0) % 2 * 255
    picture = np.repeat(board[..., None], 3, axis=2).astype(np.uint8)
    small = geometry.crop(picture, geometry.centre_transform(400, 400, 50), 50)
    assert np.abs(small.astype(int) - 127).max() <= 2


def test_shrinking_keeps_places() -> None:
    y, x = np.mgrid[0:330, 0:330]
    bump = 255 * np.exp(-((x + 0.5 - 200) ** 2 + (y + 0.5 - 130) ** 2) / (2 * 20**2))
    picture = np.repeat(bump[..., None], 3, axis=2).astype(np.uint8)
    transform = geometry.centre_transform(330, 330, 100)
    small = geometry.crop(picture, transform, 100)[..., 0].astype(float)
    v, u = np.mgrid[0:100, 0:100] + 0.5
    found = np.array([(small * u).sum(), (small * v).sum()]) / small.sum()
    wanted = geometry.apply(transform, np.array([[200.0, 130]]))[0]
    assert found == pytest.approx(wanted, abs=0.15)


def test_blur_lowers_sharpness() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    flat = np.full((64, 64, 3), 90, np.uint8)
    assert geometry.sharpness(flat) == 0
    assert geometry.sharpness(noise) > 1000


@pytest.mark.parametrize("size", [(800, 600), (801, 599), (130, 1000), (192, 100)])
def test_shrinking_by_halves_is_shrinking_by_area(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (12, 12, 3), np.uint8)
    picture = np.asarray(cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC), np.uint8)
    small = geometry.shrink(picture, 96, 72)
    direct = cv2.resize(picture, (96, 72), interpolation=cv2.INTER_AREA)
    assert small.shape == (72, 96, 3)
    assert np.abs(small.astype(int) - direct).mean() < 1.0
