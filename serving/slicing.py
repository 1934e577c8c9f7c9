"""Translations at a photograph's own resolution, by generators that can be sliced.

The generator sees a small view (the whole picture, or the crop of a face) and predicts a grid from
it; then every pixel of the photograph takes its change from the grid by itself. So there are no
tiles, no change is enlarged, and edges stay as sharp as the photograph has them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from preprocessing.analysis.face_detector import Face
from preprocessing.config import PrepareConfig
from preprocessing.images import geometry
from serving.blending import covered_box, crop_face, face_cast, face_mask
from serving.tiling import Step, no_step
from training.config import TrainConfig
from training.data.tensors import to_levels, to_tensor
from training.models.architecture import SliceableGenerator, pixel_places
from training.models.factory import architecture_of

_PIXELS_PER_BAND = 2**14  # of the rows that are computed at a time; few enough for a CPU's cache
_MOST_ELONGATED = 8  # sides of a view; a longer picture is squeezed


class Slicer:
    """A generator, and the size of the views that it was trained on."""

    def __init__(
        self, generator: SliceableGenerator, config: TrainConfig, prepare: PrepareConfig
    ) -> None:
        self._generator, self._prepare = generator, prepare
        self._view_px = config.crop_px
        self._multiple = architecture_of(config).multiple

    @torch.inference_mode()
    def slice_whole(
        self, picture: NDArray[np.uint8], strength: float = 1.0, step: Step = no_step
    ) -> NDArray[np.uint8]:
        """The translation of ``picture`` ``[H, W, 3]`` uint8, at its own size.

        The shorter side of the view is as long as the crops of training. ``step`` is called after
        each part.
        """
        height, width = picture.shape[:2]
        grid = self._generator.predict_grid(to_tensor(self._view(picture)[None]))
        to_view = np.array([[1 / width, 0, 0], [0, 1 / height, 0]])
        result = np.empty_like(picture)

        def translate_rows(rows: slice) -> None:
            before = picture[rows]
            places = _places(to_view, rows, slice(0, width))
            result[rows] = _add(before, strength * self._change(grid, before, places))

        _in_parallel(translate_rows, _bands(0, height, width), step)
        return result

    @torch.inference_mode()
    def slice_faces(
        self,
        photo: NDArray[np.uint8],
        faces: Sequence[Face],
        strengths: Sequence[float],
        step: Step = no_step,
    ) -> NDArray[np.uint8]:
        """A copy of ``photo`` ``[H, W, 3]`` uint8 with its ``faces`` translated.

        ``strengths`` has one for each of them, and ``step`` is called after each.
        """
        prepare, result = self._prepare, photo.copy()
        side = prepare.crop_px
        for number, (face, strength) in enumerate(zip(faces, strengths, strict=True), start=1):
            transform = geometry.eye_transform(
                face.keypoints, side, prepare.eye_distance, prepare.eye_height
            )
            mask = face_mask(geometry.apply(transform, face.keypoints), side)
            self._slice_face(result, crop_face(photo, transform, side), transform, mask, strength)
            step(number, len(faces))
        return result

    def _slice_face(
        self,
        photo: NDArray[np.uint8],
        crop: NDArray[np.uint8],
        transform: geometry.Transform,
        mask: NDArray[np.float32],
        strength: float,
    ) -> None:
        """Translate ``photo`` in place, as far as ``mask`` ``[C, C]`` is above 0.

        ``transform`` maps its pixels to those of ``crop`` ``[C, C, 3]``. The cast that the
        generator leaves on the crop is removed as in ``blending.face_change``.
        """
        side, padding = crop.shape[0], -crop.shape[0] % self._multiple
        view = np.pad(crop, ((0, padding), (0, padding), (0, 0)), mode="symmetric")
        x = to_tensor(view[None])
        grid = self._generator.predict_grid(x)
        after = to_levels(self._generator.slice(grid, x, pixel_places(x)))[0, :side, :side]
        layers = np.dstack([mask, face_cast(after - crop, 1 - mask)])

        left, top, right, bottom = covered_box(transform, side, *photo.shape[:2])
        columns = slice(left, right)

        def translate_rows(rows: slice) -> None:
            before = photo[rows, columns]
            places = _places(transform / side, rows, columns)  # in the crop
            sampled = _sample(layers, places)
            change = self._change(grid, before, places * (side / (side + padding)))
            change = (change - sampled[..., 1:]) * sampled[..., :1]
            photo[rows, columns] = _add(before, strength * change)

        _in_parallel(translate_rows, _bands(top, bottom, right - left), no_step)

    def _view(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The whole picture, as small as the generator sees it."""
        height, width = picture.shape[:2]
        shorter = min(height, width)
        view_height, view_width = (
            round(min(length / shorter, _MOST_ELONGATED) * self._view_px / self._multiple)
            * self._multiple
            for length in (height, width)
        )
        is_smaller = view_height <= height and view_width <= width
        interpolation = cv2.INTER_AREA if is_smaller else cv2.INTER_LINEAR
        view = cv2.resize(picture, (view_width, view_height), interpolation=interpolation)
        return np.asarray(view, np.uint8)

    def _change(
        self, grid: Tensor, pixels: NDArray[np.uint8], places: Tensor
    ) -> NDArray[np.float32]:
        """What the generator adds to ``pixels`` ``[h, w, 3]``, in grey levels."""
        x = torch.from_numpy(np.array(pixels.transpose(2, 0, 1), order="C"))[None]
        x = x.float().div_(127.5).sub_(1)
        change = (self._generator.slice(grid, x, places) - x).mul_(127.5)
        return np.asarray(change[0].permute(1, 2, 0).numpy(), np.float32)


