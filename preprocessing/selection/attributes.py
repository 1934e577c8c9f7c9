"""What is remembered of all originals, in columns: a few hundred bytes of each."""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from preprocessing.analysis.analyse import Analysis
from preprocessing.config import PrepareConfig
from preprocessing.dedup.hash_columns import Prints
from preprocessing.selection.originals import Register
from preprocessing.selection.overrides import Action
from preprocessing.selection.rules import View, views

_TRANSFORM = 6  # numbers


class Survey:
    """Originals by their numbers in the register, whatever the order in which they are added: size,
    fingerprints, and the crops that they are good for after a person's ``overrides``.
    """

    def __init__(
        self, config: PrepareConfig, register: Register, overrides: Mapping[str, Action]
    ) -> None:
        self._config, self._number, self._overrides = config, register.number, overrides
        self.prints = Prints()
        self._places = np.full(len(register.names), -1, np.int64)  # of each number, or -1
        self._pixels, self._ends = array("q"), array("q")
        self._faces, self._reasons = array("b"), array("I")
        self._transforms, self._sharpness, self._outside = array("d"), array("d"), array("d")
        self._kinds = dict[str, int]()  # reasons, which are few, by number

    def __contains__(self, name: str) -> bool:
        """Whether the original of this sha256 was added."""
        return bool(self._places[self._number[name]] >= 0)

    def add(self, name: str, seen: Analysis) -> None:
        """What an original shows, by its sha256."""
        number, least = self._number[name], self._config.min_face_px
        large = [(k, face.aligned) for k, face in enumerate(seen.faces) if face.side >= least]
        self.prints.add(number, seen.whole, large)
        self._places[number] = len(self._pixels)
        self._pixels.append(seen.width * seen.height)
        forced = self._overrides.get(name) in {"keep", "move"}
        for crop in views(seen, self._config, forced=forced):
            self._faces.append(crop.face)
            self._reasons.append(self._kinds.setdefault(crop.reason, len(self._kinds)))
            self._transforms.extend(crop.transform or (np.nan,) * _TRANSFORM)
            self._sharpness.append(crop.sharpness)
            self._outside.append(crop.outside)
        self._ends.append(len(self._faces))

    def crops(self, name: str) -> list[View]:
        """The possible crops of an original, those with a reason against them too."""
        reasons, place = list(self._kinds), int(self._places[self._number[name]])
        return [
            View(
                self._faces[at],
                reasons[self._reasons[at]],
                self._transform(at),
                self._sharpness[at],
                self._outside[at],
            )
            for at in range(self._ends[place - 1] if place else 0, self._ends[place])
        ]

    def pixels(self) -> NDArray[np.int64]:
        """Width times height of each original, ``[N]``; 0 where it was not decoded."""
        return np.array(self._pixels, np.int64)[self._places]

    def sharpness(self) -> NDArray[np.float64]:
        """Of each original's sharpest crop, ``[N]``; 0 where it has none."""
        return self._most(np.array(self._sharpness, np.float64))

    def usable(self) -> NDArray[np.bool_]:
        """Whether an original has a crop with nothing against it, ``[N]``."""
        good = np.array(self._reasons, np.int64) == self._kinds.get("", -1)
        return self._most(good.astype(np.float64)) > 0

    def _most(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        starts = np.array([0, *self._ends[:-1]], np.int64)
        most = np.maximum.reduceat(values, starts) if len(values) else values
        return most[self._places]

    def _transform(self, at: int) -> tuple[float, ...]:
        found = tuple(self._transforms[at * _TRANSFORM : (at + 1) * _TRANSFORM])
        return () if math.isnan(found[0]) else found
