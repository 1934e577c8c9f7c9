"""Known pairs that are not aligned, such as two photographs of one person, one in each domain.

Pixels of such a pair cannot be compared, but colours of face regions and features can. Pairs are
for evaluation only: training never knows which pictures belong together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.files import file_sha256
from core.language.messages import localised
from core.tables import Picture, csv_cells, csv_lines, csv_separator
from evaluation.arrays import Array
from evaluation.config import EvaluateConfig
from evaluation.data.score_parts import PairScores
from evaluation.figures import Figures
from evaluation.metrics.intervals import mean_figure, reduction_figure
from evaluation.metrics.preservation import similarity
from preprocessing.analysis.face_regions import REGIONS

LEAST_PAIRS = 5
_MAX_QUOTED = 100  # characters of a line in a message


@dataclass(frozen=True)
class Pairs:
    """Pairs: test picture ``inputs[i]`` (an index) and the picture ``rows[i]`` show the same."""

    inputs: list[int]
    rows: list[Picture]


def load_pairs(path: Path) -> dict[str, list[str]]:
    """sha256 of a file → those of its counterparts, from a CSV file with the columns ``a``, ``b``.

    Every form of CSV that overrides may have is read (``core.tables``). Paths in it are relative to
    its folder; the files are read only for their digests. Raises ``ValueError`` for another format,
    and for a file that is missing.
    """
    rows = _read_pairs(path)
    digests: dict[str, str] = {}
    for name in {name for row in rows for name in row}:
        try:
            digests[name] = file_sha256(path.parent / name)
        except (OSError, ValueError) as error:
            raise ValueError(
                localised(
                    "evaluate.pairs: {path} names the picture {name!r}: {error}",
                    path=path,
                    name=name,
                    error=error,
                )
            ) from error
    counterparts: dict[str, list[str]] = {}
    for a, b in rows:
        counterparts.setdefault(digests[a], []).append(digests[b])
        counterparts.setdefault(digests[b], []).append(digests[a])
    return counterparts


def _read_pairs(path: Path) -> list[tuple[str, str]]:
    try:
        lines = list(csv_lines(path.read_bytes()))
    except OSError as error:
        raise ValueError(
            localised("evaluate.pairs: cannot read {path}: {error}", path=path, error=error)
        ) from error
    lines = [(number, line) for number, line in lines if not line.startswith("#")]
    heading = lines[0][1] if lines else ""
    separator = csv_separator(heading)
    columns = [cell.lower() for cell in csv_cells(heading, separator)]
    if not {"a", "b"} <= set(columns):
        raise ValueError(
            localised(
                "evaluate.pairs: {path} has the columns {columns}, needed a and b: the files "
                "of a picture of each domain that belong together",
                path=path,
                columns=columns,
            )
        )
    rows = []
    for number, line in lines[1:]:
        row = dict(zip(columns, csv_cells(line, separator), strict=False))
        if not (row.get("a") and row.get("b")):
            raise ValueError(
                localised(
                    "evaluate.pairs: {path}, line {number}: got {line!r}, needed the files a and b",
                    path=path,
                    number=number,
                    line=line[:_MAX_QUOTED],
                )
            )
        rows.append((row["a"], row["b"]))
    return rows


def match(
    rows: Sequence[Picture],
    candidates: Sequence[Picture],
    counterparts: Mapping[str, Sequence[str]],
) -> Pairs:
    """The test pictures ``rows`` with a counterpart among ``candidates``, the target's pictures."""
    by_digest = {row.sha256: row for row in candidates}
    inputs, matches = [], []
    for index, row in enumerate(rows):
        present = [sha256 for sha256 in counterparts.get(row.sha256, ()) if sha256 in by_digest]
        if present:
            inputs.append(index)
            matches.append(by_digest[min(present)])
    return Pairs(inputs, matches)


@dataclass(frozen=True)
class PairFeatures:
    """Features of paired pictures, row by row."""

    features: Array  # [N, D]
    contrasts: Mapping[str, Array]  # of each region, [N, 3], NaN without a face
    embeddings: Array | None  # [N, 128], NaN without a face


def pair_scores(
    config: EvaluateConfig, translated: PairFeatures, untranslated: PairFeatures, true: PairFeatures
) -> PairScores | None:
    """Figures of paired pictures, ``None`` for less than five pairs.

    The ceiling compares with the counterpart of another picture.

    ``pair_content`` is the similarity of content to the true counterpart, ``pair_identity`` the
    distance of face embeddings. ``pair_<region>_colour`` is the difference ΔE between contrasts
    (``regions.contrasts``) and those of the counterpart; ``…_reduction`` is the share of it that
    translation removed.
    """
    num, seed = config.num_bootstrap, config.seed
    if len(true.features) < LEAST_PAIRS:
        return None
    baseline = similarity(untranslated.features, true.features)
    ceiling = (baseline.sum(axis=1) - np.diagonal(baseline)) / (len(baseline) - 1)
    content = np.diagonal(similarity(translated.features, true.features)).copy()
    figures: Figures = {
        "pair_content": mean_figure(content, num, seed),
        "pair_content_baseline": mean_figure(np.diagonal(baseline).copy(), num, seed),
        "pair_content_ceiling": mean_figure(ceiling, num, seed),
    }
    for name in REGIONS:
        points = (features.contrasts[name] for features in (translated, untranslated, true))
        colours, late, early = _distances(config, f"pair_{name}_colour", *points)
        if colours:
            reduction = reduction_figure(late, early, num, seed)
            figures |= colours | {f"pair_{name}_reduction": reduction}
    after, before, real = translated.embeddings, untranslated.embeddings, true.embeddings
    if after is not None and before is not None and real is not None:
        figures |= _distances(config, "pair_identity", after, before, real)[0]
    return PairScores(len(baseline), figures)


def _distances(
    config: EvaluateConfig, name: str, after: Array, before: Array, real: Array
) -> tuple[Figures, Array, Array]:
    """Mean distance of points ``[N, D]`` to the real ones, with floor and ceiling (none for too
    few), and the distance of each point after and before translation.
    """
    finite = np.isfinite(np.hstack([after, before, real])).all(axis=1)
    after, before, real = after[finite], before[finite], real[finite]
    late, early = np.linalg.norm(after - real, axis=1), np.linalg.norm(before - real, axis=1)
    if len(real) < LEAST_PAIRS:
        return {}, late, early
    other = np.linalg.norm(np.roll(real, 1, axis=0) - before, axis=1)
    distances = {name: late, f"{name}_baseline": early, f"{name}_ceiling": other}
    figures: Figures = {
        key: mean_figure(values, config.num_bootstrap, config.seed)
        for key, values in distances.items()
    }
    return figures, late, early
