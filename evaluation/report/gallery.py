"""The pictures of the report: drawn at random, the best, the worst, and against the champion."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from core.files import atomic_file
from core.labels.ai_label import AiLabel
from core.tables import Picture
from core.workspace_folders import EvaluationFolder
from evaluation.arrays import Array, Pictures
from evaluation.data.score_parts import GalleryEntry
from evaluation.metrics.true_counterparts import TruthErrors

Columns = Mapping[str, Mapping[int, Pictures]]
"""By column, and by the index of the input: a picture ``[px, px, 3]``."""

# The columns of each kind of gallery; an entry may lack some of them.
_COLUMNS = {
    "random": ("input", "translated", "reconstructed", "truth", "pair"),
    "best": ("input", "translated", "reconstructed", "truth", "pair"),
    "worst": ("input", "translated", "reconstructed", "truth", "pair"),
    "against_random": ("input", "champion", "translated", "truth", "pair"),
    "against_best": ("input", "champion", "translated", "truth", "pair"),
    "against_worst": ("input", "champion", "translated", "truth", "pair"),
    "nearest": ("input", "translated", "training"),
}
_MADE_COLUMNS = {"translated", "reconstructed", "champion"}  # by a model


def gain(before: TruthErrors, after: TruthErrors) -> Array:
    """Share of each picture's error that translation took away: ``[N]``; 1: all, below 0: worse.

    On eyes and lips where a picture has them, else on the whole picture.
    """
    early = np.where(np.isfinite(before.inside), before.inside, before.whole)
    late = np.where(np.isfinite(after.inside), after.inside, after.whole)
    return np.asarray(1 - late / np.maximum(early, 1e-9))


def choose(rank: Array, num: int, seed: int) -> dict[str, list[int]]:
    """Indices for ``random``, ``best`` and ``worst``; best and worst leave out NaN."""
    order = [int(index) for index in np.argsort(-rank, kind="stable") if np.isfinite(rank[index])]
    drawn = np.random.default_rng(seed).permutation(len(rank))[:num]
    return {
        "random": [int(index) for index in drawn],
        "best": order[:num],
        "worst": order[::-1][:num],
    }


def write_gallery(
    folder: Path,
    direction: str,
    rows: Sequence[Picture],
    columns: Columns,
    chosen: Mapping[str, Sequence[int]],
    rank: Array,
) -> dict[str, list[GalleryEntry]]:
    """Rewrite ``gallery/<direction>/*.jpg``; returns the entries of each kind in ``chosen``.

    Removes ``scores.json``, which tells of the former pictures.
    """
    EvaluationFolder(folder).scores.unlink(missing_ok=True)
    target = EvaluationFolder(folder).gallery / direction
    shutil.rmtree(target, ignore_errors=True)

    def file(index: int, column: str) -> str:
        path = target / f"{rows[index].sha256[:16]}-{column}.jpg"
        if not path.exists():
            _write_jpeg(path, columns[column][index], is_made=column in _MADE_COLUMNS)
        return path.relative_to(folder).as_posix()

    def entry(kind: str, index: int) -> GalleryEntry:
        present = [name for name in _COLUMNS[kind] if name in columns and index in columns[name]]
        value = float(rank[index])
        return GalleryEntry(
            value if np.isfinite(value) else None, {name: file(index, name) for name in present}
        )

    return {kind: [entry(kind, index) for index in indices] for kind, indices in chosen.items()}


def _write_jpeg(path: Path, picture: Pictures, *, is_made: bool) -> None:
    """Write ``[H, W, 3]`` as a JPEG at full colour resolution, atomically, labelled if a model made
    it.
    """
    xmp = AiLabel().xmp(picture) if is_made else b""
    with atomic_file(path) as file:
        Image.fromarray(picture).save(file, "JPEG", quality=90, subsampling=0, xmp=xmp)
