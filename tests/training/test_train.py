import json
import logging
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from pydantic import ValidationError
from safetensors.torch import load_file, save_file

from core.errors import CheckpointError, FolderMismatchError
from training.build import build
from training.config import TrainConfig
from training.data.dataset import UnalignedPictures
from training.data.picture_folder import load_pictures
from training.data.tensors import to_pictures, to_tensor
from training.run.checkpoint import checkpoints, latest_checkpoint, load_generators
from training.run.run_log import read_log
from training.run.sample_grid import first_row
from training.run.signals import DeferredSignals
from training.run.state import restore
from training.train import train

ROOT = Path(__file__).resolve().parents[2]
SMALL = TrainConfig(
    num_blocks=1,
    ngf=4,
    ndf=4,
    d_layers=2,
    load_px=36,
    crop_px=32,
    pool_size=3,
    colour_jitter=0.1,
    num_epochs=2,
    num_epochs_decay=2,
    checkpoint_every=3,
    sample_every=7,
    num_threads=1,
    device="cpu",
)


def _weights(checkpoint: Path) -> dict[str, torch.Tensor]:
    return {
        f"{path.stem}.{key}": tensor
        for path in sorted(checkpoint.glob("*.safetensors"))
        for key, tensor in load_file(path).items()
    }


def _assert_same_weights(one: Path, two: Path) -> None:
    first, second = _weights(one), _weights(two)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_a_run_leaves_checkpoints_samples_and_a_log(dataset: Path, tmp_path: Path) -> None:
    calls: list[tuple[int, int | None]] = []
    summary = train(
        SMALL, dataset, tmp_path / "run", progress=lambda _s, d, t, _m: calls.append((d, t))
    )
    assert summary.steps == 20
    assert summary.epochs == 4
    assert summary.checkpoint.name == "step_00000020"
    assert [path.name for path in checkpoints(summary.run)][-1] == "step_00000015"
    assert calls[0] == (0, 20)
    assert calls[-1] == (20, 20)
    assert [row["step"] for row in read_log(summary.run / "log.jsonl")] == [10, 20]
    with Image.open(summary.run / "samples" / "step_00000020.jpg") as grid:
        assert grid.size == (6 * 36 + 4, 2 * 36 + 4)
        assert first_row(grid).size == (6 * 36 + 4, 36 + 4)
        older = grid.crop((4, 4, *grid.size))  # without a border
        assert first_row(older).size == (6 * 36, 36)


def test_two_runs_are_bitwise_equal_and_a_finished_one_returns(
    dataset: Path, tmp_path: Path
) -> None:
    one = train(SMALL, dataset, tmp_path / "one")
    two = train(SMALL, dataset, tmp_path / "two")
    _assert_same_weights(one.checkpoint, two.checkpoint)
    again = train(SMALL, dataset, tmp_path / "one")
    assert again.resumed_from_step == 20
    assert again.checkpoint == one.checkpoint


class _StopError(Exception):
    pass


@pytest.fixture
def python_ctrl_c() -> Iterator[None]:
    """Python's own handler of SIGINT, which a shell's background job does not have."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_a_second_ctrl_c_does_not_wait_for_the_step(python_ctrl_c: None) -> None:
    with DeferredSignals() as signals:
        signal.raise_signal(signal.SIGINT)
        assert signals.pending == signal.SIGINT
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) == signal.default_int_handler


@pytest.mark.parametrize("stop_at", [4, 5, 11])
def test_an_interrupted_run_ends_like_an_uninterrupted_one(
    dataset: Path, tmp_path: Path, stop_at: int
) -> None:
    def stop(_stage: str, done: int, _total: int | None, _message: str) -> None:
        if done == stop_at:
            raise _StopError

    whole = train(SMALL, dataset, tmp_path / "whole")
    with pytest.raises(_StopError):
        train(SMALL, dataset, tmp_path / "halted", progress=stop)
    resumed = train(SMALL, dataset, tmp_path / "halted")
    assert 0 < resumed.resumed_from_step <= stop_at
    _assert_same_weights(whole.checkpoint, resumed.checkpoint)
    log = read_log(resumed.run / "log.jsonl")
    assert [row["step"] for row in log] == [10, 20]


_SCRIPT = """
import sys
from pathlib import Path
from training.config import TrainConfig
from training.train import train
config = TrainConfig.model_validate_json(Path(sys.argv[1]).read_text())
train(config, Path(sys.argv[2]), Path(sys.argv[3]))
"""


@pytest.mark.slow
def test_a_terminated_process_saves_and_can_be_run_again(dataset: Path, tmp_path: Path) -> None:
    config = SMALL.model_copy(update={"num_epochs": 13, "checkpoint_every": 10})
    (tmp_path / "config.json").write_text(config.model_dump_json())
    run = tmp_path / "killed"
    command = [sys.executable, "-c", _SCRIPT, tmp_path / "config.json", dataset, run]
    process = subprocess.Popen(command, cwd=ROOT)
    while latest_checkpoint(run) is None:
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == -signal.SIGTERM
    stopped = latest_checkpoint(run)
    assert stopped is not None
    assert (stopped / "state.pt").exists()
    whole = train(config, dataset, tmp_path / "whole")
    resumed = train(config, dataset, run)
    assert resumed.resumed_from_step > 0
    _assert_same_weights(whole.checkpoint, resumed.checkpoint)


_KILLED_AT = """
import os, signal, sys
from pathlib import Path
import numpy as np
from PIL import Image
from training import trainer
from training.config import TrainConfig
from training.run import checkpoint
from training.train import train
def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)
def dying(function, *, before=die, at=1):
    calls = []
    def wrapped(*args, **more):
        calls.append(args)
        return before(*args) if len(calls) == at else function(*args, **more)
    return wrapped
