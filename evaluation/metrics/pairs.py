"""Known pairs that do not align: two photographs of one person, say, one in each domain.

Pixels of such a pair cannot be compared; colours of face regions and features can. Pairs are for
evaluation alone: training never sees which pictures belong together.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.files import file_sha256
from core.tables import Picture
from evaluation.config import EvaluateConfig
from evaluation.metrics.intervals import mean_figure, reduction_figure
from evaluation.metrics.preservation import similarity
from evaluation.metrics.regions import REGIONS

Array = NDArray[np.float64]

LEAST_PAIRS = 5


@dataclass(frozen=True)
class Pairs:
    """Test picture ``inputs[i]`` (an index) shows what the picture ``rows[i]`` shows."""

    inputs: list[int]
    rows: list[Picture]


def load_pairs(path: Path) -> dict[str, list[str]]:
    """sha256 of a file → those of its counterparts, from a CSV file with the columns ``a``, ``b``.

    Paths in it are relative to its folder; the files are read for their digests alone. Raises
    ``ValueError`` for another format, and for a file that is missing.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            columns = reader.fieldnames or []
            if not {"a", "b"} <= set(columns):
                raise ValueError(
                    f"evaluate.pairs: {path} has the columns {list(columns)}, needed a and b: the "
                    "files of a picture of each domain that belong together"
                )
            rows = [(row["a"], row["b"]) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"evaluate.pairs: cannot read {path} as CSV: {error}") from error
    digests: dict[str, str] = {}
    for name in {name for row in rows for name in row}:
        try:
            digests[name] = file_sha256(path.parent / (name or ""))
        except OSError as error:
            raise ValueError(f"evaluate.pairs: {path} names {name!r}: {error}") from error
    found: dict[str, list[str]] = {}
    for a, b in rows:
        found.setdefault(digests[a], []).append(digests[b])
        found.setdefault(digests[b], []).append(digests[a])
    return found


def match(
    rows: Sequence[Picture], others: Sequence[Picture], counterparts: Mapping[str, Sequence[str]]
) -> Pairs:
    """The test pictures ``rows`` with a counterpart among ``others`` (of the target, any split)."""
    by_digest = {row.sha256: row for row in others}
    inputs, found = [], []
    for index, row in enumerate(rows):
        known = [name for name in counterparts.get(row.sha256, ()) if name in by_digest]
        if known:
            inputs.append(index)
            found.append(by_digest[min(known)])
    return Pairs(inputs, found)


@dataclass(frozen=True)
class Sight:
    """What is compared of paired pictures, row by row."""

    features: Array  # [N, D]
    contrasts: Mapping[str, Array]  # of each region, [N, 3], NaN without a face
    embeddings: Array | None  # [N, 128], NaN without a face


def pair_scores(
    config: EvaluateConfig, translated: Sight, untranslated: Sight, true: Sight
) -> dict[str, Any]:
    """Figures of paired pictures; the ceiling compares another picture's counterpart.

    ``pair_content`` is the similarity of content to the true counterpart, ``pair_identity`` the
    distance of face embeddings. ``pair_<region>_colour`` is the difference ΔE between contrasts
    (``regions.contrasts``) and those of the counterpart; ``…_reduction`` how much of it went away.
    """
    num, seed = config.num_bootstrap, config.seed
    if len(true.features) < LEAST_PAIRS:
        return {}
    alike = similarity(untranslated.features, true.features)
    others = (alike.sum(axis=1) - np.diagonal(alike)) / (len(alike) - 1)
    content = np.diagonal(similarity(translated.features, true.features)).copy()
    found: dict[str, Any] = {
        "num_pairs": len(alike),
        "pair_content": asdict(mean_figure(content, num, seed)),
        "pair_content_baseline": asdict(mean_figure(np.diagonal(alike).copy(), num, seed)),
        "pair_content_ceiling": asdict(mean_figure(others, num, seed)),
    }
    for name in REGIONS:
        points = (sight.contrasts[name] for sight in (translated, untranslated, true))
        figures, late, early = _distances(config, f"pair_{name}_colour", *points)
        if figures:
            reduction = reduction_figure(late, early, num, seed)
            found |= figures | {f"pair_{name}_reduction": asdict(reduction)}
    embedded = (translated.embeddings, untranslated.embeddings, true.embeddings)
    if all(points is not None for points in embedded):
        found |= _distances(config, "pair_identity", *embedded)[0]
    return found


def _distances(
    config: EvaluateConfig, name: str, after: Any, before: Any, real: Any
) -> tuple[dict[str, Any], Array, Array]:
    """Mean distance of points ``[N, D]`` to the real ones, with floor and ceiling, and each one's
    distance after and before; nothing for too few.
    """
    seen = np.isfinite(np.hstack([after, before, real])).all(axis=1)
    after, before, real = after[seen], before[seen], real[seen]
    late, early = np.linalg.norm(after - real, axis=1), np.linalg.norm(before - real, axis=1)
    if len(real) < LEAST_PAIRS:
        return {}, late, early
    other = np.linalg.norm(np.roll(real, 1, axis=0) - before, axis=1)
    distances = {name: late, f"{name}_baseline": early, f"{name}_ceiling": other}
    figures = {
        key: asdict(mean_figure(values, config.num_bootstrap, config.seed))
        for key, values in distances.items()
    }
    return figures, late, early
