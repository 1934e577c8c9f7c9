import numpy as np
import pytest
import scipy.linalg
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.metric_kid import mmd2

from evaluation.features import extractor
from evaluation.metrics import distances, intervals, pixels


@pytest.fixture
def sets() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(300, 12)), rng.normal(0.3, 1.4, size=(200, 12))


def test_fid_of_a_set_to_itself_is_zero(sets: tuple[np.ndarray, np.ndarray]) -> None:
    assert distances.fid(sets[0], sets[0]) == pytest.approx(0, abs=1e-9)


def test_fid_of_scaled_and_shifted_features_in_closed_form(
    sets: tuple[np.ndarray, np.ndarray],
) -> None:
    x = sets[0]
    variance = x.var(axis=0, ddof=1).sum()
    # Σ_y = 4 Σ_x, so tr(Σ_x + Σ_y − 2 (Σ_x Σ_y)^½) = tr Σ_x; the means differ by 3 in each axis.
    y = 2 * (x - x.mean(axis=0)) + x.mean(axis=0) + 3
    assert distances.fid(x, y) == pytest.approx(variance + 9 * x.shape[1])


def test_fid_agrees_with_torch_fidelity(sets: tuple[np.ndarray, np.ndarray]) -> None:
    statistics = [fid_features_to_statistics(torch.from_numpy(x)) for x in sets]
    theirs = fid_statistics_to_metric(*statistics, verbose=False)
    value = theirs if isinstance(theirs, float) else next(iter(theirs.values()))
    assert distances.fid(*sets) == pytest.approx(float(value), rel=1e-6)


def test_kid_agrees_with_torch_fidelity_on_sets_of_one_size(
    sets: tuple[np.ndarray, np.ndarray],
) -> None:
    x, y = sets[0][:150], sets[1][:150]
    theirs = mmd2(*(distances.polynomial_kernel(a, b) for a, b in ((x, x), (x, y), (y, y))))
    assert distances.kid(x, y) == pytest.approx(float(theirs), rel=1e-9)


def test_kid_is_unbiased() -> None:
    rng = np.random.default_rng(1)
    values = [distances.kid(rng.normal(size=(20, 4)), rng.normal(size=(25, 4))) for _ in range(600)]
    assert abs(np.mean(values)) < 4 * np.std(values) / np.sqrt(len(values))


def test_kid_does_not_depend_on_order(sets: tuple[np.ndarray, np.ndarray]) -> None:
    x, y = sets
    shuffled = np.random.default_rng(2).permutation(len(x))
    assert distances.kid(x[shuffled], y) == pytest.approx(distances.kid(x, y), rel=1e-12)


def test_a_paired_change_is_surer_than_its_parts(sets: tuple[np.ndarray, np.ndarray]) -> None:
    x, y = sets
    found = distances.compare_kid(0.5 * (x + 0.3), x, y, 200, 0)
    change, after = found.change, found.translated
    assert change.value == pytest.approx(after.value - found.untranslated.value)
    assert change.low <= change.value <= change.high
    again = distances.compare_kid(0.5 * (x + 0.3), x, y, 200, 0)
    assert again == found


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_pictures_are_named(count: int) -> None:
    with pytest.raises(ValueError, match="needed at least 2"):
        distances.fid(np.zeros((count, 3)), np.zeros((5, 3)))
    with pytest.raises(ValueError, match="needed at least 2"):
        distances.kid(np.zeros((count, 3)), np.zeros((5, 3)))


def test_picture_distances_in_closed_form() -> None:
    x = np.full((2, 16, 16, 3), 100, np.uint8)
    y = x + np.uint8(10)
    assert pixels.l1(x, y).tolist() == [10, 10]
    assert pixels.psnr(x, y)[0] == pytest.approx(10 * np.log10(255**2 / 100))
    assert pixels.psnr(x, x)[0] == pytest.approx(99)
    assert pixels.ssim(x, x)[0] == pytest.approx(1)
    noise = np.random.default_rng(0).integers(0, 256, x.shape, np.uint8)
    assert pixels.ssim(x, noise)[0] < 0.1


def test_structural_similarity_blurs_as_scipy_does() -> None:
    x, y = np.random.default_rng(0).integers(0, 256, (2, 3, 20, 24, 3), np.uint8)

    def blur(z: NDArray[np.float64]) -> NDArray[np.float64]:
        return gaussian_filter(z, sigma=(1.5, 1.5, 0), radius=(5, 5, 0))

    for a, b, found in zip(x.astype(float), y.astype(float), pixels.ssim(x, y), strict=True):
        c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
        covariance = blur(a * b) - blur(a) * blur(b)
        variances = blur(a * a) - blur(a) ** 2 + blur(b * b) - blur(b) ** 2
        above = (2 * blur(a) * blur(b) + c1) * (2 * covariance + c2)
        below = (blur(a) ** 2 + blur(b) ** 2 + c1) * (variances + c2)
        assert found == pytest.approx((above / below).mean(), abs=1e-12)


