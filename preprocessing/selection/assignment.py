"""Decisions about clusters, pure: the best original, the side and the split of each."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from preprocessing.config import PrepareConfig
from preprocessing.dedup.clusters import Clusters
from preprocessing.selection.attributes import Attributes
from preprocessing.selection.originals import SIDES, OriginalIndex
from preprocessing.selection.overrides import ACTIONS_AGAINST_RULES, Action
from preprocessing.selection.rejection_reasons import Reason, duplicate_of
from preprocessing.selection.split import choose_held_out

MIN_TEST_PICTURES = 2  # of a side: distances between sets need more than one
_MAX_SHARPNESS_RATIO = 1.5  # times the median of the cluster; copies beyond it were sharpened
_OTHER_SIDE = {"A": "B", "B": "A"}


class ClusterAssignment:
    """The representative of each cluster, its side and its split; originals go by their numbers."""

    def __init__(
        self,
        config: PrepareConfig,
        index: OriginalIndex,
        clusters: Clusters,
        attributes: Attributes,
        overrides: Mapping[str, Action],
    ) -> None:
        self._config, self._names, self._num_hits = config, index.names, index.num_hits
        self._clusters, self._original = clusters, index.original
        self._num_pixels, self._sharpness = attributes.num_pixels(), attributes.sharpness()
        self._is_usable = attributes.is_usable()
        self._overrides = {index.number[name]: action for name, action in overrides.items()}
        self._hits_of_cluster = self._count_hits()
        self._best = self._choose_best()
        self._test_clusters = self._choose_test_clusters()

    def founder(self, number: int) -> str:
        """The sha256 that names the original's cluster."""
        return self._names[int(self._clusters.founder[number])]

    def is_test(self, number: int) -> bool:
        """Whether the original's cluster is held out."""
        return self.founder(number) in self._test_clusters

    def target_side(self, number: int, side: str) -> str:
        """The side that an original of this side belongs to after a person's decision."""
        action = self._overrides.get(number)
        home = self._home(number)
        if action == "move":
            return _OTHER_SIDE[home]
        return home if action == "keep" else side

    def is_forced(self, number: int) -> bool:
        """Whether a person decided that the original is used."""
        return self._overrides.get(number) in ACTIONS_AGAINST_RULES

    def reason(self, number: int, side: str, crop_reason: str) -> str:
        """Why a crop of an original of this side is rejected, or "".

        ``crop_reason`` is the reason of the rules, which judge only the crop.
        """
        if self._overrides.get(number) == "drop":
            return Reason.DROPPED_BY_HAND
        if crop_reason:
            return crop_reason
        if self.is_forced(number):
            return "" if side == self._home(number) else Reason.IN_BOTH_DOMAINS
        if number in self._clusters.displaced:
            return Reason.WOULD_CHANGE_SIDES
        founder = int(self._clusters.founder[number])
        num_hits = dict(zip(SIDES, self._hits_of_cluster[founder], strict=True))
        if num_hits["A"] and num_hits["B"]:
            is_minority = num_hits[side] <= num_hits[_OTHER_SIDE[side]]
            if self._config.both_domains == "drop" or is_minority:
                return Reason.IN_BOTH_DOMAINS
        best = self._best.get((founder, side), number)
        return "" if best == number else duplicate_of(self._names[best])

    def _sides(self, number: int) -> list[str]:
        return [side for side, num in zip(SIDES, self._num_hits[number], strict=True) if num]

    def _home(self, number: int) -> str:
        return SIDES[int(np.argmax(self._num_hits[number]))]

    def _count_hits(self) -> NDArray[np.int64]:
        """The number of hits of each cluster, by its founder and side, ``[N, 2]``."""
        num_hits = self._num_hits.astype(np.int64)
        for number, action in self._overrides.items():
            if action == "drop":
                num_hits[number] = 0
            else:
                home, total = self.target_side(number, "A"), num_hits[number].sum()
                num_hits[number] = [total if side == home else 0 for side in SIDES]
        of_clusters = np.zeros_like(num_hits)
        np.add.at(of_clusters, self._clusters.founder, num_hits)
        return of_clusters

    def _choose_best(self) -> dict[tuple[int, str], int]:
        """The best original of each cluster of several, by the cluster's founder and side."""
        members = defaultdict[int, list[int]](list)
        for number in np.flatnonzero(self._clusters.has_several_members()).tolist():
            members[int(self._clusters.founder[number])].append(number)
        best: dict[tuple[int, str], int] = {}
        for founder, numbers in members.items():
            median = statistics.median(float(self._sharpness[k]) for k in numbers)
            for number in sorted(numbers, key=lambda k: self._quality(k, median), reverse=True):
                if self._is_eligible(number):
                    for side in self._sides(number):
                        best.setdefault((founder, self.target_side(number, side)), number)
        return best

    def _is_eligible(self, number: int) -> bool:
        return (
            self._overrides.get(number) != "drop"
            and bool(self._is_usable[number])
            and (self.is_forced(number) or number not in self._clusters.displaced)
        )

    def _quality(self, number: int, median_sharpness: float) -> tuple[bool, float, str]:
        """The sort key: a person's choice, then pixels weighted by sharpness, then the name.

        A copy that is much sharper than the median of its cluster was sharpened or is noisy, and
        its weight decreases again.
        """
        limit = _MAX_SHARPNESS_RATIO * median_sharpness
        sharpness = float(self._sharpness[number])
        weight = min(sharpness, limit**2 / max(sharpness, limit, 1e-9))
        num_pixels = float(self._num_pixels[number])
        return self.is_forced(number), num_pixels * weight**0.5, self._names[number]

    def _choose_test_clusters(self) -> set[str]:
        """The held-out clusters among those that have a usable picture."""
        usable: dict[str, set[str]] = {side: set() for side in SIDES}
        for number, column in np.argwhere(self._num_hits * self._is_usable[:, None]).tolist():
            side = SIDES[column]
            if not self.reason(number, side, ""):
                usable[self.target_side(number, side)].add(self.founder(number))
        fraction = self._config.test_fraction
        return set().union(
            *(
                choose_held_out(names, fraction, MIN_TEST_PICTURES, self._original)
                for names in usable.values()
            )
        )