def torn(_, file, *__):
    file.write(b"half")
    file.flush()
    die()
moment = sys.argv[4]
if moment == "best":
    checkpoint.Path.rename = dying(Path.rename)
elif moment == "checkpoint":
    checkpoint.torch.save = dying(checkpoint.torch.save, before=torn, at=2)
elif moment == "sample":
    Image.Image.save = dying(Image.Image.save, before=torn)
elif moment == "epoch":
    trainer.Trainer._end_epoch = dying(trainer.Trainer._end_epoch, at=2)
def distance(one, two):
    return float(np.abs(one.astype(float) - two).mean())
config = TrainConfig.model_validate_json(Path(sys.argv[1]).read_text())
train(config, Path(sys.argv[2]), Path(sys.argv[3]), distance=distance)
"""


@pytest.mark.slow
def test_a_process_killed_at_every_moment_ends_like_an_uninterrupted_one(
    dataset: Path, tmp_path: Path
) -> None:
    """A run is killed as the best checkpoint gets its name, as another is half written, and so
    on."""
    config = SMALL.model_copy(
        update={"validate_every": 1, "num_validation": 2, "checkpoint_every": 2, "sample_every": 5}
    )
    (tmp_path / "config.json").write_text(config.model_dump_json())

    def distance(one: NDArray[np.uint8], two: NDArray[np.uint8]) -> float:
        return float(np.abs(one.astype(float) - two).mean())

    command = [sys.executable, "-c", _KILLED_AT, tmp_path / "config.json", dataset]
    for moment in ("best", "checkpoint", "sample", "epoch"):
        process = subprocess.run([*command, tmp_path / "killed", moment], cwd=ROOT, check=False)
        assert process.returncode == -signal.SIGKILL, moment
    killed, whole = (
        train(config, dataset, tmp_path / name, distance=distance) for name in ("killed", "whole")
    )
    assert killed.resumed_from_step > 3
    assert killed.steps == whole.steps == 12
    _assert_same_weights(killed.checkpoint, whole.checkpoint)
    assert killed.best is not None
    assert whole.best is not None
    assert killed.best.name == whole.best.name
    samples = [{path.name for path in (s.run / "samples").glob("step*")} for s in (killed, whole)]
    assert samples[0] == samples[1]


def test_moments_follow_their_weights_into_another_memory_layout(
    dataset: Path, tmp_path: Path
) -> None:
    """A run may resume in another memory layout, e.g. not compiled any more: fused Adam ignores
    strides."""
    config = SMALL.model_copy(update={"num_epochs": 1, "num_epochs_decay": 0})
    train(config, dataset, tmp_path / "run")
    same, other = build(config), build(config, to_compile=True)
    for gan in (same, other):
        restore(gan, tmp_path / "run")
    weights = zip(same.G_A.parameters(), other.G_A.parameters(), strict=True)
    assert same.layout != other.layout
    for one, two in weights:
        moments = [
            gan.optimizer_G.state[weight]["exp_avg"] for gan, weight in ((same, one), (other, two))
        ]
        assert torch.equal(*moments)
        assert moments[1].stride() == two.stride()


@pytest.mark.slow
def test_a_torn_checkpoint_gives_way_to_the_one_before(
    dataset: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole = train(SMALL, dataset, tmp_path / "run")
    expected = _weights(whole.checkpoint)
    (whole.checkpoint / "state.pt").write_bytes(b"torn")
    with caplog.at_level(logging.WARNING):
        again = train(SMALL, dataset, tmp_path / "run")
    assert again.resumed_from_step == 18
    assert "trying the one before it" in caplog.text
    found = _weights(again.checkpoint)
    assert all(torch.equal(expected[key], found[key]) for key in expected)


def test_another_configuration_is_refused_with_the_difference(
    dataset: Path, tmp_path: Path
) -> None:
    train(SMALL, dataset, tmp_path / "run")
    other = SMALL.model_copy(update={"learning_rate": 1e-3})
    with pytest.raises(FolderMismatchError, match=r"train\.learning_rate: the folder has 0\.0002"):
        train(other, dataset, tmp_path / "run")


def test_a_run_refuses_other_pictures_and_names_them(dataset: Path, tmp_path: Path) -> None:
    train(SMALL, dataset, tmp_path / "run")
    Image.new("RGB", (40, 40), "red").save(dataset / "trainA" / "more.png")
    (dataset / "trainB" / "0.png").unlink()
    Image.new("RGB", (40, 40), "blue").save(dataset / "trainB" / "1.png")
    expected = (
        r"trainA has 1 new \(more\.png\); trainB has 1 missing \(0\.png\); "
        r"trainB has 1 changed \(1\.png\)"
    )
    with pytest.raises(FolderMismatchError, match=expected):
        train(SMALL, dataset, tmp_path / "run")


_SLOW_STEPS = """
import sys, time
from pathlib import Path
from training.algorithm.cyclegan import CycleGan
from training.config import TrainConfig
from training.run import rescue_copy, signals
from training.train import train
rescue_copy._LEAST_STEP_S = rescue_copy._INTERVAL_S = 0
step = CycleGan.step
def slow(gan, *pictures):
    losses = step(gan, *pictures)
    if gan.num_steps == 6:
        print("computing", flush=True)
        time.sleep(600)
    return losses
