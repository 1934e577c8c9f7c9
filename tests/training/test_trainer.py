"""Reactions of a run to its losses, a collapse, validations and a full disk; averages."""

import io
import json
import logging
import math
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from core.errors import SuyanError
from training.algorithm.cyclegan import CycleGan
from training.config import TrainConfig
from training.data.dataset import UnalignedPictures, training_size
from training.run import checkpoint as checkpoint_module
from training.run.checkpoint import (
    best_checkpoint,
    checkpoints,
    has_averages,
    latest_checkpoint,
    load_generators,
)
from training.run.monitors import Monitors
from training.run.run_log import EventKind, TrainingLog, read_log
from training.train import train

SMALL = TrainConfig(
    num_blocks=1,
    ngf=4,
    ndf=4,
    d_layers=2,
    load_px=36,
    crop_px=32,
    pool_size=3,
    num_epochs=2,
    num_epochs_decay=2,
    checkpoint_every=3,
    num_threads=1,
    device="cpu",
)


def _break_step(monkeypatch: pytest.MonkeyPatch, step: int, times: int = 1) -> None:
    """The losses and weights of ``step`` become NaN, ``times`` times, as an overflow makes them."""
    whole = CycleGan.step
    left = [times]

    def broken(self: CycleGan, *batch: Any) -> dict[str, Tensor]:
        losses = whole(self, *batch)
        if self.num_steps == step and left[0]:
            left[0] -= 1
            with torch.no_grad():
                next(iter(self.G_A.parameters())).fill_(math.nan)
            losses["cycle_A"] = torch.tensor(math.nan)
        return losses

    monkeypatch.setattr(CycleGan, "step", broken)


