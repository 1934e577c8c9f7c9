"""The originals of both listings, numbered by age; read in batches, as often as needed."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.tables import Original, iter_rows

SIDES = "AB"


@dataclass(frozen=True)
class ListedOriginal:
    """An original in the listing of one side; ``rows`` are the hits that gave its bytes."""

    sha256: str
    side: str
    rows: tuple[Original, ...]


class Listing:
    """The originals of a listing, each one once, at its last hit.

    Only originals of several hits are kept in memory until then.
    """

    def __init__(self, side: str, path: Path) -> None:
        self._side, self._path = side, path
        self._num_hits = _num_hits_of_repeated(path)

    def __iter__(self) -> Iterator[ListedOriginal]:
        incomplete = defaultdict[str, list[Original]](list)
        for row in iter_rows(self._path, Original):
            if row.status != "ok":
                continue
            rows = [row]
            if row.sha256 in self._num_hits:
                incomplete[row.sha256].append(row)
                if len(incomplete[row.sha256]) < self._num_hits[row.sha256]:
                    continue
                rows = incomplete.pop(row.sha256)
            yield ListedOriginal(row.sha256, self._side, tuple(rows))


@dataclass(frozen=True, slots=True)
class _Hit:
    """Columns of ``Original``."""

    sha256: str
    status: str


def _num_hits_of_repeated(path: Path) -> dict[str, int]:
    """Number of hits of each original that has more than one."""
    num_hits = Counter(hit.sha256 for hit in iter_rows(path, _Hit) if hit.status == "ok")
    return {name: num for name, num in num_hits.items() if num > 1}


@dataclass(frozen=True)
class OriginalIndex:
    """The originals of both sides by number.

    ``names`` are sha256 in the order in which the originals were fetched, each one once;
    ``originals`` can be iterated as often as needed.
    """

    originals: Iterable[ListedOriginal]
    names: list[str]
    number: dict[str, int]  # of a name
    num_hits: NDArray[np.int32]  # [N, 2], that gave it, on side A and B

    @classmethod
    def build(cls, originals: Iterable[ListedOriginal]) -> OriginalIndex:
        """The index of these originals."""
        fetched_at = dict[str, str]()
        for original in originals:
            first = min(row.fetched_at for row in original.rows)
            fetched_at[original.sha256] = min(first, fetched_at.get(original.sha256, first))
        names = sorted(fetched_at, key=lambda name: (fetched_at[name], name))
        number = {name: k for k, name in enumerate(names)}
        num_hits = np.zeros((len(names), 2), np.int32)
        for original in originals:
            place = number[original.sha256], SIDES.index(original.side)
            num_hits[place] += len(original.rows)
        return cls(originals=originals, names=names, number=number, num_hits=num_hits)
