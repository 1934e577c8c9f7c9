"""Pseudo pairs: transfers on drawn faces and known colours, and training that begins so."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from pydantic import ValidationError

from evaluation.metrics.regions import contrasts
from preprocessing.analysis.face_finder import FaceFinder
from preprocessing.analysis.face_mesh import Points
from preprocessing.analysis.face_regions import masks, region_contrasts
from scraping.offline.corpus import portrait
from scraping.offline.landscapes import draw
from training.algorithm.losses import supervised
from training.algorithm.schedules import pseudo_learning_rate
from training.build import build
from training.config import TrainConfig
from training.data.appearance_transfer import (
    Face,
    References,
    shift_regions,
    transfer_colours,
    transfer_makeup,
)
from training.data.dataset import UnalignedPictures
from training.data.pseudo_pairs import PseudoPairs
from training.data.reference_matching import match_references
from training.run.run_log import read_log
from training.train import train

PX = 136
CONFIG = TrainConfig(
    num_blocks=1, ngf=4, ndf=4, d_layers=2, load_px=36, crop_px=32, batch_size=2, num_epochs=1,
    num_epochs_decay=1, checkpoint_every=4, pseudo_steps=6, num_threads=1, device="cpu",
    ema_decay=0.9, pseudo_weight=2,
)  # fmt: skip


def _face(domain: str, seed: int) -> NDArray[np.uint8]:
    return cv2.resize(portrait(domain, seed), (PX, PX), interpolation=cv2.INTER_AREA)


def _mesh(picture: NDArray[np.uint8]) -> Points:
    mesh = FaceFinder().mesh(picture)
    assert mesh is not None
    return mesh


@pytest.mark.parametrize(("domain", "other"), [("bare", "makeup"), ("makeup", "bare")])
def test_a_face_takes_the_colours_of_lips_and_eyes_of_another(domain: str, other: str) -> None:
    for seed in (3, 8, 12):
        picture, reference = _face(domain, seed), _face(other, seed + 20)
        mesh, reference_mesh = _mesh(picture), _mesh(reference)
        donor = Face(reference, reference_mesh)
        rendered = transfer_makeup(Face(picture, mesh), References(donor, donor, donor))
        before, after, wanted = (
            contrasts(each[None], [its_mesh])
            for each, its_mesh in (
                (picture, mesh),
                (rendered, mesh),
                (reference, reference_mesh),
            )
        )
        for name in ("lips", "eyes", "cheeks"):
            distance = np.linalg.norm(after[name] - wanted[name])
            assert distance < 0.5 * np.linalg.norm(before[name] - wanted[name]), (seed, name)
        far = cv2.dilate(masks(mesh, PX)["made_up"], np.ones((25, 25))) == 0
        assert np.abs(rendered.astype(int) - picture)[far].max() <= 1  # rounding, in L*a*b*


def test_lips_eyes_and_cheeks_may_come_from_different_faces() -> None:
    face, *donors = (
        Face(picture, _mesh(picture))
        for picture in (_face("bare", 3), *(_face("makeup", seed) for seed in (23, 28, 32)))
    )
    before = region_contrasts(face.picture, face.mesh)
    after = region_contrasts(transfer_makeup(face, References(*donors)), face.mesh)
    for name, donor in zip(("lips", "eyes", "cheeks"), donors, strict=True):
        wanted = region_contrasts(donor.picture, donor.mesh)[name]
        error = np.linalg.norm(after[name] - wanted)
        assert error < 0.5 * np.linalg.norm(before[name] - wanted), name


def test_a_shift_moves_the_colour_of_one_region_alone() -> None:
    picture = _face("bare", 3)
    face = Face(picture, _mesh(picture))
    before = region_contrasts(picture, face.mesh)
    after = region_contrasts(shift_regions(face, {"lips": np.array([-4.0, 9, 2])}), face.mesh)
    assert after["lips"] - before["lips"] == pytest.approx([-4, 9, 2], abs=1.5)
    assert after["eyes"] - before["eyes"] == pytest.approx([0, 0, 0], abs=0.2)


def test_references_are_near_and_together_have_the_distribution_of_the_other_side() -> None:
    rng = np.random.default_rng(0)
    points, others = (rng.normal((0, shift, 0), 5, (40, 3)) for shift in (0, 4))
    chosen = match_references(points, others)
    assert sorted(chosen) == list(range(40))
    shift = others[chosen] - points
    assert shift.mean(axis=0) == pytest.approx(others.mean(axis=0) - points.mean(axis=0))
    assert np.mean(shift[:, 1] > 0) > 0.85  # all agree on the direction; at random 0.7 would
    assert np.linalg.norm(shift, axis=1).mean() < 7  # at random: 11
    few = match_references(points, others[:3])
    assert len(few) == 40
    assert max(np.bincount(few)) == 14
    assert sorted(match_references(points[:9], others)) == list(range(9))


def test_the_supervised_loss_heeds_what_a_pair_changes() -> None:
    source = torch.zeros(1, 3, 20, 20)
    target = source.clone()
    target[..., :4, :5] = 0.4  # 5 % of the picture
    copied, changed_half = source.clone(), source + (target - source) / 2
    leaked = target + 0.01
    losses = [
        float(supervised(each, target, source)) for each in (copied, changed_half, leaked, target)
    ]
    assert losses == sorted(losses, reverse=True)
    assert losses[0] == pytest.approx(0.35 * 9 * 0.05 / (1 + 8 * 0.05))
    assert losses[3] == 0
    correction = torch.zeros(1, 3, 1, 1, requires_grad=True)
    targets = [torch.full((1, 3, 1, 1), value) for value in (0.09, 0.08, -0.05)]
    torch.stack(
        [supervised(correction, each, torch.ones(1, 3, 1, 1)) for each in targets]
    ).sum().backward()
    assert correction.grad is not None
    assert correction.grad[0, 0, 0, 0] == pytest.approx(-(0.09 + 0.08 - 0.05) / 3 / 0.1, rel=1e-5)


def test_a_face_is_its_own_reference_without_change() -> None:
    picture = _face("makeup", 5)
    mesh = _mesh(picture)
    face = Face(picture, mesh)
    rendered = transfer_makeup(face, References(face, face, face))
    assert np.abs(rendered.astype(int) - picture).mean() < 0.5


def test_colours_take_mean_and_covariance_of_the_reference() -> None:
    rng = np.random.default_rng(0)
    picture = np.clip(rng.normal(110, 24, (60, 60, 3)), 0, 255).astype(np.uint8)
    mixed = rng.normal(0, 20, (50, 80, 3)) @ [[1, 0.5, 0], [0, 1, 0.4], [0.2, 0, 1]] + [
        90,
        140,
        150,
    ]
    reference = np.clip(mixed, 0, 255).astype(np.uint8)
    colours = transfer_colours(picture, reference).reshape(-1, 3).astype(float)
    expected = reference.reshape(-1, 3).astype(float)
    assert colours.mean(axis=0) == pytest.approx(expected.mean(axis=0), abs=2)
    before = np.cov(picture.reshape(-1, 3).astype(float).T)
    error = np.abs(np.cov(colours.T) - np.cov(expected.T)).max()
    assert error < 0.35 * np.abs(before - np.cov(expected.T)).max()


def test_ground_becomes_ground_and_sky_becomes_sky() -> None:
    """Snow is brighter than its sky, grass is darker: by rank of brightness they would swap."""
    winter, summer = (draw(seed, winter=winter) for seed, winter in ((5, True), (905, False)))
    sky, ground = slice(0, 40), slice(-60, None)
    rendered = transfer_colours(winter, summer).astype(int)
    assert np.median(rendered[sky, :, 2] - rendered[sky, :, 1]) > 20  # blue, and no green
    assert np.median(rendered[ground, :, 1] - rendered[ground, :, 2]) > 20
    assert rendered[sky].std(axis=(0, 1)).max() < 40


def test_detail_gets_the_reference_s_strength_but_grain_does_not_grow() -> None:
    rng = np.random.default_rng(0)
    speckled, plain = (
        np.clip(rng.normal(level, deviation, (96, 96, 3)), 0, 255).astype(np.uint8)
        for level, deviation in ((90, 30), (200, 2))
    )

    def chroma_detail(picture: NDArray[np.uint8]) -> float:
        lab = cv2.cvtColor(picture.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
        return float((lab - cv2.GaussianBlur(lab, (0, 0), 1))[..., 1:].std())

    smoothed, grainy = transfer_colours(speckled, plain), transfer_colours(plain, speckled)
    assert chroma_detail(smoothed) < 1.5 * chroma_detail(plain) < 0.2 * chroma_detail(speckled)
    assert chroma_detail(grainy) < 3 * chroma_detail(plain)


@pytest.fixture
def faces(tmp_path: Path) -> Path:
    """3 drawn faces of each side, 36x36 px would hide them: 136x136 px."""
    dataset = tmp_path / "datasets" / "faces"
    for side, domain in (("A", "makeup"), ("B", "bare")):
        for split in ("train", "test"):
            (dataset / f"{split}{side}").mkdir(parents=True)
        for seed in range(3):
            Image.fromarray(_face(domain, seed)).save(dataset / f"train{side}" / f"{seed}.png")
    return dataset


def test_every_batch_pairs_real_pictures_of_both_sides_with_their_renderings(faces: Path) -> None:
    config = CONFIG.model_copy(
        update={"load_px": PX, "crop_px": PX, "flip": False, "batch_size": 4, "pseudo_steps": 2}
    )
    pictures = UnalignedPictures(faces, config)
    first, second = PseudoPairs(config, pictures).batches(0, 2)
    (again,) = PseudoPairs(config, pictures).batches(1, 2)
    assert torch.equal(second.a, again.a)
    assert torch.equal(second.b, again.b)
    sides = [
        {folder[number].tobytes() for number in range(len(folder))}
        for folder in (pictures.a, pictures.b)
    ]
    is_real = [
        [picture.numpy().tobytes() in side for picture in batch]
        for batch, side in zip((first.a, first.b), sides, strict=True)
    ]
    assert is_real == [[True, False, True, False], [False, True, False, True]]
    targets = PseudoPairs(config, pictures).targets(1, 0).to(torch.device("cpu"))
    for rendered, real in (
        (targets.rendered_A, targets.real_B),
        (targets.rendered_B, targets.real_A),
    ):
        assert rendered.shape == real.shape == (4, 3, PX, PX)
        assert 0.001 < (rendered - real).abs().mean() < 0.1
    change = (first.a.float() - first.b.float()).abs().mean(dim=3)  # [4, PX, PX]
    mesh = FaceFinder().mesh(first.a[0].numpy())
    assert mesh is not None
    weights = torch.from_numpy(masks(mesh, PX)["lips"])
    assert (change[0] * weights).sum() / weights.sum() > 3 * change[0].mean()


def test_pictures_without_faces_are_paired_by_their_colours(smooth_dataset: Path) -> None:
    pictures = UnalignedPictures(smooth_dataset, CONFIG)
    (batch,) = PseudoPairs(CONFIG, pictures).batches(0, 1)
    assert batch.a.shape == batch.b.shape == (2, 32, 32, 3)
    assert not torch.equal(batch.a, batch.b)
    a_rows, b_rows = (  # without detail, whose strength changes too
        torch.from_numpy(np.stack([cv2.GaussianBlur(x, (0, 0), 4) for x in side.float().numpy()]))
        for side in (batch.a, batch.b)
    )
    for a, b in zip(a_rows.flatten(0, 1), b_rows.flatten(0, 1), strict=True):
        system = torch.cat([a, torch.ones(len(a), 1)], dim=1)  # an affine map of each row's colours
        error = b - system @ torch.linalg.lstsq(system, b).solution
        assert error.abs().median() < 3


def test_supervised_steps_come_first_and_reduce_the_error(
    smooth_dataset: Path, tmp_path: Path
) -> None:
    for path in (smooth_dataset / "trainB").iterdir():  # a tint that can be learned
        with Image.open(path) as picture:
            tinted = np.asarray(picture) * [0.4, 0.9, 0.6]
        Image.fromarray(tinted.astype(np.uint8)).save(path)
    changes = {"pseudo_steps": 120, "residual": True, "learning_rate": 3e-3, "num_epochs": 1}
    config = CONFIG.model_copy(update=changes | {"lambda_a": 1.0, "lambda_b": 1.0})
    stages = list[tuple[str, int | None]]()
    summary = train(
        config,
        smooth_dataset,
        tmp_path / "run",
        progress=lambda stage, _done, total, _message: stages.append((stage, total)),
    )
    # a rate, and so the time left, holds for steps of one kind alone
    assert list(dict.fromkeys(stages)) == [("pseudo pairs", 120), ("train", 130)]
    assert summary.steps == 120 + 2 * 5
    assert summary.epochs == 2
    rows = read_log(summary.run / "log.jsonl")
    errors = [row["pseudo_A"] + row["pseudo_B"] for row in rows if row["step"] <= 120]
    assert len(errors) == 12
    assert errors[-1] < 0.8 * errors[0]
    assert "cycle_A" in rows[-1]


def test_an_interrupted_training_with_pseudo_pairs_ends_like_an_uninterrupted_one(
    smooth_dataset: Path, tmp_path: Path
) -> None:
    whole = train(CONFIG, smooth_dataset, tmp_path / "whole")
    for stop_at in (4, 6, 9):
        run = tmp_path / f"stopped-{stop_at}"

        def stop(
            _stage: str, done: int, _total: int | None, _message: str, at: int = stop_at
        ) -> None:
            if done == at:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            train(CONFIG, smooth_dataset, run, progress=stop)
        resumed = train(CONFIG, smooth_dataset, run)
        assert resumed.resumed_from_step == stop_at // 4 * 4 - (4 if stop_at % 4 == 0 else 0)
        for name in ("G_A", "G_B_ema", "D_A", "state"):
            files = list(whole.checkpoint.glob(f"{name}.*"))
            assert len(files) == 1
            if name != "state":
                same = files[0].read_bytes() == (resumed.checkpoint / files[0].name).read_bytes()
                assert same, (stop_at, name)


def test_the_first_adversarial_step_starts_with_fresh_moments(smooth_dataset: Path) -> None:
    gan = build(CONFIG)
    pair = torch.rand(2, 3, 32, 32) * 2 - 1
    before = {name: value.clone() for name, value in gan.D_A.state_dict().items()}
    losses = gan.pseudo_step(pair, pair.flip(0))
    assert losses.keys() == {"pseudo_A", "pseudo_B"}
    assert gan.optimizer_G.state
    gan.forget_moments()
    assert not gan.optimizer_G.state
    assert all(torch.equal(before[name], value) for name, value in gan.D_A.state_dict().items())
    assert gan.num_steps == 1


def test_the_rate_of_supervised_steps_falls_to_zero_at_their_end() -> None:
    config = CONFIG.model_copy(update={"pseudo_steps": 100, "learning_rate": 1e-3})
    assert [pseudo_learning_rate(config, step) for step in (0, 50, 75, 100)] == pytest.approx(
        [2e-3, 2e-3, 1e-3, 0]
    )


def test_pseudo_pairs_need_pictures_of_one_size() -> None:
    with pytest.raises(ValidationError, match="resize_and_crop"):
        TrainConfig(pseudo_steps=10, preprocess="scale_width", load_px=300)