if sys.argv[4] == "slow":
    CycleGan.step = slow
signals.DeferredSignals.__init__.__defaults__ = (0.1,)
config = TrainConfig.model_validate_json(Path(sys.argv[1]).read_text())
train(config, Path(sys.argv[2]), Path(sys.argv[3]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_process_that_is_killed_in_a_long_step_after_a_signal_has_saved(
    dataset: Path, tmp_path: Path, number: int
) -> None:
    config = SMALL.model_copy(update={"checkpoint_every": 500})
    (tmp_path / "config.json").write_text(config.model_dump_json())
    run = tmp_path / "killed"
    command = [sys.executable, "-c", _SLOW_STEPS, tmp_path / "config.json", dataset, run, "slow"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "computing\n"
        process.send_signal(number)
        while latest_checkpoint(run) is None:
            assert process.poll() is None
            time.sleep(0.05)
        process.kill()
    resumed = train(config, dataset, run)
    assert resumed.resumed_from_step == 5
    _assert_same_weights(train(config, dataset, tmp_path / "whole").checkpoint, resumed.checkpoint)


def test_generators_are_loaded_for_use(dataset: Path, tmp_path: Path) -> None:
    summary = train(SMALL, dataset, tmp_path / "run")
    g_a, g_b, config = load_generators(summary.checkpoint)
    assert config == SMALL
    assert not g_a.training
    assert g_b(torch.zeros(1, 3, 32, 32)).shape == (1, 3, 32, 32)


def test_a_checkpoint_that_does_not_fit_says_where(dataset: Path, tmp_path: Path) -> None:
    checkpoint = train(SMALL, dataset, tmp_path / "run").checkpoint
    weights = load_file(checkpoint / "G_A.safetensors")
    save_file({**weights, "model.1.bias": torch.zeros(9)}, checkpoint / "G_A.safetensors")
    with pytest.raises(CheckpointError, match=r"model\.1\.bias has shape \[9\].*\[4\]; set ngf"):
        load_generators(checkpoint)
    config = json.loads((checkpoint / "config.json").read_text())
    (checkpoint / "config.json").write_text(json.dumps(config | {"num_blocks": 2}))
    with pytest.raises(CheckpointError, match="num_blocks"):
        load_generators(checkpoint)
    (checkpoint / "G_A.safetensors").write_bytes(b"\x00" * 40)
    with pytest.raises(CheckpointError, match="safetensors"):
        load_generators(checkpoint)


def test_batches_depend_on_seed_epoch_and_position_alone(dataset: Path) -> None:
    config = SMALL.model_copy(update={"batch_size": 2})
    pictures = UnalignedPictures(dataset, config)
    assert pictures.num_batches == 3
    whole = list(pictures.batches(epoch=3))
    later = list(UnalignedPictures(dataset, config).batches(epoch=3, first=1))
    assert [len(batch.a) for batch in whole] == [2, 2, 2]  # the last one is filled up
    assert all(torch.equal(x.a, y.a) for x, y in zip(whole[1:], later, strict=True))
    assert all(torch.equal(x.b, y.b) for x, y in zip(whole[1:], later, strict=True))
    assert not torch.equal(whole[0].a, next(pictures.batches(epoch=4)).a)


def test_pictures_survive_the_way_to_a_tensor_and_back(dataset: Path) -> None:
    pictures = load_pictures(dataset / "trainA", 40)
    tensor = to_tensor(pictures)
    assert float(tensor.min()) >= -1
    assert float(tensor.max()) <= 1
    assert np.array_equal(to_pictures(tensor), pictures)


def test_an_empty_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="found no picture"):
        load_pictures(tmp_path, 32)


def test_a_dataset_that_is_not_there_claims_no_folder(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="found no picture"):
        train(SMALL, tmp_path / "typo", tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_discriminator_too_deep_for_its_crop_is_refused() -> None:
    with pytest.raises(ValidationError, match="d_layers: got 4, which needs a crop_px of 48"):
        TrainConfig(crop_px=32, load_px=32, d_layers=4)
    TrainConfig(crop_px=48, load_px=48, d_layers=4)
