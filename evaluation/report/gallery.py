"""The pictures that the report shows: drawn at random, best, worst, and against the champion."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.tables import Picture
from evaluation.data.translations import write_jpeg
from evaluation.metrics.true_counterparts import TruthErrors

Array = NDArray[np.float64]
Columns = Mapping[str, Mapping[int, NDArray[np.uint8]]]  # name → index of the input → picture

# The columns of each kind of gallery; those that a picture lacks are left out.
_COLUMNS = {
    "random": ("input", "translated", "reconstructed", "truth", "pair"),
    "best": ("input", "translated", "reconstructed", "truth", "pair"),
    "worst": ("input", "translated", "reconstructed", "truth", "pair"),
    "against_random": ("input", "champion", "translated", "truth", "pair"),
    "against_best": ("input", "champion", "translated", "truth", "pair"),
    "against_worst": ("input", "champion", "translated", "truth", "pair"),
    "nearest": ("input", "translated", "training"),
}


def gain(before: TruthErrors, after: TruthErrors) -> Array:
    """Share of each picture's error that translation took away: ``[N]``; 1 all, below 0 worse.

    On eyes and lips where a picture has them, else on the whole picture.
    """
    early = np.where(np.isfinite(before.inside), before.inside, before.whole)
    late = np.where(np.isfinite(after.inside), after.inside, after.whole)
    return np.asarray(1 - late / np.maximum(early, 1e-9))


def choose(rank: Array, num: int, seed: int) -> dict[str, list[int]]:
    """Indices for ``random``, ``best`` and ``worst``; those without a rank (NaN) are in neither."""
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
) -> dict[str, list[dict[str, Any]]]:
    """Write ``folder/gallery/<direction>/*.jpg`` anew; the entries of each kind in ``chosen``.

    An entry has ``rank`` (or ``None``) and, by the name of the column, files relative to
    ``folder``.
    """
    target = folder / "gallery" / direction
    shutil.rmtree(target, ignore_errors=True)

    def file(index: int, column: str) -> str:
        path = target / f"{rows[index].sha256[:16]}-{column}.jpg"
        if not path.exists():
            write_jpeg(path, columns[column][index])
        return path.relative_to(folder).as_posix()

    def entry(kind: str, index: int) -> dict[str, Any]:
        present = [name for name in _COLUMNS[kind] if name in columns and index in columns[name]]
        value = float(rank[index])
        shown = {name: file(index, name) for name in present}
        return {"rank": value if np.isfinite(value) else None} | shown

    return {kind: [entry(kind, index) for index in indices] for kind, indices in chosen.items()}
