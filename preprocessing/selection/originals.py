"""All originals of both listings, numbered by age."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from preprocessing.selection.listing import Found

SIDES = "AB"


@dataclass(frozen=True)
class Register:
    """``names`` are sha256 in the order in which the originals were fetched, each one once.

    ``originals`` can be gone through as often as needed.
    """

    originals: Iterable[Found]
    names: list[str]
    number: dict[str, int]  # of a name
    hits: NDArray[np.int32]  # [N, 2], that gave it, on side A and B

    @classmethod
    def of(cls, originals: Iterable[Found]) -> Register:
        """The register of some originals."""
        first = dict[str, str]()
        for original in originals:
            at = min(row.fetched_at for row in original.rows)
            first[original.sha256] = min(at, first.get(original.sha256, at))
        names = sorted(first, key=lambda name: (first[name], name))
        number = {name: k for k, name in enumerate(names)}
        hits = np.zeros((len(names), 2), np.int32)
        for original in originals:
            place = number[original.sha256], SIDES.index(original.side)
            hits[place] += len(original.rows)
        return cls(originals, names, number, hits)
