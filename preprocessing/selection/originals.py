"""The originals of both listings, numbered by age; read in batches, as often as needed."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.tables import Original, iter_rows
from preprocessing.selection.collage_parts import part_names

SIDES = "AB"


@dataclass(frozen=True)
class ListedOriginal:
    """An original in the listing of one side, or a part of one, which then has a name in place of
    a sha256; ``rows`` are the hits that gave its bytes.
    """

    sha256: str
    side: str
    rows: tuple[Original, ...]
    part_of: str = ""  # sha256 of the collage


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
class _WithParts:
    """The originals, each of ``split`` followed by its parts, as often as needed."""

    originals: Iterable[ListedOriginal]
    split: frozenset[str]

    def __iter__(self) -> Iterator[ListedOriginal]:
        for original in self.originals:
            yield original
            if original.sha256 in self.split:
                for name in part_names(original.sha256):
                    yield ListedOriginal(name, original.side, original.rows, original.sha256)


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
    collage: Mapping[str, str] = field(default_factory=dict)  # of each part, by their names

    def is_split(self, name: str) -> bool:
        """Whether the original is a collage whose parts are listed beside it."""
        return part_names(name)[0] in self.collage if self.collage else False

    def original(self, name: str) -> str:
        """The sha256 of the file: of a part that of its collage."""
        return self.collage.get(name, name)

    def with_parts(self, split: Iterable[str]) -> OriginalIndex:
        """The index in which these originals are followed by their parts."""
        collage = {part: name for name in split for part in part_names(name)}
        if not collage:
            return self
        index = OriginalIndex.build(_WithParts(self.originals, frozenset(collage.values())))
        return replace(index, collage=collage)

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