def test_a_loss_that_is_no_number_takes_the_run_back_at_half_the_rate(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _break_step(monkeypatch, 11)
    summary = train(SMALL, dataset, tmp_path / "run")
    assert summary.steps == 20
    (event,) = read_log(tmp_path / "run" / "events.jsonl")
    assert event["event"] == "rollback"
    assert "back to step 9, at 0.5 of the learning rate" in event["message"]
    assert "rollback" in summary.events[0]
    rows = {row["step"]: row for row in read_log(tmp_path / "run" / "log.jsonl")}
    assert rows[20]["learning_rate"] == pytest.approx(SMALL.learning_rate / 3 / 2)
    state = torch.load(summary.checkpoint / "state.pt", weights_only=True)
    assert state["standing"]["num_rollbacks"] == 1


def test_a_run_that_breaks_again_and_again_gives_up_and_keeps_its_checkpoint(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _break_step(monkeypatch, 5, times=99)
    config = SMALL.model_copy(update={"max_rollbacks": 2})
    with pytest.raises(SuyanError, match=r"not finite at step 5.*after 2 rollbacks.*step_00000003"):
        train(config, dataset, tmp_path / "run")
    load_generators(tmp_path / "run" / "checkpoints" / "step_00000003")


def test_validation_keeps_the_best_and_stops_a_run_that_gets_no_better(
    dataset: Path, tmp_path: Path
) -> None:
    config = SMALL.model_copy(
        update={"validate_every": 1, "num_validation": 2, "patience": 2, "keep_checkpoints": 1}
    )
    # Both directions of each of four epochs; the second epoch is the best.
    values = iter([5.0, 5.0, 1.0, 3.0, 4.0, 4.0, 6.0, 6.0])

    def distance(translated: NDArray[np.uint8], real: NDArray[np.uint8]) -> float:
        assert translated.shape == real.shape == (2, 32, 32, 3)
        assert translated.dtype == np.uint8
        return next(values)

    summary = train(config, dataset, tmp_path / "run", distance=distance)
    assert summary.epochs == 4
    assert summary.best is not None
    assert summary.best.name == "step_00000006"  # three pictures are left for training
    assert [path.name for path in checkpoints(summary.run)] == ["step_00000012", "step_00000006"]
    assert json.loads((summary.best.parent / "best.json").read_text())["score"] == 2.0
    assert "no better validation in 2" in summary.events[-1]
    rows = read_log(summary.run / "measures.jsonl")
    assert [row["validation_A2B"] for row in rows if "validation_A2B" in row] == [5, 1, 4, 6]
    again = train(config, dataset, tmp_path / "run", distance=distance)  # asks for no more values
    assert again.steps == 12


def test_validation_survives_an_interruption(dataset: Path, tmp_path: Path) -> None:
    config = SMALL.model_copy(
        update={"validate_every": 1, "num_validation": 1, "lr_policy": "plateau"}
    )

    def distance(translated: NDArray[np.uint8], real: NDArray[np.uint8]) -> float:
        return float(np.abs(translated.astype(float) - real).mean())

    class _StopError(Exception):
        pass

    def stop(_stage: str, done: int, _total: int | None, _message: str) -> None:
        if done == 10:
            raise _StopError

    config = TrainConfig.model_validate(config.model_dump() | {"num_validation": 2})
    whole = train(config, dataset, tmp_path / "whole", distance=distance)
    with pytest.raises(_StopError):
        train(config, dataset, tmp_path / "cut", distance=distance, progress=stop)
    cut = train(config, dataset, tmp_path / "cut", distance=distance)
    names = ("state.pt", "G_A.safetensors")
    one, two = (torch.load(s.checkpoint / names[0], weights_only=True) for s in (whole, cut))
    assert one["standing"] == two["standing"]
    assert (whole.checkpoint / names[1]).read_bytes() == (cut.checkpoint / names[1]).read_bytes()


def test_validation_without_a_distance_is_refused(dataset: Path, tmp_path: Path) -> None:
    config = SMALL.model_copy(update={"validate_every": 1})
    with pytest.raises(ValueError, match="without a distance to validate by"):
        train(config, dataset, tmp_path / "run")


def test_a_full_disk_costs_a_checkpoint_but_not_the_run(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    whole, calls = checkpoint_module.save_tensors, []

    def full(path: Path, tensors: Mapping[str, torch.Tensor]) -> None:
        calls.append(path)
        if "step_00000006" in str(path) and path.name.startswith("G_B"):
            raise OSError(28, "No space left on device")
        whole(path, tensors)

    monkeypatch.setattr(checkpoint_module, "save_tensors", full)
    config = SMALL.model_copy(update={"num_epochs": 1, "num_epochs_decay": 1})
    with caplog.at_level(logging.WARNING):
        summary = train(config, dataset, tmp_path / "run")
    assert "No space left on device" in caplog.text
    assert "step_00000003" in caplog.text
    names = sorted(path.name for path in (tmp_path / "run" / "checkpoints").iterdir())
    assert names == ["step_00000003", "step_00000009", "step_00000010"]
    assert summary.checkpoint == latest_checkpoint(tmp_path / "run")


def test_a_log_that_a_full_disk_tore_goes_on_whole(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = TrainingLog(tmp_path, 0)
    log.write({"step": 10, "G_A": 1.0})
    room = {"left": 7}  # bytes
    whole = os.write

    class Full(io.FileIO):
        def write(self, data: Any) -> int:
            part = bytes(data)[: room["left"]]
            return whole(self.fileno(), part)

    monkeypatch.setattr(Path, "open", lambda path, *_, **__: Full(path, "a"))
    with caplog.at_level(logging.WARNING):
        log.write({"step": 20, "G_A": 2.0})
        log.event(20, EventKind.SATURATION, "lost")
        log.picture(20, "samples", np.zeros((4, 4, 3), np.uint8))
    assert caplog.text.count("No space left on device") == 1  # logged once
    room["left"] = 1000
    log.write({"step": 30, "G_A": 3.0})
    log.close()
    monkeypatch.undo()
    assert [row["step"] for row in read_log(tmp_path / "log.jsonl")] == [10, 30]
    events = tmp_path / "events.jsonl"
    events.write_text('{"event": "collapse", "message": "", "step": 5}\n{"event": "sat')
    TrainingLog(tmp_path, 10).close()  # after kill -9
    assert events.read_text().endswith('"step": 5}\n')
    assert [row["step"] for row in read_log(tmp_path / "log.jsonl")] == [10]


def test_a_grid_that_cannot_be_written_is_reported_and_training_goes_on(
    dataset: Path, tmp_path: Path
) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "samples").write_text("a file where the folder would be")
    config = SMALL.model_copy(update={"num_epochs": 1, "num_epochs_decay": 0})
    summary = train(config, dataset, tmp_path / "run")
    assert summary.steps == 5
    assert "step_00000000.jpg cannot be written" in summary.events[0]


def test_averages_lie_beside_the_raw_weights(dataset: Path, tmp_path: Path) -> None:
    config = SMALL.model_copy(update={"ema_decay": 0.9, "num_epochs": 1, "num_epochs_decay": 0})
    summary = train(config, dataset, tmp_path / "run")
    assert has_averages(summary.checkpoint)
    raw, _, _ = load_generators(summary.checkpoint)
    averaged, _, _ = load_generators(summary.checkpoint, averaged=True)
    picture = torch.rand(1, 3, 32, 32) * 2 - 1
    assert not torch.equal(raw(picture), averaged(picture))
    assert (tmp_path / "run" / "samples_ema" / "step_00000005.jpg").is_file()
    assert list((tmp_path / "run" / "tensorboard").iterdir())


def test_saturation_and_collapse_are_reported_once() -> None:
    monitors = Monitors("lsgan")
    messages = [monitors.saturation({"D_A": 0.0001, "D_B": 0.2}) for _ in range(40)]
    assert [message is not None for message in messages].count(True) == 1
    assert "D_A tells every translation" in next(filter(None, messages))
    assert monitors.collapse(0.8) is None
    assert "5%" in (monitors.collapse(0.05) or "")
    assert monitors.collapse(0.05) is None


@pytest.mark.parametrize(
    ("preprocess", "size", "wanted"),
    [
        ("resize_and_crop", (50, 40), (36, 36)),
        ("scale_width_and_crop", (72, 144), (36, 72)),
        ("scale_width_and_crop", (72, 36), (36, 32)),  # as low as the crop allows
        ("scale_width", (72, 144), (36, 72)),
        ("crop", (50, 40), (50, 40)),
        ("none", (50, 41), (48, 40)),
    ],
)
def test_pictures_are_resized_as_the_reference_does(
    preprocess: str, size: tuple[int, int], wanted: tuple[int, int]
) -> None:
    config = SMALL.model_copy(update={"preprocess": preprocess})
    assert training_size(*size, config) == wanted


def test_a_picture_too_small_to_crop_is_named(dataset: Path) -> None:
    Image.new("RGB", (20, 50)).save(dataset / "trainA" / "narrow.png")
    config = SMALL.model_copy(update={"preprocess": "crop"})
    with pytest.raises(ValueError, match=r"narrow\.png.*20x50 px.*needed 32 px"):
        UnalignedPictures(dataset, config)


def test_serial_batches_take_both_sides_in_order(dataset: Path) -> None:
    config = SMALL.model_copy(update={"serial_batches": True, "preprocess": "none", "flip": False})
    batches = list(UnalignedPictures(dataset, config).batches(1))
    for index, batch in enumerate(batches):
        with Image.open(dataset / "trainA" / f"{index}.png") as image:
            assert np.array_equal(batch.a[0].numpy(), np.asarray(image))
        with Image.open(dataset / "trainB" / f"{index % 4}.png") as image:
            assert np.array_equal(batch.b[0].numpy(), np.asarray(image))


def test_dropout_is_random_and_can_be_repeated(dataset: Path, tmp_path: Path) -> None:
    config = SMALL.model_copy(update={"dropout": True, "num_epochs": 1, "num_epochs_decay": 0})
    one = train(config, dataset, tmp_path / "one").checkpoint
    torch.rand(7)  # elsewhere the global generator moves on
    two = train(config, dataset, tmp_path / "two").checkpoint
    name = "G_A.safetensors"
    assert (one / name).read_bytes() == (two / name).read_bytes()
    shutil.rmtree(tmp_path / "two")
    assert best_checkpoint(tmp_path / "one") is None
