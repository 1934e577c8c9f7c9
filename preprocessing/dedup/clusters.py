"""Clusters of near duplicates, which older pictures found and newer ones join."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from preprocessing.dedup.candidates import Pairs, candidates, newer, older
from preprocessing.dedup.hash_columns import Prints

Judge = Callable[[Pairs], NDArray[np.float64]]
"""How alike the pictures of each pair are, ``[P]``: 1 is the same picture."""


@dataclass(frozen=True)
class Match:
    """Two pictures by their numbers, and how alike they are: 1 is the same picture."""

    older: int
    newer: int
    alike: float


@dataclass(frozen=True)
class Clusters:
    """``founder[k]`` is the oldest member of picture k's cluster.

    ``displaced`` were on the other side of the split before a newer picture joined their cluster to
    an older one: they may not be used, for they would change sides.
    """

    founder: NDArray[np.int32]  # [N]
    displaced: set[int]
    doubtful: list[Match]  # nearly alike enough, and in two clusters

    def several(self) -> NDArray[np.bool_]:
        """Of each picture, whether its cluster has others, ``[N]``."""
        num = np.bincount(self.founder, minlength=len(self.founder))
        return np.asarray(num[self.founder] > 1)


def clustered(
    pictures: Prints,
    held_out: Callable[[int], bool],
    judge: Judge,
    *,
    bits: int,
    alike: float,
    doubtful: float,
) -> Clusters:
    """Cluster pictures that are numbered in order of age, the oldest first.

    A cluster is on the side of its founder, so newer pictures change nothing about older ones: the
    clusters of the first n pictures, and their sides, are what they were when there were only n.
    ``held_out(k)`` says on which side of the split picture k is as a founder; ``judge`` says of all
    pairs how alike they are.
    """
    pairs = candidates(pictures, bits)
    told = judge(pairs)
    near = told >= doubtful
    pairs, told = pairs[near], told[near]
    growth = _Growth(len(pictures), held_out)
    doubts = list[Match]()
    rows = zip(newer(pairs).tolist(), older(pairs).tolist(), told.tolist(), strict=True)
    for one, matches in itertools.groupby(rows, key=lambda row: row[0]):
        touched = set[int]()
        for _, other, found in matches:
            root = int(growth.founder[other])
            if root in touched:
                continue
            if found >= alike:
                touched.add(root)
            else:
                doubts.append(Match(other, one, found))
        growth.join(one, sorted(touched))
    founder = growth.founder
    best: dict[tuple[int, int], Match] = {}
    for match in sorted(doubts, key=lambda match: match.alike):
        if founder[match.older] != founder[match.newer]:
            best[int(founder[match.older]), int(founder[match.newer])] = match
    return Clusters(founder, growth.displaced, list(best.values()))


class _Growth:
    """Clusters as they grow, picture by picture in order of age."""

    def __init__(self, num: int, held_out: Callable[[int], bool]) -> None:
        self.founder = np.arange(num, dtype=np.int32)
        self.displaced = set[int]()
        self._members: dict[int, list[int]] = {}  # of clusters that have more than their founder
        self._held_out = held_out

    def join(self, newer: int, roots: list[int]) -> None:
        """``newer`` resembles members of the clusters ``roots`` (oldest first): all become one."""
        if not roots:
            return
        oldest, *others = roots
        for root in others:
            if self._held_out(root) != self._held_out(oldest):
                self.displaced.update(self._members.get(root, [root]))
        joining = [k for root in (*others, newer) for k in self._members.pop(root, [root])]
        self._members.setdefault(oldest, [oldest]).extend(joining)
        self.founder[joining] = oldest
