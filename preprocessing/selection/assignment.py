"""How originals stand to each other: who is the best of a cluster, and on which side. Pure."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from preprocessing.config import PrepareConfig
from preprocessing.dedup.clusters import Clusters
from preprocessing.selection.attributes import Survey
from preprocessing.selection.originals import SIDES, Register
from preprocessing.selection.overrides import Action
from preprocessing.selection.split import held_out

LEAST_TEST = 2  # pictures of a side: distances between sets need more than one
_SHARPENED = 1.5  # times its cluster's median sharpness
_OTHER = {"A": "B", "B": "A"}


class Standing:
    """The decisions that depend on several originals; these go by their numbers."""

    def __init__(
        self,
        config: PrepareConfig,
        register: Register,
        clusters: Clusters,
        survey: Survey,
        overrides: Mapping[str, Action],
    ) -> None:
        self._config, self._names, self._hits = config, register.names, register.hits
        self._clusters = clusters
        self._pixels, self._sharpness = survey.pixels(), survey.sharpness()
        self._usable = survey.usable()
        number = register.number
        self._overrides = {number[name]: action for name, action in overrides.items()}
        self._shares = self._of_clusters()
        self._best = self._bests()
        self._test = self._held_out()

    def founder(self, number: int) -> str:
        """The sha256 that names its cluster."""
        return self._names[int(self._clusters.founder[number])]

    def is_test(self, number: int) -> bool:
        """Whether its cluster is held out."""
        return self.founder(number) in self._test

    def target(self, number: int, side: str) -> str:
        """The side that an original of this side belongs to, after a person's wish."""
        action = self._overrides.get(number)
        home = self._home(number)
        if action == "move":
            return _OTHER[home]
        return home if action == "keep" else side

    def reason(self, number: int, side: str, of_view: str) -> str:
        """Why a crop of an original of this side is not used, or ""; ``of_view`` is what rules by
        figures alone say of the crop.
        """
        if self._overrides.get(number) == "drop":
            return "dropped-by-hand"
        if of_view:
            return of_view
        if self._is_forced(number):
            return "" if side == self._home(number) else "in-both-domains"
        if number in self._clusters.displaced:
            return "would-change-sides"
        founder = int(self._clusters.founder[number])
        shares = dict(zip(SIDES, self._shares[founder], strict=True))
        if shares["A"] and shares["B"]:
            lost = shares[side] <= shares[_OTHER[side]]
            if self._config.both_domains == "drop" or lost:
                return "in-both-domains"
        best = self._best.get((founder, side), number)
        return "" if best == number else f"duplicate-of:{self._names[best]}"

    def _sides(self, number: int) -> list[str]:
        return [side for side, num in zip(SIDES, self._hits[number], strict=True) if num]

    def _home(self, number: int) -> str:
        return SIDES[int(np.argmax(self._hits[number]))]

    def _is_forced(self, number: int) -> bool:
        return self._overrides.get(number) in {"keep", "move"}

    def _of_clusters(self) -> NDArray[np.int64]:
        """How many hits gave pictures of each cluster, by its founder and side, ``[N, 2]``."""
        hits = self._hits.astype(np.int64)
        for number, action in self._overrides.items():
            if action == "drop":
                hits[number] = 0
            else:
                home = self.target(number, "A")
                hits[number] = [hits[number].sum() if side == home else 0 for side in SIDES]
        shares = np.zeros_like(hits)
        np.add.at(shares, self._clusters.founder, hits)
        return shares

    def _bests(self) -> dict[tuple[int, str], int]:
        """The best of each cluster of several pictures, by its founder and side."""
        members = defaultdict[int, list[int]](list)
        for number in np.flatnonzero(self._clusters.several()).tolist():
            members[int(self._clusters.founder[number])].append(number)
        best: dict[tuple[int, str], int] = {}
        for founder, numbers in members.items():
            usual = statistics.median(float(self._sharpness[k]) for k in numbers)
            for number in sorted(numbers, key=lambda k: self._quality(k, usual), reverse=True):
                if self._is_eligible(number):
                    for side in self._sides(number):
                        best.setdefault((founder, self.target(number, side)), number)
        return best

    def _is_eligible(self, number: int) -> bool:
        return (
            self._overrides.get(number) != "drop"
            and bool(self._usable[number])
            and (self._is_forced(number) or number not in self._clusters.displaced)
        )

    def _quality(self, number: int, usual: float) -> tuple[bool, float, str]:
        """A person's choice first, then pixels weighed by sharpness; the name breaks ties.

        A copy that is much sharper than most of its cluster was sharpened, or is noisy.
        """
        most = _SHARPENED * usual
        sharp = float(self._sharpness[number])
        weight = min(sharp, most**2 / max(sharp, most, 1e-9))
        pixels = float(self._pixels[number])
        return self._is_forced(number), pixels * weight**0.5, self._names[number]

    def _held_out(self) -> set[str]:
        """The clusters that are held out, of those of which a picture is used."""
        used: dict[str, set[str]] = {side: set() for side in SIDES}
        for number, place in np.argwhere(self._hits * self._usable[:, None]).tolist():
            side = SIDES[place]
            if not self.reason(number, side, ""):
                used[self.target(number, side)].add(self.founder(number))
        fraction = self._config.test_fraction
        return set().union(*(held_out(names, fraction, LEAST_TEST) for names in used.values()))
