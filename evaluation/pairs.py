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

from evaluation.config import EvaluateConfig
from evaluation.metrics import mean_figure, reduction_figure
from evaluation.preservation import similarity
from evaluation.regions import REGIONS
from scraping.records import Picture, file_sha256

Array = NDArray[np.float64]

LEAST_PAIRS = 5


@dataclass(frozen=True)
class Pairs:
    """Test picture ``inputs[i]`` (an index) shows what the picture ``rows[i]`` shows."""

    inputs: list[int]
    rows: list[Picture]


def load_pairs(path: Path) -> dict[str, list[str]]:
    """sha256 of a file → those of its counterparts, from a CSV file with the columns ``a``, ``b``.

    Paths in it are relative to its folder. Raises ``ValueError`` for another format, and for a
    file that is missing or outside that folder.
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
    root = path.parent.resolve()
    digests: dict[str, str] = {}
    for name in {name for row in rows for name in row}:
        file_ = (root / (name or "")).resolve()
        if not file_.is_relative_to(root) or not file_.is_file():
            raise ValueError(f"evaluate.pairs: {path} names {name!r}, no file inside {root}")
        digests[name] = file_sha256(file_)
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


def pair_scores(
    config: EvaluateConfig,
    features: tuple[Array, Array, Array],
    contrasts: tuple[Mapping[str, Array], Mapping[str, Array], Mapping[str, Array]] | None,
) -> dict[str, Any]:
    """Figures of paired pictures; each tuple is (translated, untranslated, true counterparts).

    ``pair_content`` is the similarity of content to the true counterpart, beside that of the input
    and that of another counterpart. ``pair_<region>_colour`` is the difference ΔE between contrasts
    (``regions.contrasts``) and those of the counterpart; ``…_reduction`` how much of it went away.
    """
    num, seed = config.num_bootstrap, config.seed
    translated, untranslated, true = features
    if len(true) < LEAST_PAIRS:
        return {}
    alike = similarity(untranslated, true)
    others = (alike.sum(axis=1) - np.diagonal(alike)) / (len(alike) - 1)
    found: dict[str, Any] = {
        "num_pairs": len(true),
        "pair_content": asdict(
            mean_figure(np.diagonal(similarity(translated, true)).copy(), num, seed)
        ),
        "pair_content_baseline": asdict(mean_figure(np.diagonal(alike).copy(), num, seed)),
        "pair_content_ceiling": asdict(mean_figure(others, num, seed)),
    }
    for name in REGIONS if contrasts else ():
        assert contrasts is not None
        after, before, real = (points[name] for points in contrasts)
        late, early = np.linalg.norm(after - real, axis=1), np.linalg.norm(before - real, axis=1)
        seen = np.isfinite(late) & np.isfinite(early)
        if seen.sum() < LEAST_PAIRS:
            continue
        other = np.linalg.norm(np.roll(real, 1, axis=0) - real, axis=1)
        found |= {
            f"pair_{name}_colour": asdict(mean_figure(late[seen], num, seed)),
            f"pair_{name}_colour_baseline": asdict(mean_figure(early[seen], num, seed)),
            f"pair_{name}_colour_ceiling": asdict(
                mean_figure(other[np.isfinite(other)], num, seed)
            ),
            f"pair_{name}_reduction": asdict(reduction_figure(late[seen], early[seen], num, seed)),
        }
    return found
