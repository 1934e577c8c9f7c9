"""A change reaches the photograph along the photograph's edges, and nothing else of it moves."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from preprocessing.images import geometry
from scraping.offline.corpus import portrait
from serving import upsampling
from serving.blending import blend_change
from serving.tiling import Tiling, translate_whole
from serving.upsampling import enlarge_change
from tests.serving.test_tiling import Negative

_SIDE, _FACTOR = 32, 8
_REDUCTION = np.array([[1 / _FACTOR, 0, 0], [0, 1 / _FACTOR, 0]])


def _two_colours(column: int, noise: float = 0.0) -> NDArray[np.uint8]:
    """Skin to the left of ``column`` px, lips to the right of it; 256 px."""
    photo = np.empty((_SIDE * _FACTOR, _SIDE * _FACTOR, 3), np.float32)
    photo[:, :column], photo[:, column:] = (220, 180, 150), (180, 110, 100)
    photo += noise * np.random.default_rng(0).standard_normal(photo.shape, dtype=np.float32)
    return photo.clip(0, 255).astype(np.uint8)


def _reduced(photo: NDArray[np.generic]) -> NDArray[np.generic]:
    return np.asarray(cv2.resize(photo, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA))


def _small(photo: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.asarray(_reduced(photo), np.uint8)


def _random_change() -> NDArray[np.float32]:
    return np.random.default_rng(1).normal(0, 30, (_SIDE, _SIDE, 3)).astype(np.float32)


def test_a_constant_change_stays_constant_whatever_the_photograph_shows() -> None:
    photo = np.random.default_rng(2).integers(0, 256, (256, 256, 3), np.uint8)
    change = np.full((_SIDE, _SIDE, 3), (30, -12, 5), np.float32)
    result = enlarge_change(change, _small(photo), photo, _REDUCTION, border=cv2.BORDER_REPLICATE)
    assert np.abs(result - (30, -12, 5)).max() < 1e-3


@pytest.mark.parametrize("column", [128, 131, 133])
def test_an_edge_of_the_photograph_carries_the_edge_of_the_change(column: int) -> None:
    """Measured beside the edge, against the enlargement without a guide."""
    photo = _two_colours(column, noise=3)
    truth = np.zeros(photo.shape, np.float32)
    truth[:, column:] = (-20, -70, -40)
    change = np.asarray(_reduced(truth), np.float32)
    guided = blend_change(photo, change, _REDUCTION, _small(photo))
    plain = blend_change(photo, change, _REDUCTION)
    inner = np.s_[32:-32, column - 8 : column + 8]

    def error(result: NDArray[np.uint8]) -> float:
        return float(np.abs(result[inner].astype(float) - photo[inner] - truth[inner]).mean())

    assert error(plain) > 3
    assert error(guided) < 0.5 * error(plain)


def test_no_value_leaves_the_range_of_the_change_around_it() -> None:
    photo = portrait("makeup", 3)[:256, :256]
    change = _random_change()
    result = enlarge_change(change, _small(photo), photo, _REDUCTION)
    kernel = np.ones((5, 5), np.uint8)
    for bound, sign in ((cv2.erode(change, kernel), 1), (cv2.dilate(change, kernel), -1)):
        nearest = np.kron(bound, np.ones((_FACTOR, _FACTOR, 1), np.float32))
        inner = np.s_[16:-16, 16:-16]
        assert (sign * (result - nearest)[inner]).min() > -1e-3


def test_a_photograph_no_larger_than_its_crop_gets_the_change_as_it_is() -> None:
    photo = portrait("makeup", 5)[:96, :96]
    change = np.random.default_rng(1).normal(0, 30, (96, 96, 3)).astype(np.float32)
    same = np.array([[1.0, 0, 0], [0, 1, 0]])
    assert np.allclose(enlarge_change(change, photo, photo, same), change, atol=1e-3)
    assert np.array_equal(
        blend_change(photo, change, same, photo), blend_change(photo, change, same)
    )


def test_a_photograph_without_detail_gets_the_plain_enlargement() -> None:
    photo = np.full((256, 256, 3), 130, np.uint8)
    change = cv2.GaussianBlur(_random_change(), (0, 0), 3)
    guided = blend_change(photo, change, _REDUCTION, _small(photo)).astype(int)
    difference = np.abs(guided - blend_change(photo, change, _REDUCTION))[8:-8, 8:-8]
    assert difference.mean() < 0.1
    assert difference.max() <= 4  # where the plain one overshoots the change's own extremes


@pytest.mark.parametrize("level", [0, 127, 255])
def test_flat_pictures_give_finite_values(level: int) -> None:
    photo = np.full((256, 256, 3), level, np.uint8)
    assert np.isfinite(enlarge_change(_random_change(), _small(photo), photo, _REDUCTION)).all()
    tiny = np.full((1, 1, 3), level, np.uint8)
    assert np.isfinite(
        enlarge_change(np.ones((1, 1, 3), np.float32), tiny, photo, _REDUCTION)
    ).all()


def test_detail_stays_where_nothing_changes() -> None:
    photo = _two_colours(128, noise=12)
    change = np.zeros((_SIDE, _SIDE, 3), np.float32)
    change[20:24, 20:24] = 50
    result = blend_change(photo, change, _REDUCTION, _small(photo))
    assert np.array_equal(result[:, :140], photo[:, :140])


def test_the_result_does_not_depend_on_the_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    photo = portrait("makeup", 4)[:300, :280]
    transform = geometry.centre_transform(300, 280, _SIDE)
    turned = np.array([[0.9, 0.3], [-0.3, 0.9]]) @ transform
    crop = geometry.crop(photo, turned, _SIDE)
    change = cv2.GaussianBlur(_random_change(), (0, 0), 1)
    whole = enlarge_change(change, crop, photo, turned)
    for tile_px in (37, 100, 256):
        monkeypatch.setattr(upsampling, "_TILE_PX", tile_px)
        # OpenCV places samples on a grid of 1/32 px
        assert np.abs(enlarge_change(change, crop, photo, turned) - whole).max() < 2


def test_a_whole_picture_changes_along_its_own_edges() -> None:
    """The negative is a linear function of the colours, so it comes back nearly exactly."""
    photo = _two_colours(131)
    truth = 255.0 - 2.0 * photo
    before = np.asarray(_reduced(photo), np.float32)
    plain = cv2.resize(255 - 2 * before, (256, 256), interpolation=cv2.INTER_CUBIC)
    guided = translate_whole(photo, Negative(), Tiling(768, 24, 4), work_px=_SIDE)
    assert np.abs(guided - truth).mean() < 0.3 * np.abs(plain - truth).mean()