def _in_parallel(work: Callable[[slice], None], bands: Iterator[slice], step: Step) -> None:
    """Call ``work`` for each band, as many at a time as torch has threads, and ``step`` after each.

    Each thread computes its band alone. torch's own threads would wait for each other at the end
    of every small operation, which on a busy machine takes many times as long as the operations.
    """
    num_threads = torch.get_num_threads()

    def run(rows: slice) -> None:
        with torch.inference_mode():
            work(rows)

    with ThreadPoolExecutor(num_threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        futures = [pool.submit(run, rows) for rows in bands]
        try:
            for number, future in enumerate(futures, start=1):
                future.result()
                step(number, len(futures))
        finally:
            pool.shutdown(cancel_futures=True)
            torch.set_num_threads(num_threads)  # the threads' setting counts for later ones, too


def _bands(first: int, stop: int, width: int) -> Iterator[slice]:
    """Rows ``first`` to ``stop`` of a window, in order, a few at a time; none of an empty one."""
    if width <= 0:
        return
    num_rows = max(1, _PIXELS_PER_BAND // width)
    for top in range(first, stop, num_rows):
        yield slice(top, min(stop, top + num_rows))


def _places(matrix: NDArray[np.float64], rows: slice, columns: slice) -> Tensor:
    """Centres of a window's pixels through the affine ``matrix`` ``[2, 3]``: ``[1, h, w, 2]``."""
    x = torch.arange(columns.start, columns.stop, dtype=torch.float64) + 0.5
    y = torch.arange(rows.start, rows.stop, dtype=torch.float64)[:, None] + 0.5
    axes = [float(a) * x + (float(b) * y + float(c)) for a, b, c in matrix]
    return torch.stack(axes, dim=-1).float()[None]


def _sample(layers: NDArray[np.float32], places: Tensor) -> NDArray[np.float32]:
    """Bilinear samples of ``[C, C, K]`` at ``[1, h, w, 2]``: ``[h, w, K]``; 0 outside."""
    picture = torch.from_numpy(layers).permute(2, 0, 1)[None]
    sampled = F.grid_sample(picture, 2 * places - 1, align_corners=False)
    return np.asarray(sampled[0].permute(1, 2, 0).numpy(), np.float32)


def _add(pixels: NDArray[np.uint8], change: NDArray[np.float32]) -> NDArray[np.uint8]:
    return np.asarray(np.clip(np.rint(pixels + change), 0, 255), np.uint8)
