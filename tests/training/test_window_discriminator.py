"""Discriminators of eyes and mouth: where they look, what they weigh, and when there are none."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from preprocessing.analysis.face_windows import Alignment
from training.build import build, windows_of
from training.config import TrainConfig
from training.data.dataset import UnalignedPictures
from training.models.discriminators import PatchDiscriminator
from training.models.window_discriminator import WindowDiscriminator, face_windows
from training.pix2pix import export_reference
from training.run.state import restore
from training.train import train

ALIGNMENT = Alignment(eye_distance=0.36, eye_height=0.40)
SMALL = TrainConfig(
    num_blocks=1, ngf=4, ndf=4, d_layers=2, load_px=72, crop_px=64, num_epochs=2,
    num_epochs_decay=0, checkpoint_every=100, sample_every=100, num_threads=1, device="cpu",
    face_windows=True,
)  # fmt: skip


def changed(config: TrainConfig, **values: object) -> TrainConfig:
    return TrainConfig.model_validate(config.model_dump() | values)


@pytest.fixture
def faces(tmp_path: Path) -> Path:
    """A dataset whose configuration says that its pictures are aligned faces."""
    folder, rng = tmp_path / "faces", np.random.default_rng(0)
    for name in ("trainA", "trainB", "testA", "testB"):
        (folder / name).mkdir(parents=True)
        for number in range(2):
            noise = rng.integers(0, 256, (72, 72, 3), np.uint8)
            Image.fromarray(noise).save(folder / name / f"{number}.png")
    values = {"faces": True, "eye_distance": 0.36, "eye_height": 0.40, "crop_px": 72}
    (folder / "config.json").write_text(json.dumps(values))
    return folder


@pytest.fixture
def discriminator() -> WindowDiscriminator:
    torch.manual_seed(0)
    whole = PatchDiscriminator(3, 4)
    return WindowDiscriminator(whole, face_windows(ALIGNMENT), 4, "instance").eval()


def test_windows_hold_eyes_and_mouth_of_an_aligned_face() -> None:
    eyes, mouth = face_windows(ALIGNMENT)
    for window, x, y in ((eyes, 0.5 - 0.18, 0.40), (eyes, 0.5 + 0.18, 0.40), (mouth, 0.5, 0.75)):
        assert window.left < x < window.right
        assert window.top < y < window.bottom
    assert eyes.bottom < mouth.top


@torch.no_grad()
def test_each_part_looks_at_its_place_and_has_a_third_of_the_loss(
    discriminator: WindowDiscriminator,
) -> None:
    pictures = torch.rand(2, 3, 128, 128, generator=torch.Generator().manual_seed(1)) * 2 - 1
    scores = discriminator(pictures)
    assert scores.shape[:3] == (2, 1, 1)
    parts = scores.flatten(1).reshape(2, 3, -1)
    assert torch.equal(parts[:, 0], discriminator.whole(pictures).flatten(1))  # the largest part
    elsewhere = pictures.clone()
    elsewhere[..., :20, :] = 0  # above the eyes
    elsewhere[..., 120:, :] = 0  # the chin
    changed_parts = discriminator(elsewhere).flatten(1).reshape(2, 3, -1)
    assert not torch.equal(changed_parts[:, 0], parts[:, 0])
    assert torch.equal(changed_parts[:, 1:], parts[:, 1:])
    closed = pictures.clone()
    closed[..., 50:54, 30:50] = 1  # in an eye
    at_eyes = discriminator(closed).flatten(1).reshape(2, 3, -1)
    assert not torch.equal(at_eyes[:, 1], parts[:, 1])
    assert torch.equal(at_eyes[:, 2], parts[:, 2])


def test_only_aligned_faces_have_windows(faces: Path, dataset: Path) -> None:
    assert len(windows_of(SMALL, faces)) == 2
    assert windows_of(changed(SMALL, face_windows=False), faces) == ()
    assert windows_of(SMALL, dataset) == ()  # a plain folder
    values = json.loads((faces / "config.json").read_text()) | {"faces": False}
    (faces / "config.json").write_text(json.dumps(values))
    assert windows_of(SMALL, faces) == ()


def test_only_aligned_faces_get_another_exposure(faces: Path, dataset: Path) -> None:
    def is_dimmed(folder: Path) -> bool:
        alike = {"load_px": 64, "crop_px": 64, "flip": False}
        plain, exposed = (
            UnalignedPictures(folder, changed(SMALL, **alike, **values)).batches
            for values in ({}, {"face_exposure": 0.45})
        )
        return any(
            not torch.equal(next(plain(epoch)).a, next(exposed(epoch)).a) for epoch in range(9)
        )

    assert is_dimmed(faces)
    assert not is_dimmed(dataset)


def test_without_windows_a_training_is_what_it_was(dataset: Path, tmp_path: Path) -> None:
    small = changed(SMALL, load_px=64)
    on = train(small, dataset, tmp_path / "on")
    off = train(changed(small, face_windows=False), dataset, tmp_path / "off")
    for name in ("G_A", "D_A"):
        one, other = (load_file(run.checkpoint / f"{name}.safetensors") for run in (on, off))
        assert all(torch.equal(other[key], value) for key, value in one.items())


def test_a_training_with_windows_learns_in_all_parts_and_is_restored(
    faces: Path, tmp_path: Path
) -> None:
    summary = train(SMALL, faces, tmp_path / "run")
    before = build(SMALL, windows=windows_of(SMALL, faces)).D_A.state_dict()
    after = load_file(summary.checkpoint / "D_A.safetensors")
    for part in ("whole.model.0", "windows.0.model.0", "windows.1.model.0"):
        assert not torch.equal(after[f"{part}.weight"], before[f"{part}.weight"])
    gan = build(SMALL, windows=windows_of(SMALL, faces))
    assert restore(gan, tmp_path / "run").position.step == summary.steps
    assert torch.equal(gan.D_A.state_dict()["windows.1.model.0.weight"],
                       after["windows.1.model.0.weight"])  # fmt: skip
    names = {path.name for path in export_reference(summary.checkpoint, tmp_path / "theirs")}
    assert names == {"latest_net_G_A.pth", "latest_net_G_B.pth"}


@pytest.mark.parametrize(
    "values", [{"discriminator": "pixel"}, {"preprocess": "crop"}, {"crop_px": 32}]
)
def test_windows_need_pictures_of_one_alignment(values: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"face_windows: got .*needed n_layers, resize_and_crop"):
        changed(SMALL, **values)
