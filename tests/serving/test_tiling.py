"""Whole pictures: tiles leave no seams, sizes are kept, and the work can be stopped."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from scraping.offline.landscapes import draw
from serving.cpu_inference import optimize_for_cpu, shared_statistics
from serving.tiling import (
    Tiling,
    _samples,
    _spans,
    run_tiled,
    translate_whole,
)
from training.data.tensors import to_levels, to_tensor
from training.models.resnet import ResnetGenerator
from training.models.weight_init import init_weights


class Same(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x


class Negative(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return -x


def _generator() -> nn.Module:
    network = ResnetGenerator(1, 8)
    init_weights(network, torch.Generator().manual_seed(3), gain=0.15)
    return optimize_for_cpu(network.eval())


def _picture(height: int, width: int) -> NDArray[np.uint8]:
    """A picture that is dark to the left and bright to the right: instance norm turns it into
    seams."""
    picture = np.tile(draw(4, winter=False), (3, 3, 1))[:height, :width].astype(np.float32)
    return (picture * np.linspace(0.2, 1, width)[None, :, None]).astype(np.uint8)


@pytest.mark.parametrize("size", [(64, 64), (63, 61), (5, 7), (1, 1)])
def test_a_generator_runs_on_any_size(size: tuple[int, int]) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    tiling = Tiling(768, 24, 4)
    assert np.allclose(run_tiled(picture, Same(), tiling), picture, atol=1e-3)
    assert np.allclose(run_tiled(picture, Negative(), tiling), 255.0 - picture, atol=1e-3)


@pytest.mark.parametrize("length", [1, 95, 96, 97, 128, 300, 1000, 1001])
def test_tiles_cover_every_pixel_once_with_a_margin_around(length: int) -> None:
    tiling = Tiling(tile_px=96, margin_px=24)
    spans = _spans(length, tiling)
    used = np.concatenate([np.arange(length)[span.use] for span in spans])
    assert np.array_equal(used, np.arange(length))
    for span in spans:
        assert span.stop - span.start <= tiling.tile_px
        assert span.start == 0 or span.use.start - span.start == tiling.margin_px
        assert span.stop == length or span.stop - span.use.stop == tiling.margin_px


def test_seams_are_no_steeper_than_anything_else() -> None:
    """Measured: the tiled picture against one run with the same statistics; and naive tiles."""
    picture = _picture(256, 384)
    generator, tiling = _generator(), Tiling(tile_px=128, margin_px=24)
    tiled = run_tiled(picture, generator, tiling)
    with torch.inference_mode():
        pieces = to_tensor(_samples(picture, tiling.multiple))
        with shared_statistics(generator, pieces):
            whole = to_levels(generator(to_tensor(picture[None])))[0]
        naive = np.concatenate(
            [
                to_levels(generator(to_tensor(picture[None, :, left : left + 96])))[0]
                for left in range(0, 384, 96)
            ],
            axis=1,
        )
    assert whole.std() > 5
    assert np.abs(tiled - whole).max() < 0.05  # grey levels: nothing of a seam is left

    def step_at(made: NDArray[np.float32], column: int) -> float:
        extra = made - whole
        return float(np.abs(extra[:, column] - extra[:, column - 1]).mean())

    assert max(step_at(naive, column) for column in (96, 192, 288)) > 2  # what it would have been


def test_a_tiled_picture_is_nearly_the_untiled_one() -> None:
    picture = _picture(256, 320)
    generator = _generator()
    tiled = run_tiled(picture, generator, Tiling(tile_px=160, margin_px=24))
    untiled = run_tiled(picture, generator, Tiling(tile_px=512, margin_px=24))
    assert np.abs(tiled - untiled).mean() < 0.03 * untiled.std()


def test_no_change_at_another_working_size_leaves_every_pixel() -> None:
    picture = _picture(120, 200)
    change = translate_whole(picture, Same(), Tiling(768, 24, 4), work_px=64)
    assert change.shape == picture.shape
    assert np.abs(change).max() < 1e-3


def test_the_work_can_be_ended_between_tiles() -> None:
    seen: list[tuple[int, int]] = []

    def step(done: int, total: int) -> None:
        seen.append((done, total))
        if done == 2:
            raise TimeoutError

    with pytest.raises(TimeoutError):
        run_tiled(_picture(200, 200), Same(), Tiling(tile_px=96, margin_px=24), step)
    assert seen == [(1, 16), (2, 16)]


@pytest.mark.parametrize("size", [(1, 1), (2, 1000), (300, 4), (5, 7)])
def test_a_picture_smaller_than_the_network_takes_is_padded(size: tuple[int, int]) -> None:
    picture = _picture(*size)
    change = translate_whole(picture, _generator(), Tiling(), work_px=256)
    assert change.shape == picture.shape
    assert np.isfinite(change).all()
