"""What is remembered of all originals, in columns: a few hundred bytes of each."""

from __future__ import annotations

from array import array
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from preprocessing.analyse import Analysis
from preprocessing.config import PrepareConfig
from preprocessing.judge import View
from preprocessing.prints import Prints

_TRANSFORM = 6  # numbers


class Survey:
    """Originals by the numbers in which they are added: size, fingerprints, and possible crops."""

    def __init__(self, config: PrepareConfig) -> None:
        self._config = config
        self.prints = Prints()
        self._pixels, self._ends = array("q"), array("q")
        self._faces, self._reasons = array("b"), array("I")
        self._transforms, self._sharpness, self._outside = array("d"), array("d"), array("d")
        self._kinds = dict[str, int]()  # reasons, which are few, by number

    def add(self, seen: Analysis, crops: Sequence[View]) -> None:
        """The next original."""
        least = self._config.min_face_px
        large = [(k, face.aligned) for k, face in enumerate(seen.faces) if face.side >= least]
        self.prints.add(seen.whole, large)
        self._pixels.append(seen.width * seen.height)
        for crop in crops:
            self._faces.append(crop.face)
            self._reasons.append(self._kinds.setdefault(crop.reason, len(self._kinds)))
            self._transforms.extend(crop.transform or (np.nan,) * _TRANSFORM)
            self._sharpness.append(crop.sharpness)
            self._outside.append(crop.outside)
        self._ends.append(len(self._faces))

    def crops(self, number: int) -> list[View]:
        """The possible crops of an original, those with a reason against them too."""
        reasons = list(self._kinds)
        return [
            View(
                self._faces[place],
                reasons[self._reasons[place]],
                self._transform(place),
                self._sharpness[place],
                self._outside[place],
            )
            for place in range(self._ends[number - 1] if number else 0, self._ends[number])
        ]

    def pixels(self) -> NDArray[np.int64]:
        """Width times height of each original, ``[N]``; 0 where it was not decoded."""
        return np.array(self._pixels, np.int64)

    def sharpness(self) -> NDArray[np.float64]:
        """Of each original's sharpest crop, ``[N]``; 0 where it has none."""
        return self._most(np.array(self._sharpness, np.float64))

    def usable(self) -> NDArray[np.bool_]:
        """Whether an original has a crop with nothing against it, ``[N]``."""
        good = np.array(self._reasons, np.int64) == self._kinds.get("", -1)
        return self._most(good.astype(np.float64)) > 0

    def _most(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        starts = np.array([0, *self._ends[:-1]], np.int64)
        return np.maximum.reduceat(values, starts) if len(values) else values

    def _transform(self, place: int) -> tuple[float, ...]:
        found = tuple(self._transforms[place * _TRANSFORM : (place + 1) * _TRANSFORM])
        return () if np.isnan(found[0]) else found
