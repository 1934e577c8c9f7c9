"""A training starts from the weights of another one, or goes on with a finished one."""

import json
import logging
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from core.errors import CheckpointError
from core.files import write_json
from training.config import TrainConfig
from training.models.factory import GENERATORS, build_generator
from training.run.checkpoint import latest_checkpoint
from training.run.initial_weights import check_fit
from training.run.run_log import read_log
from training.run.starting_point import StartingPoint, recorded_origin
from training.train import train

SMALL = TrainConfig(
    num_blocks=1, ngf=4, ndf=4, d_layers=2, load_px=36, crop_px=32, num_epochs=1,
    num_epochs_decay=0, checkpoint_every=100, sample_every=100, num_threads=1, device="cpu",
    ema_decay=0.5,
)  # fmt: skip


def changed(config: TrainConfig, **values: object) -> TrainConfig:
    return TrainConfig.model_validate(config.model_dump() | values)


@pytest.fixture
def trained(dataset: Path, tmp_path: Path) -> Path:
    """The last checkpoint of a run of one epoch."""
    return train(SMALL, dataset, tmp_path / "runs" / "first").checkpoint


def start_of(checkpoint: Path) -> StartingPoint:
    return StartingPoint(checkpoint, "first/last")


def test_a_training_begins_with_the_averages_and_discriminators_of_its_starting_point(
    trained: Path, dataset: Path, tmp_path: Path
) -> None:
    start, run = start_of(trained), tmp_path / "runs" / "second"
    config = changed(SMALL, init_from=start.origin, learning_rate=1e-12, ema_decay=0.0, seed=5)
    start.copy_to(run)
    shutil.rmtree(trained.parent.parent)  # the run does not need it any more
    stored = run / "starting_point"
    summary = train(config, dataset, run)
    for name in ("G_A", "G_B", "D_A", "D_B"):
        before = load_file(stored / f"{name}.safetensors")
        after = load_file(summary.checkpoint / f"{name}.safetensors")
        for key, tensor in before.items():
            assert torch.allclose(after[key], tensor, atol=1e-6), (name, key)
    averages = json.loads((stored / "config.json").read_text())
    assert averages["init_from"] == ""
    name, digest = recorded_origin(config.init_from)
    assert name == "first/last"
    assert len(digest) == 16


def test_other_weights_have_another_origin_and_a_second_copy_changes_nothing(
    trained: Path, tmp_path: Path
) -> None:
    start, run = start_of(trained), tmp_path / "runs" / "second"
    before = start.origin
    start.copy_to(run)
    copied = (run / "starting_point" / "G_A.safetensors").read_bytes()
    tensors = load_file(trained / "G_A_ema.safetensors")
    save_file({key: value + 1 for key, value in tensors.items()}, trained / "G_A_ema.safetensors")
    assert start.origin != before
    start.copy_to(run)
    assert (run / "starting_point" / "G_A.safetensors").read_bytes() == copied
    assert not list(run.glob(".starting_point.*"))


