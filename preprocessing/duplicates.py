"""Clusters of near duplicates, which older pictures found and newer ones join."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from preprocessing.alike import alikenesses
from preprocessing.candidates import Candidate, Prints, candidates

Judge = Callable[[Sequence[Candidate]], Sequence[float]]


@dataclass(frozen=True)
class Match:
    """Two pictures by their numbers, and how alike they are: 1 is the same picture."""

    older: int
    newer: int
    alike: float
    tier: str  # "whole" or "face"


@dataclass(frozen=True)
class Clusters:
    """``founder[k]`` is the oldest member of picture k's cluster.

    ``displaced`` were on the other side of the split before a newer picture joined their cluster to
    an older one: they may not be used, for they would change sides.
    """

    founder: list[int]
    displaced: set[int]
    matches: list[Match]
    doubtful: list[Match]  # nearly alike enough, and in two clusters


def clustered(
    pictures: Sequence[Prints],
    held_out: Callable[[int], bool],
    *,
    bits: int,
    alike: float,
    doubtful: float,
    judge: Judge = alikenesses,
) -> Clusters:
    """Cluster pictures given in order of age, the oldest first.

    A cluster is on the side of its founder, so newer pictures change nothing about older ones: the
    clusters of the first n pictures, and their sides, are what they were when there were only n.
    ``held_out(k)`` says on which side of the split picture k is as a founder; ``judge`` says of all
    pairs how alike they are.
    """
    proposed = candidates(pictures, bits)
    told = iter(judge([pair for pairs in proposed for pair in pairs]))
    growth = _Growth(len(pictures), held_out)
    matches, near = list[Match](), list[Match]()
    for newer, pairs in enumerate(proposed):
        touched: dict[int, Match] = {}
        for pair in pairs:
            found = next(told)
            root = growth.founder[pair.older]
            if root in touched:
                continue
            match = Match(pair.older, newer, found, pair.tier)
            if match.alike >= alike:
                touched[root] = match
            elif match.alike >= doubtful:
                near.append(match)
        matches += touched.values()
        growth.join(newer, sorted(touched))
    founder = growth.founder
    best: dict[tuple[int, int], Match] = {}
    for match in sorted(near, key=lambda match: match.alike):
        if founder[match.older] != founder[match.newer]:
            best[founder[match.older], founder[match.newer]] = match
    return Clusters(founder, growth.displaced, matches, list(best.values()))


class _Growth:
    """Clusters as they grow, picture by picture in order of age."""

    def __init__(self, num: int, held_out: Callable[[int], bool]) -> None:
        self.founder = list(range(num))
        self.displaced = set[int]()
        self._members = {k: [k] for k in range(num)}
        self._held_out = held_out

    def join(self, newer: int, roots: list[int]) -> None:
        """``newer`` resembles members of the clusters ``roots`` (oldest first): all become one."""
        if not roots:
            return
        oldest, *others = roots
        for root in others:
            if self._held_out(root) != self._held_out(oldest):
                self.displaced.update(self._members[root])
        for root in (*others, newer):
            self._members[oldest] += self._members.pop(root)
        for member in self._members[oldest]:
            self.founder[member] = oldest
