"""The pictures that the report shows: drawn at random, and the best and worst of all."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluation.config import EvaluateConfig
from evaluation.direction import Translations, Truths
from evaluation.pictures import write_jpeg
from evaluation.truth import TruthErrors

Array = NDArray[np.float64]


def gain(before: TruthErrors, after: TruthErrors) -> Array:
    """Share of each picture's error that translation took away: ``[N]``; 1 all, below 0 worse.

    On eyes and lips where a picture has them, else on the whole picture.
    """
    early = np.where(np.isfinite(before.inside), before.inside, before.whole)
    late = np.where(np.isfinite(after.inside), after.inside, after.whole)
    return np.asarray(1 - late / np.maximum(early, 1e-9))


def choose(rank: Array, num: int, seed: int) -> dict[str, list[int]]:
    """Indices for ``random``, ``best`` and ``worst``; those without a rank (NaN) come last."""
    order = [int(index) for index in np.argsort(-rank, kind="stable") if np.isfinite(rank[index])]
    drawn = np.random.default_rng(seed).permutation(len(rank))[:num]
    return {
        "random": [int(index) for index in drawn],
        "best": order[:num],
        "worst": order[::-1][:num],
    }


def write_gallery(
    config: EvaluateConfig,
    folder: Path,
    direction: str,
    done: Translations,
    truths: Truths | None,
    rank: Array,
) -> dict[str, list[dict[str, Any]]]:
    """Write ``folder/gallery/<direction>/*.jpg``; entries by kind, with paths in ``folder``.

    An entry has ``rank`` (or ``None``) and the files ``input``, ``translated``, ``reconstructed``
    and, where known, ``truth``.
    """
    target = folder / "gallery" / direction
    shutil.rmtree(target, ignore_errors=True)
    truth_of = dict(zip(truths.indices, truths.pictures, strict=True)) if truths else {}
    entries: dict[int, dict[str, Any]] = {}

    def entry(index: int) -> dict[str, Any]:
        if index not in entries:
            shown = {
                "input": done.inputs[index],
                "translated": done.translated[index],
                "reconstructed": done.reconstructed[index],
            }
            if index in truth_of:
                shown["truth"] = truth_of[index]
            files = {}
            for name, picture in shown.items():
                path = target / f"{done.rows[index].sha256[:16]}-{name}.jpg"
                write_jpeg(path, picture)
                files[name] = path.relative_to(folder).as_posix()
            value = float(rank[index])
            entries[index] = {"rank": value if np.isfinite(value) else None} | files
        return entries[index]

    chosen = choose(rank, config.num_gallery, config.seed)
    return {kind: [entry(index) for index in indices] for kind, indices in chosen.items()}
