"""The originals of a crawl's listing, read as often as they are needed and never held whole."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from core.tables import Original, iter_rows


@dataclass(frozen=True)
class Found:
    """An original as one side's listing has it; ``rows`` are the hits that gave its bytes."""

    sha256: str
    side: str
    rows: tuple[Original, ...]


class Listing:
    """The originals of a listing, each one once: it comes with the last hit that gave it.

    Only originals that several hits gave are kept in memory until then.
    """

    def __init__(self, side: str, path: Path) -> None:
        self._side, self._path = side, path
        self._several = _several(path)

    def __iter__(self) -> Iterator[Found]:
        waiting = defaultdict[str, list[Original]](list)
        for row in iter_rows(self._path, Original):
            if row.status != "ok":
                continue
            rows = [row]
            if row.sha256 in self._several:
                waiting[row.sha256].append(row)
                if len(waiting[row.sha256]) < self._several[row.sha256]:
                    continue
                rows = waiting.pop(row.sha256)
            yield Found(row.sha256, self._side, tuple(rows))


@dataclass(frozen=True, slots=True)
class _Hit:
    sha256: str
    status: str


def _several(path: Path) -> dict[str, int]:
    """How many hits gave an original, of those that more than one gave."""
    nums = Counter(hit.sha256 for hit in iter_rows(path, _Hit) if hit.status == "ok")
    return {name: num for name, num in nums.items() if num > 1}
