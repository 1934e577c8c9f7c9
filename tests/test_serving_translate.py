from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from preprocessing import align
from preprocessing.config import PrepareConfig
from scraping.offline.corpus import portrait
from scraping.records import MissingModelError, write_json
from serving.models import direction_to, find_model
from serving.paste import feather, paste
from serving.translate import run, translate, translate_whole
from training.checkpoint import save_weights
from training.config import TrainConfig
from training.networks import ResnetGenerator


class _Same(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x


class _Negative(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return -x


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "models" / "makeup" / "step1-abc"
    folder.mkdir(parents=True)
    config = TrainConfig(num_blocks=1, ngf=4, ndf=4, load_px=64, crop_px=64)
    torch.manual_seed(0)
    for name in ("G_A", "G_B"):
        save_weights(folder / f"{name}.safetensors", ResnetGenerator(1, 4))
    write_json(folder / "config.json", config.model_dump(mode="json"))
    prepare = PrepareConfig(domain_a="makeup", domain_b="bare", crop_px=64)
    write_json(folder / "prepare.json", prepare.model_dump(mode="json"))
    return folder


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    exif.get_ifd(0x8825)[1] = "N"  # a place
    lying = np.rot90(portrait("makeup", 3))
    Image.fromarray(np.ascontiguousarray(lying)).save(path, quality=95, exif=exif)
    return path


def test_no_change_leaves_every_pixel() -> None:
    picture = portrait("bare", 1)
    transform = align.centre_transform(*picture.shape[:2], 64)
    crop = align.crop(picture, transform, 64)
    assert np.array_equal(paste(picture, crop, crop, transform), picture)
    assert np.array_equal(translate_whole(picture, _Same()), picture)


def test_a_change_stays_inside_the_crop_and_lands_in_place() -> None:
    picture = np.full((200, 300, 3), 100, np.uint8)
    transform = np.array([[1.0, 0, -100], [0, 1, -50]])  # a crop of 64 px at (100, 50)
    before = align.crop(picture, transform, 64)
    after = before + np.uint8(40)
    result = paste(picture, before, after, transform)
    changed = np.argwhere((result != picture).any(axis=2))
    assert changed.min(axis=0).tolist() >= [50, 100]
    assert changed.max(axis=0).tolist() <= [113, 163]
    assert result[82, 132].tolist() == [140, 140, 140]
    half = paste(picture, before, after, transform, strength=0.5)
    assert half[82, 132].tolist() == [120, 120, 120]


def test_the_mask_fades_to_nothing_at_the_edges() -> None:
    mask = feather(100)
    assert mask[50, 50] == 1
    assert mask[0].max() < 0.01
    assert np.allclose(mask, mask.T)


@pytest.mark.parametrize("size", [(64, 64), (63, 61), (5, 7)])
def test_a_generator_runs_on_any_size(size: tuple[int, int]) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    assert np.array_equal(run(_Same(), picture), picture)
    assert np.array_equal(run(_Negative(), picture), 255 - picture)


def test_a_photo_keeps_its_size_and_loses_its_metadata(
    model: Path, photo: Path, tmp_path: Path
) -> None:
    (outcome,) = translate([photo], tmp_path / "out", model, direction="A2B", compare=True)
    assert outcome.num_faces == 1
    assert outcome.output is not None
    with Image.open(photo) as before, Image.open(outcome.output) as after:
        assert after.size == before.size[::-1]  # upright now
        assert not after.getexif()
    with Image.open(tmp_path / "out" / "photo-compare.jpg") as both:
        assert both.size == (2 * after.size[0], after.size[1])


def test_what_cannot_be_done_is_said_and_the_rest_goes_on(
    model: Path, photo: Path, tmp_path: Path
) -> None:
    broken, empty = tmp_path / "broken.jpg", tmp_path / "empty.png"
    broken.write_bytes(b"\xff\xd8\xff\xe0 no picture")
    Image.new("RGB", (200, 200), "grey").save(empty)
    photos = [broken, empty, tmp_path / "missing.jpg", photo]
    outcomes = translate(photos, tmp_path / "out", model, direction="B2A")
    assert [outcome.output is not None for outcome in outcomes] == [False, False, False, True]
    assert outcomes[0].reason == "undecodable"
    assert "--whole" in outcomes[1].reason
    again = translate([photo], tmp_path / "out", model, direction="B2A")
    assert "--overwrite" in again[0].reason
    whole = translate([empty], tmp_path / "out", model, direction="B2A", whole=True)
    assert whole[0].output is not None


def test_models_are_found_by_champion_path_and_domain(model: Path, tmp_path: Path) -> None:
    with pytest.raises(MissingModelError, match="make demo"):
        find_model(tmp_path, "makeup")
    write_json(model.parent / "champion.json", {"model": model.name})
    assert find_model(tmp_path, "makeup") == model
    assert find_model(tmp_path, "other", model) == model
    with pytest.raises(MissingModelError, match=r"G_A\.safetensors"):
        find_model(tmp_path, "makeup", tmp_path)
    assert direction_to(model, "bare") == "A2B"
    assert direction_to(model, "makeup") == "B2A"
    with pytest.raises(ValueError, match="bare, makeup"):
        direction_to(model, "winter")
