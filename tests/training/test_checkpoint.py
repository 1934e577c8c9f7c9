"""What may pass leaves every checkpoint as it is; only wrong content is renamed to torn-….

The kind: a file that cannot be *read* is taken for a file that is *wrong*, and work is thrown away.
The boundary: ``training.run.checkpoint`` raises ``CheckpointError`` for content (a missing file of
a folder, a checksum, a shape) and nothing else; an error of the system or a lack of memory stops
the run, and says that every checkpoint is unchanged.
"""

from pathlib import Path

import pytest
import torch

from core.errors import SuyanError
from training.algorithm.cyclegan import CycleGan
from training.build import build
from training.config import TrainConfig
from training.run.checkpoint import Position, best_checkpoint, checkpoints, save_checkpoint
from training.run.rescue_copy import RescueCopy
from training.run.state import TrainState, restore
from training.train import train

SMALL = TrainConfig(
    num_blocks=1, ngf=4, ndf=4, d_layers=2, load_px=36, crop_px=32, num_epochs=1,
    num_epochs_decay=0, checkpoint_every=2, num_threads=1, device="cpu",
)  # fmt: skip


def _names(run: Path) -> list[str]:
    return sorted(path.name for path in (run / "checkpoints").iterdir())


@pytest.mark.parametrize("name", ["state.pt", "G_A.safetensors"])
def test_a_file_that_cannot_be_read_for_a_moment_stops_and_touches_nothing(
    dataset: Path, tmp_path: Path, name: str
) -> None:
    run = tmp_path / "run"
    last = train(SMALL, dataset, run).checkpoint
    before = _names(run)
    (last / name).rename(tmp_path / "aside")
    (last / name).symlink_to(last / name)  # ELOOP: an error of the system, for root too
    with pytest.raises(SuyanError, match=r"cannot be loaded at present.*Every checkpoint is unch"):
        train(SMALL, dataset, run)
    assert _names(run) == before
    (last / name).unlink()
    (tmp_path / "aside").rename(last / name)
    assert train(SMALL, dataset, run).resumed_from_step == 5


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory"), MemoryError(), OSError(5, "I/O error")]
)
def test_a_full_gpu_stops_and_touches_nothing(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    run = tmp_path / "run"
    train(SMALL, dataset, run)
    before = _names(run)

    def full(*_: object) -> None:
        raise error

    monkeypatch.setattr(CycleGan, "load_state_dict", full)
    with pytest.raises(SuyanError, match="cannot be loaded at present"):
        train(SMALL, dataset, run)
    assert _names(run) == before


def test_checkpoints_that_cannot_be_listed_are_no_reason_to_start_again(
    dataset: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    train(SMALL, dataset, run)
    (run / "checkpoints").rename(tmp_path / "aside")
    (run / "checkpoints").symlink_to(run / "checkpoints")
    with pytest.raises(OSError, match="symbolic links"):
        train(SMALL, dataset, run)


@pytest.mark.parametrize("content", [b"", b"torn", None, "half", "flipped"])
def test_wrong_content_is_torn(dataset: Path, tmp_path: Path, content: bytes | str | None) -> None:
    run = tmp_path / "run"
    state = train(SMALL, dataset, run).checkpoint / "state.pt"
    whole = bytearray(state.read_bytes())
    if content == "half":
        state.write_bytes(whole[: len(whole) // 2])
    elif content == "flipped":
        whole[len(whole) // 2] ^= 255
        state.write_bytes(whole)
    elif content is None:
        state.unlink()
    else:
        assert isinstance(content, bytes)
        state.write_bytes(content)
    assert train(SMALL, dataset, run).resumed_from_step == 4
    assert "torn-step_00000005" in _names(run)


def test_the_best_is_kept_while_its_name_cannot_be_read(tmp_path: Path) -> None:
    config = SMALL.model_copy(update={"keep_checkpoints": 1})

    def save(step: int, best_score: float | None = None) -> Path:
        position = Position(step, 1, step)
        return save_checkpoint(tmp_path, position, config, {}, {}, best_score=best_score)

    best = save(1, best_score=0.5)
    save(2)
    pointer = tmp_path / "checkpoints" / "best.json"
    pointer.rename(tmp_path / "aside")
    pointer.symlink_to(pointer)
    save(3)
    assert best.is_dir()
    pointer.unlink()
    (tmp_path / "aside").rename(pointer)
    save(4)
    assert best_checkpoint(tmp_path) == best
    assert [path.name for path in checkpoints(tmp_path)] == ["step_00000004", "step_00000001"]


def test_a_checkpoint_that_a_signal_saved_can_still_be_the_best(tmp_path: Path) -> None:
    position = Position(1, 1, 1)
    saved = save_checkpoint(tmp_path, position, SMALL, {}, {})
    assert best_checkpoint(tmp_path) is None
    assert save_checkpoint(tmp_path, position, SMALL, {}, {}, best_score=0.5) == saved
    assert best_checkpoint(tmp_path) == saved


class _Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("step_s", "num_steps", "saved"), [(1, 100, []), (3, 7, [7]), (30, 2, [2])]
)
def test_a_state_is_copied_where_steps_are_long(
    tmp_path: Path, step_s: float, num_steps: int, saved: list[int]
) -> None:
    gan, clock = build(SMALL), _Clock()
    copy, state = RescueCopy(gan, tmp_path, 0, clock), TrainState()
    pictures = torch.zeros(1, 3, 32, 32)
    for step in range(1, num_steps + 1):
        clock.now += step_s
        if step_s > 1:
            gan.step(pictures, pictures)
        state.position = type(state.position)(step, 1, step)
        copy.after_step(state)
    expected = {name: dict(net.state_dict()) for name, net in gan.networks().items()}
    expected = {n: {k: v.clone() for k, v in d.items()} for n, d in expected.items()}
    if saved:
        gan.step(pictures, pictures)  # the step that the signal interrupts
    assert copy.save() == bool(saved)
    assert [int(path.name[5:]) for path in checkpoints(tmp_path)] == saved
    if saved:
        fresh = build(SMALL)
        assert restore(fresh, tmp_path).position.step == num_steps
        for name, network in fresh.networks().items():
            for key, value in network.state_dict().items():
                assert torch.equal(value, expected[name][key])
