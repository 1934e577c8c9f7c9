"""Which picture of the other domain each picture takes its appearance from.

References are not drawn at random: of red lips and pale ones the first then get paler as often as
redder, and a network that learns from such pairs learns to change nothing. They are assigned by
optimal transport: each picture gets one near to itself, and together they have the distribution of
the other domain.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment


def match_references(points: NDArray[np.float64], references: NDArray[np.float64]) -> list[int]:
    """The row of ``references`` ``[M, D]`` for each row of ``points`` ``[N, D]``.

    The sum of the squared distances is the least of all assignments that use no row more than
    ⌈N / M⌉ times. Of more than N references the first N are used, all of them: nearest ones alone
    would not have the distribution of the other domain.
    """
    references = references[: len(points)]
    rows = np.tile(np.arange(len(references)), -(-len(points) // len(references)))
    costs = ((points[:, None] - references[None]) ** 2).sum(axis=2)
    chosen = np.empty(len(points), np.int_)
    numbers, places = linear_sum_assignment(costs[:, rows])
    chosen[numbers] = rows[places]
    return [int(row) for row in chosen]