def test_what_fits_is_taken_and_the_rest_is_named(
    trained: Path, dataset: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    start = start_of(trained)
    wider = changed(SMALL, init_from=start.origin, ndf=8)
    start.copy_to(tmp_path / "wider")
    with caplog.at_level(logging.WARNING):
        train(wider, dataset, tmp_path / "wider")
    assert "D_A.safetensors: these tensors start with random weights: model.0.weight" in caplog.text
    deeper = changed(SMALL, init_from=start.origin, ngf=8)
    start.copy_to(tmp_path / "deeper")
    with pytest.raises(CheckpointError, match=r"G_A.safetensors: \d+% of its weights fit.*ngf"):
        train(deeper, dataset, tmp_path / "deeper")
    other = changed(SMALL, init_from=start.origin, residual=True)
    start.copy_to(tmp_path / "other")
    with pytest.raises(CheckpointError, match=r"residual False \(this training: True\)"):
        train(other, dataset, tmp_path / "other")
    (trained / "G_B_ema.safetensors").unlink()
    (trained / "G_B.safetensors").unlink()
    with pytest.raises(CheckpointError, match="needed both generators to start from; G_B is"):
        start.copy_to(tmp_path / "half")
    with pytest.raises(CheckpointError, match="starting_point is missing"):
        train(wider, dataset, tmp_path / "gone")


def test_a_model_that_does_not_fit_is_known_before_a_run_is_made(
    trained: Path, tmp_path: Path
) -> None:
    start = start_of(trained)
    check_fit(changed(SMALL, ndf=8, num_blocks=2), start)  # more than half fits
    with pytest.raises(CheckpointError, match=r"0% of .*\(ngf=4, num_blocks=1\)"):
        check_fit(changed(SMALL, ngf=8), start)
    with pytest.raises(CheckpointError, match=r"norm instance \(this training: batch\)"):
        check_fit(changed(SMALL, norm="batch"), start)
    (trained / "G_A_ema.safetensors").write_bytes(b"torn")
    with pytest.raises(CheckpointError, match="found a damaged file"):
        check_fit(SMALL, start)
    assert [path.name for path in tmp_path.glob("runs/*")] == ["first"]


@pytest.mark.parametrize("generator", GENERATORS)
def test_the_shapes_of_every_generator_are_known_without_its_weights(
    generator: str, tmp_path: Path
) -> None:
    config = changed(SMALL, generator=generator, load_px=256, crop_px=256)
    for name in ("G_A", "G_B"):
        save_file(build_generator(config).state_dict(), tmp_path / f"{name}.safetensors")
    write_json(tmp_path / "config.json", config.model_dump(mode="json"))
    check_fit(config, StartingPoint(tmp_path, "other"))
    with pytest.raises(CheckpointError, match="of its weights fit this training"):
        check_fit(changed(config, ngf=9), StartingPoint(tmp_path, "other"))


def test_numbers_that_are_not_finite_are_refused(
    trained: Path, dataset: Path, tmp_path: Path
) -> None:
    tensors = load_file(trained / "G_A_ema.safetensors")
    save_file(
        {key: value * float("nan") for key, value in tensors.items()},
        trained / "G_A_ema.safetensors",
    )
    start = start_of(trained)
    start.copy_to(tmp_path / "run")
    with pytest.raises(CheckpointError, match="numbers that are not finite"):
        train(changed(SMALL, init_from=start.origin), dataset, tmp_path / "run")


def test_more_epochs_go_on_bitwise_like_one_training(
    trained: Path, dataset: Path, tmp_path: Path
) -> None:
    """With a constant rate, one epoch and one more are two epochs."""
    whole = train(changed(SMALL, num_epochs=2), dataset, tmp_path / "runs" / "whole")
    start = StartingPoint(trained, "first/last")
    config = changed(SMALL, num_epochs=2, continues=start.origin)
    run = tmp_path / "runs" / "more"
    start.copy_to(run, with_state=True)
    summary = train(config, dataset, run)
    assert summary.resumed_from_step == 5
    for name in ("G_A", "G_B", "D_A", "D_B", "G_A_ema", "G_B_ema"):
        expected = load_file(whole.checkpoint / f"{name}.safetensors")
        found = load_file(summary.checkpoint / f"{name}.safetensors")
        assert all(torch.equal(found[key], value) for key, value in expected.items()), name
    first_rows = [row["step"] for row in read_log(trained.parents[1] / "log.jsonl")]
    assert [row["step"] for row in read_log(run / "log.jsonl")][: len(first_rows)] == first_rows
    assert latest_checkpoint(trained.parents[1]) == trained


def test_two_ways_to_begin_exclude_each_other() -> None:
    with pytest.raises(ValueError, match="needed one of them"):
        changed(SMALL, init_from="champion", continues="run/step@0123456789abcdef")
