"""Incremental near-duplicate clustering: the oldest picture defines a cluster, newer ones join."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from preprocessing.dedup.candidates import (
    HashColumns,
    Pairs,
    find_candidates,
    newer_pictures,
    older_pictures,
)

ComparePairs = Callable[[Pairs], NDArray[np.float64]]
"""The similarity of each pair, ``[P]``: 1 is the same picture."""


@dataclass(frozen=True)
class Match:
    """Two pictures by their numbers, and their similarity: 1 is the same picture."""

    older: int
    newer: int
    similarity: float


@dataclass(frozen=True)
class Clusters:
    """``founder[k]`` is the oldest member of picture k's cluster.

    The ``displaced`` pictures were on the other side of the split before a newer picture joined
    their cluster to an older one. They must not be used, because they would change sides.
    """

    founder: NDArray[np.int32]  # [N]
    displaced: set[int]
    doubtful: list[Match]  # pictures of two clusters, nearly similar enough to be duplicates

    def has_several_members(self) -> NDArray[np.bool_]:
        """Whether the cluster of each picture has more than one member, ``[N]``."""
        num = np.bincount(self.founder, minlength=len(self.founder))
        return np.asarray(num[self.founder] > 1)


@dataclass(frozen=True)
class Differences:
    """A person's decisions that pictures, by their numbers, are no copies of each other."""

    counterparts: Mapping[int, frozenset[int]] = field(default_factory=dict)  # of both in a pair
    alone: frozenset[int] = frozenset()  # no copies of any picture

    def forbid(self, first: Iterable[int], second: Iterable[int]) -> bool:
        """Whether these two groups of pictures may not share a cluster."""
        first, second = set(first), set(second)
        if not self.alone.isdisjoint(first | second):
            return True
        return any(not second.isdisjoint(self.counterparts.get(k, ())) for k in first)


NO_DIFFERENCES = Differences()


def build_clusters(
    pictures: HashColumns,
    is_held_out: Callable[[int], bool],
    compare: ComparePairs,
    *,
    bits: int,
    min_similarity: float,
    min_doubtful: float,
    differences: Differences = NO_DIFFERENCES,
) -> Clusters:
    """The clusters of pictures that are numbered by age, the oldest first.

    A cluster is on the side of its founder. Newer pictures therefore change nothing about older
    ones: the first n pictures have the clusters and sides that they had when there were only n.
    ``is_held_out(k)`` says on which side of the split picture k is as a founder. Pairs within
    ``bits`` bits are compared; those with a similarity of ``min_similarity`` or more share a
    cluster, those with ``min_doubtful`` or more are listed as doubtful. Pictures that
    ``differences`` keeps apart share none, even if a third picture resembles both: that one joins
    the cluster of the picture that it resembles most.
    """
    pairs = find_candidates(pictures, bits)
    similarity = compare(pairs)
    near = similarity >= min_doubtful
    pairs, similarity = pairs[near], similarity[near]
    growth = _GrowingClusters(len(pictures), is_held_out, differences)
    doubts = list[Match]()
    matches = map(
        Match, older_pictures(pairs).tolist(), newer_pictures(pairs).tolist(), similarity.tolist()
    )
    for picture, of_picture in itertools.groupby(matches, key=lambda match: match.newer):
        similarities = dict[int, float]()  # by founder, of the most similar member
        for match in of_picture:
            founder = int(growth.founder[match.older])
            if match.similarity >= min_similarity:
                similarities[founder] = max(match.similarity, similarities.get(founder, 0.0))
            elif not differences.forbid([match.older], [match.newer]):
                doubts.append(match)
        growth.join(picture, sorted(similarities, key=lambda k: (-similarities[k], k)))
    return Clusters(growth.founder, growth.displaced, _between_clusters(doubts, growth.founder))


def _between_clusters(doubts: list[Match], founder: NDArray[np.int32]) -> list[Match]:
    """The match with the greatest similarity of each two clusters."""
    best: dict[tuple[int, int], Match] = {}
    for match in sorted(doubts, key=lambda match: match.similarity):
        if founder[match.older] != founder[match.newer]:
            best[int(founder[match.older]), int(founder[match.newer])] = match
    return list(best.values())


class _GrowingClusters:
    """Clusters that grow picture by picture, in order of age."""

    def __init__(
        self, num: int, is_held_out: Callable[[int], bool], differences: Differences
    ) -> None:
        self.founder = np.arange(num, dtype=np.int32)
        self.displaced = set[int]()
        self._members: dict[int, list[int]] = {}  # of clusters that have more than their founder
        self._is_held_out = is_held_out
        self._differences = differences

    def join(self, newer: int, founders: list[int]) -> None:
        """Join ``newer`` and the clusters of ``founders`` to one cluster.

        Clusters that may not share one are left out, except the first of them.
        """
        joining = [newer]
        chosen = list[int]()
        for founder in founders:
            members = self._members.get(founder, [founder])
            if not self._differences.forbid(members, joining):
                chosen.append(founder)
                joining += members
        if not chosen:
            return
        oldest, *younger = sorted(chosen)
        for founder in younger:
            if self._is_held_out(founder) != self._is_held_out(oldest):
                self.displaced.update(self._members.get(founder, [founder]))
        joining = [k for place in (*younger, newer) for k in self._members.pop(place, [place])]
        self._members.setdefault(oldest, [oldest]).extend(joining)
        self.founder[joining] = oldest
