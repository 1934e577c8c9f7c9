"""Attributes of all originals for the decisions, in columns: a few hundred bytes each."""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from preprocessing.analysis.analyse import Analysis
from preprocessing.config import PrepareConfig
from preprocessing.dedup.candidates import HashColumns
from preprocessing.selection.originals import OriginalIndex
from preprocessing.selection.overrides import ACTIONS_AGAINST_RULES, Action
from preprocessing.selection.rejection_reasons import Reason
from preprocessing.selection.rules import Crop, possible_crops

_NUMBERS_PER_TRANSFORM = 6
_MIN_PORTRAIT_SCORE = 0.7  # of a face that may tell two similar pictures apart


class Attributes:
    """Sizes, hashes and possible crops of originals by their number in the index.

    Originals are added in any order; crops are those after a person's ``overrides``.
    """

    def __init__(
        self, config: PrepareConfig, index: OriginalIndex, overrides: Mapping[str, Action]
    ) -> None:
        self._config, self._index, self._overrides = config, index, overrides
        self._number = index.number
        self.hashes = HashColumns()
        self._places = np.full(len(index.names), -1, np.int64)  # in order of addition; -1: none
        self._num_pixels = array("q")
        self._crop_ends = array("q")  # of each original's crops in the columns below
        self._faces, self._reasons = array("b"), array("I")
        self._transforms, self._sharpness, self._outside = array("d"), array("d"), array("d")
        self._reason_numbers = dict[str, int]()  # the distinct reasons, which are few

    def __contains__(self, name: str) -> bool:
        """Whether the original of this sha256 was added."""
        return bool(self._places[self._number[name]] >= 0)

    def add(self, name: str, analysis: Analysis) -> None:
        """Add the analysis of an original by its sha256."""
        number, min_face_px = self._number[name], self._config.min_face_px
        if self._index.is_split(name):  # its parts are compared with other pictures, it is not
            analysis = Analysis(Reason.SPLIT)
        large_faces = [
            (k, face.aligned, face.context)
            for k, face in enumerate(analysis.faces)
            if face.side >= min_face_px
        ]
        self.hashes.add(
            number,
            analysis.whole,
            large_faces,
            is_portrait=len(large_faces) == 1 and analysis.faces[0].score >= _MIN_PORTRAIT_SCORE,
        )
        self._places[number] = len(self._num_pixels)
        self._num_pixels.append(analysis.width * analysis.height)
        forced = self._overrides.get(name) in ACTIONS_AGAINST_RULES
        numbers = self._reason_numbers
        for crop in possible_crops(analysis, self._config, forced=forced):
            self._faces.append(crop.face)
            self._reasons.append(numbers.setdefault(crop.reason, len(numbers)))
            self._transforms.extend(crop.transform or (np.nan,) * _NUMBERS_PER_TRANSFORM)
            self._sharpness.append(crop.sharpness)
            self._outside.append(crop.outside)
        self._crop_ends.append(len(self._faces))

    def crops(self, name: str) -> list[Crop]:
        """The possible crops of an original, rejected ones too."""
        reasons, place = list(self._reason_numbers), int(self._places[self._number[name]])
        start = self._crop_ends[place - 1] if place else 0
        return [
            Crop(
                face=self._faces[row],
                reason=reasons[self._reasons[row]],
                transform=self._transform(row),
                sharpness=self._sharpness[row],
                outside=self._outside[row],
            )
            for row in range(start, self._crop_ends[place])
        ]

    def num_pixels(self) -> NDArray[np.int64]:
        """Width times height of each original, ``[N]``; 0 where it was not decoded."""
        return np.array(self._num_pixels, np.int64)[self._places]

    def sharpness(self) -> NDArray[np.float64]:
        """Sharpness of each original's sharpest crop, ``[N]``; 0 where it has none."""
        return self._max_of_crops(np.array(self._sharpness, np.float64))

    def is_usable(self) -> NDArray[np.bool_]:
        """Whether an original has a crop that is not rejected, ``[N]``."""
        good = np.array(self._reasons, np.int64) == self._reason_numbers.get("", -1)
        return self._max_of_crops(good.astype(np.float64)) > 0

    def _max_of_crops(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        starts = np.array([0, *self._crop_ends[:-1]], np.int64)
        maxima = np.maximum.reduceat(values, starts) if len(values) else values
        return maxima[self._places]

    def _transform(self, row: int) -> tuple[float, ...]:
        first = row * _NUMBERS_PER_TRANSFORM
        transform = tuple(self._transforms[first : first + _NUMBERS_PER_TRANSFORM])
        return () if math.isnan(transform[0]) else transform
