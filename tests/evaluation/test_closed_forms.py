"""Translations without a network, on colours whose moments are known."""

import numpy as np
import pytest

from core.tables import Picture
from evaluation.arrays import Array, Pictures
from evaluation.config import EvaluateConfig
from evaluation.figures import Figure
from evaluation.metrics.closed_forms import (
    closed_form_distances,
    translate_regions,
    translate_whole,
)
from evaluation.metrics.measurement import Measurement, Outputs, Side
from preprocessing.analysis.face_mesh import FaceMesh, Points
from preprocessing.analysis.face_regions import masks
from preprocessing.images.colour_maps import (
    ColourMap,
    Moments,
    fit_tint,
    fit_transport,
    moments,
)

PX, NUM = 24, 14
ROW = Picture(
    "0" * 64, "makeup", "A", "test", "x.png", "ok", "", "", "", "", PX, PX, [], [], 1.0, "", "", ""
)
SOURCE = Moments(
    np.array([120.0, 100, 90]),
    np.array([[400.0, 120, 60], [120, 300, 80], [60, 80, 200]]),
)
TARGET = Moments(
    np.array([150.0, 90, 110]),
    np.array([[250.0, -40, 20], [-40, 500, 90], [20, 90, 350]]),
)


def _noise(seed: int, colour: tuple[int, int, int] = (0, 0, 0)) -> Pictures:
    noise = np.random.default_rng(seed).integers(80, 150, (NUM, PX, PX, 3))
    return np.asarray(noise + np.array(colour), np.uint8)


def test_transport_maps_mean_and_covariance_exactly() -> None:
    colour_map = fit_transport(SOURCE, TARGET)
    np.testing.assert_allclose(colour_map(SOURCE.mean), TARGET.mean)
    mapped = colour_map.matrix @ SOURCE.covariance @ colour_map.matrix.T
    np.testing.assert_allclose(mapped, TARGET.covariance, rtol=1e-9)
    # the map of least change between two Gaussians is symmetric and positive
    np.testing.assert_allclose(colour_map.matrix, colour_map.matrix.T, atol=1e-12)
    assert np.linalg.eigvalsh(colour_map.matrix).min() > 0


def test_transport_to_the_same_colours_changes_nothing() -> None:
    colour_map = fit_transport(SOURCE, SOURCE)
    np.testing.assert_allclose(colour_map.matrix, np.eye(3), atol=1e-9)
    np.testing.assert_allclose(colour_map.shift, 0, atol=1e-7)


def test_transport_maps_the_colours_of_pictures() -> None:
    source, target = _noise(0), _noise(1) // 2 + np.uint8(60)
    none = [None] * NUM
    colour_map = fit_transport(moments(source, none), moments(target, none))
    mapped = moments(translate_whole(source, colour_map), none)
    wanted = moments(target, none)
    np.testing.assert_allclose(mapped.mean, wanted.mean, atol=0.1)  # rounded to grey levels
    np.testing.assert_allclose(mapped.covariance, wanted.covariance, atol=0.5)


def test_pictures_of_one_colour_amplify_no_noise() -> None:
    flat = np.full((3, PX, PX, 3), 100, np.uint8)
    none = [None] * 3
    colour_map = fit_transport(moments(flat, none), moments(_noise(0), [None] * NUM))
    assert np.isfinite(colour_map.matrix).all()
    assert np.linalg.eigvalsh(colour_map.matrix).max() < 50


def test_a_tint_is_a_tint() -> None:
    none = [None] * NUM
    source, target = _noise(0), _noise(0, (7, -3, 0))
    tint = fit_tint(moments(source, none), moments(target, none))
    np.testing.assert_allclose(tint.matrix, np.eye(3))
    np.testing.assert_allclose(tint.shift, (7, -3, 0), atol=1e-9)
    assert (translate_whole(source, tint) == target).all()
    bright = np.full((1, PX, PX, 3), 252, np.uint8)
    assert translate_whole(bright, tint)[0, 0, 0].tolist() == [255, 249, 252]


def test_moments_are_those_of_the_weighted_pixels() -> None:
    pictures = _noise(0)
    weight = np.zeros((PX, PX))
    weight[:4] = 1
    found = moments(pictures, [weight] * NUM)
    colours = pictures[:, :4].reshape(-1, 3).astype(float)
    np.testing.assert_allclose(found.mean, colours.mean(axis=0))
    np.testing.assert_allclose(found.covariance, np.cov(colours.T, ddof=0))
    with pytest.raises(ValueError, match="no pixel"):
        moments(pictures, [np.zeros((PX, PX))] * NUM)


@pytest.fixture(scope="module")
def mesh() -> Points:
    from scraping.offline.corpus import portrait

    picture = portrait("bare", 3)
    from preprocessing.analysis.face_detector import FaceDetector

    (face,) = FaceDetector().detect(picture)
    points = FaceMesh().points(picture, face.keypoints)
    assert points is not None
    return points * (PX / np.array([picture.shape[1], picture.shape[0]]))


def test_a_region_changes_and_all_else_stays(mesh: Points) -> None:
    pictures = _noise(0)[:2]
    red = ColourMap(np.eye(3), np.array([60.0, 0, 0]))
    translated = translate_regions(pictures, [mesh, None], {"lips": red})
    assert (translated[1] == pictures[1]).all()
    change = translated[0].astype(float) - pictures[0]
    lips = masks(mesh, PX)["lips"]
    np.testing.assert_allclose(change[..., 0], 60 * lips, atol=0.5)
    assert not change[..., 1:].any()


def _colours(pictures: Pictures) -> Array:
    return pictures.mean(axis=(1, 2)) / 100


def _side(pictures: Pictures, train: Pictures) -> Side:
    features = {"offline": _colours(pictures)}
    return Side([ROW] * NUM, pictures, lambda: train, features, {}, [], {}, {}, None)


def _measurement(translated: Pictures) -> Measurement:
    blue = (-30, 0, 60)
    return Measurement(
        config=EvaluateConfig(num_bootstrap=60),
        source=_side(_noise(0), _noise(1)),
        outputs=Outputs(translated, translated, {"offline": _colours(translated)}, {}, None),
        target=_side(_noise(2, blue), _noise(3, blue)),
        target_name="B",
        classifier=None,
        alignment=None,
        extract=_colours,
    )


def test_a_model_that_tints_is_no_better_than_the_tint() -> None:
    figures = closed_form_distances(_measurement(_noise(0, (-30, 0, 60))))
    assert set(figures) == {
        f"{form}_{figure}"
        for form in ("tint", "transport")
        for figure in ("kid", "kid_change", "fid")
    }
    change = figures["tint_kid_change"]
    assert isinstance(change, Figure)
    assert change.low <= 0 <= change.high
    unchanged = closed_form_distances(_measurement(_noise(0)))["tint_kid_change"]
    assert isinstance(unchanged, Figure)
    assert unchanged.low > 0  # to do nothing is surely worse


def test_too_few_pictures_have_no_closed_forms() -> None:
    data = _measurement(_noise(0))
    few = Side([ROW] * 4, *list(data.source.__dict__.values())[1:])
    assert not closed_form_distances(Measurement(**(data.__dict__ | {"source": few})))
