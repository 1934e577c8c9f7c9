import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from training.config import TrainConfig
from training.runtime.thread_count import ThreadCount
from training.train import train


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


class Machine:
    """Seconds of a step by number of threads; time passes with every step."""

    def __init__(self, alone_s: float, both_s: float) -> None:
        self.step_s, self.now, self.num_measured = {1: alone_s, 2: both_s}, 0.0, 0

    def measure(self, count: int) -> float:
        self.num_measured += 1
        self.now += self.step_s[count]
        return self.step_s[count]

    def train(self, threads: ThreadCount, num_steps: int) -> int:
        """Take steps; the number of threads after them."""
        for _ in range(num_steps):
            seconds = self.step_s[torch.get_num_threads()]
            self.now += seconds
            threads.after_step(seconds)
        return torch.get_num_threads()

    def choice(self, counts: tuple[int, ...] = (1, 2)) -> ThreadCount:
        return ThreadCount(counts, self.measure, clock=lambda: self.now)


def test_all_threads_are_taken_where_they_are_fastest() -> None:
    machine = Machine(alone_s=1.0, both_s=0.6)
    with machine.choice() as threads:
        threads.choose()
        assert machine.train(threads, 50) == 2
        assert machine.num_measured == 2  # once each


def test_one_thread_is_taken_where_threads_wait_for_each_other(
    caplog: pytest.LogCaptureFixture,
) -> None:
    machine = Machine(alone_s=1.0, both_s=7.0)
    with caplog.at_level(logging.WARNING), machine.choice() as threads:
        threads.choose()
        assert torch.get_num_threads() == 1
    assert "1 of 2 CPU threads, measured as 7.0 times as fast" in caplog.text
    assert torch.get_num_threads() == 2  # as before the training


def test_the_choice_follows_the_machine() -> None:
    machine = Machine(alone_s=1.0, both_s=0.6)
    with machine.choice() as threads:
        threads.choose()
        assert machine.train(threads, 50) == 2
        machine.step_s = {1: 1.1, 2: 7.0}  # another program begins
        assert machine.train(threads, 6) == 1
        machine.step_s = {1: 1.0, 2: 0.6}  # and ends
        assert machine.train(threads, 1000) == 2


def test_measuring_costs_little() -> None:
    machine = Machine(alone_s=10.0, both_s=10.0)
    with machine.choice() as threads:
        threads.choose()
        machine.train(threads, 1000)
    assert machine.num_measured * 10 < 0.02 * machine.now


def test_a_fixed_number_is_not_measured() -> None:
    machine = Machine(alone_s=1.0, both_s=7.0)
    with machine.choice(counts=()) as threads:
        threads.choose()
        assert machine.train(threads, 50) == 2
    assert machine.num_measured == 0


def test_a_training_measures_and_gives_the_threads_back(dataset: Path, tmp_path: Path) -> None:
    config = TrainConfig(
        num_blocks=1, ngf=4, ndf=4, d_layers=2, load_px=32, crop_px=32, num_epochs=1,
        num_epochs_decay=0, device="cpu",
    )  # fmt: skip
    assert train(config, dataset, tmp_path / "run").steps == 5
    assert torch.get_num_threads() == 2