@pytest.mark.parametrize("width", [40, 12])  # more and fewer features than pictures
def test_the_interval_of_fid_is_that_of_resampled_pictures(width: int) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(3, 1, (25, width)), rng.normal(3.4, 1, (20, width))
    found = distances.fid_figure(x, y, 40, 0)
    drawn = intervals.resamplings((25, 20), 40, 0)
    fids = [
        distances.fid(np.repeat(x, a.astype(int), 0), np.repeat(y, b.astype(int), 0))
        for a, b in zip(*drawn, strict=True)
    ]
    low, high = np.percentile(fids, intervals.PERCENTILES) - np.mean(fids)
    assert found.value == distances.fid(x, y)
    assert found.low == pytest.approx(found.value + low, rel=1e-9)
    assert found.high == pytest.approx(found.value + high, rel=1e-9)


def test_resamplings_are_drawn_once_and_cannot_be_spoiled() -> None:
    first, second = intervals.resamplings((7, 9), 50, 3)
    rng = np.random.default_rng(3)
    for weights, num in ((first, 7), (second, 9)):
        assert np.array_equal(weights, rng.multinomial(num, np.full(num, 1 / num), size=50))
    expected = first.copy()
    first[:] = 0
    assert np.array_equal(intervals.resamplings((7, 9), 50, 3)[0], expected)


def test_a_reduction_is_a_share_of_the_error() -> None:
    after, before = np.array([1.0, 3.0]), np.array([4.0, 4.0])
    assert intervals.reduction_figure(after, before, 50, 0).value == 0.5
    assert intervals.reduction_figure(before, before, 50, 0).value == 0


def test_features_do_not_depend_on_the_batch() -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (5, 40, 40, 3), np.uint8)
    whole = extractor.load_offline(batch_size=5)(pictures)
    assert whole.shape == (5, 1280)
    single = extractor.load_offline(batch_size=1)(pictures)
    np.testing.assert_allclose(whole, single, atol=1e-4)


def test_fid_has_an_interval_that_holds_it_and_shrinks(sets: tuple[np.ndarray, np.ndarray]) -> None:
    x, y = sets
    found = distances.fid_figure(x, y, 1000, 0)
    assert found.low < found.value < found.high
    assert found.value == pytest.approx(distances.fid(x, y))
    assert distances.fid_figure(x, y, 1000, 0) == found
    few = distances.fid_figure(x[:30], y[:30], 1000, 0)
    assert few.high - few.low > 2 * (found.high - found.low)


def test_the_fid_interval_holds_the_truth_as_often_as_it_says() -> None:
    # Sets of one size and law differ by the same bias: the interval is for their expected FID.
    rng = np.random.default_rng(0)
    draws = [(rng.normal(size=(60, 3)), rng.normal(0.5, 1, size=(60, 3))) for _ in range(60)]
    expected = np.mean([distances.fid(x, y) for x, y in draws])
    figures = [distances.fid_figure(x, y, 100, seed) for seed, (x, y) in enumerate(draws)]
    held = np.mean([figure.low <= expected <= figure.high for figure in figures])
    assert held > 0.8


def test_the_kid_interval_holds_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    draws = [(rng.normal(size=(60, 3)), rng.normal(0.5, 1, size=(60, 3))) for _ in range(60)]
    expected = np.mean([distances.kid(x, y) for x, y in draws])
    figures = [distances.kid_figure(x, y, 200, seed) for seed, (x, y) in enumerate(draws)]
    held = np.mean([figure.low <= expected <= figure.high for figure in figures])
    assert held > 0.85


def test_fid_does_not_depend_on_order(sets: tuple[np.ndarray, np.ndarray]) -> None:
    x, y = sets
    shuffled = np.random.default_rng(2).permutation(len(x))
    assert distances.fid(x[shuffled], y) == pytest.approx(distances.fid(x, y), rel=1e-9)


def test_fid_of_more_features_than_pictures_agrees_with_the_matrix_root() -> None:
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(20, 40)), rng.normal(0.2, 1.2, size=(30, 40))
    root = scipy.linalg.sqrtm(np.cov(x.T) @ np.cov(y.T)).real
    shift = x.mean(axis=0) - y.mean(axis=0)
    expected = shift @ shift + np.trace(np.cov(x.T) + np.cov(y.T) - 2 * root)
    assert distances.fid(x, y) == pytest.approx(expected, rel=1e-3)


def test_shares_keep_an_interval_at_their_ends() -> None:
    none, every = intervals.share_figure(np.zeros(20)), intervals.share_figure(np.ones(20))
    assert none.value == none.low == 0
    assert 0.1 < none.high < 0.2
    assert every.value == every.high == 1
    assert every.low == pytest.approx(1 - none.high)


def test_the_distance_of_means_in_closed_form() -> None:
    x = np.random.default_rng(0).normal(size=(50, 3))
    found = intervals.mean_distance_figure(x, x + np.array([3, 0, 4]), 200, 0)
    assert found.value == pytest.approx(5)
    assert found.low < 5 < found.high
