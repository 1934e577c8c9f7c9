"""Where the colours of two pictures differ that lie over each other: nowhere or everywhere, or in
places.

A copy is edited as a whole or not at all. Two people before one background, in the light of one
studio, have the background in common, and their hair, skin and clothes have other colours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

_BLUR_PX = 1.5  # of coarse pixels: what resampling changes, and an edge that lies elsewhere
_BLACK_LEVEL, _WHITE_LEVEL, _MIN_UNCLIPPED_SHARE = 4, 251, 0.3
# Of copies whose light differs as much as other people's, a fifth of the pixels differs by less
# than 0.7 levels (unedited: resampled, compressed or framed anew) or by 11 and more (edited). Of
# drawn people in one shot it differs by 0.6 to 3.8.
_SAME_SHARE, _MAX_UNEDITED_LEVELS, _MIN_EDITED_LEVELS = 0.2, 0.75, 6.0
# A picture was not even resampled where so many pixels are equal: then nothing else may differ.
_EQUAL_SHARE, _MAX_EQUAL_LEVELS = 0.1, 0.05


@dataclass(frozen=True)
class _Limits:
    """Levels by which copies differ whose light agrees closely."""

    unedited: float  # at most in a fifth of the pixels
    edited: float  # at least in a fifth of the pixels
    equal: float  # at most in a tenth of the pixels, which were not resampled …
    beside_equal: float  # … and then at most in nine tenths
    most: float  # at most in four fifths of an unedited copy
    left_by_edit: float  # at most in four fifths of a copy edited by less than ``edited``


# Of copies a fifth of the pixels of whole pictures differs by 1.15 at most, or by 5.1 and more
# (edited); of faces by 1.1 but for one in fifty, and less than 2 levels are left by most edits.
# Of 32 pairs of drawn people in one shot, whom all else takes for copies, 30 are beyond them.
_WHOLE_LIMITS = _Limits(1.2, 4.9, 0.15, 4.8, 12.5, 0.0)
_FACE_LIMITS = _Limits(1.1, np.inf, 0.0, np.inf, np.inf, 2.0)
_MOST_SHARE, _NEARLY_ALL_SHARE = 0.8, 0.9
_GREY_WEIGHTS = np.array([0.299, 0.587, 0.114], np.float32)
_FITTING_STEPS, _FITTED_SHARE = 5, 0.7  # of the pixels, those that fit best


class PlaceGaps:
    """How far the RGB levels ``[16, 16, 3]`` of two pictures differ, where ``inside``."""

    def __init__(
        self, inner: NDArray[np.float32], outer: NDArray[np.float32], inside: NDArray[np.bool_]
    ) -> None:
        compared = inside & _unclipped(inner) & _unclipped(outer)
        if np.count_nonzero(compared) < _MIN_UNCLIPPED_SHARE * np.count_nonzero(inside):
            compared = inside
        self._inner, self._outer, self._compared = inner, outer, compared
        gap = (outer - inner) * inside[..., None]
        self._equal = float(np.quantile(np.abs(gap).max(axis=2)[compared], _EQUAL_SHARE))
        self._levels = _levels(gap, inside)[compared]
        self._same = float(np.quantile(self._levels, _SAME_SHARE))

    def are_in_places(self) -> bool:
        """Whether pictures, whose light differs somewhat, differ in places only."""
        is_between = _MAX_UNEDITED_LEVELS < self._same < _MIN_EDITED_LEVELS
        return self._equal < _MAX_EQUAL_LEVELS or is_between

    def are_too_large(self, *, is_of_faces: bool) -> bool:
        """Whether pictures, whose light agrees closely, differ in places nevertheless."""
        limits = _FACE_LIMITS if is_of_faces else _WHOLE_LIMITS
        if self._same > limits.unedited:
            return self._same < limits.edited and self._left_by_edit() > limits.left_by_edit
        most, nearly_all = np.quantile(self._levels, [_MOST_SHARE, _NEARLY_ALL_SHARE])
        is_equal = self._equal < limits.equal
        return bool(most > limits.most or (is_equal and nearly_all > limits.beside_equal))

    def _left_by_edit(self) -> float:
        """The levels that an edit of saturation, brightness and contrast leaves in four fifths of
        the pixels.
        """
        left, right = self._inner[self._compared], self._outer[self._compared]
        grey = np.repeat((left @ _GREY_WEIGHTS)[:, None], 3, axis=1)
        terms = np.stack([left, grey, np.ones_like(left)], axis=2)  # [K, 3 channels, 3]
        fitted = np.ones(len(left), np.bool_)
        for _ in range(_FITTING_STEPS):
            edit = np.linalg.lstsq(terms[fitted].reshape(-1, 3), right[fitted].ravel())[0]
            gap = right - terms @ edit
            error = np.square(gap).mean(axis=1)
            fitted = error <= np.quantile(error, _FITTED_SHARE)
        gaps = np.zeros_like(self._inner)
        gaps[self._compared] = gap
        return float(np.quantile(_levels(gaps, self._compared)[self._compared], _MOST_SHARE))


def _levels(gap: NDArray[np.float32], inside: NDArray[np.bool_]) -> NDArray[np.float32]:
    """The blurred gap ``[16, 16]``, the mean of its channels."""
    weight = np.maximum(_blurred(inside.astype(np.float32)), 0.2)
    return np.asarray(np.sqrt(np.square(_blurred(gap) / weight[..., None]).mean(axis=2)))


def _unclipped(levels: NDArray[np.float32]) -> NDArray[np.bool_]:
    return np.asarray(((levels > _BLACK_LEVEL) & (levels < _WHITE_LEVEL)).all(axis=2))


def _blurred(values: NDArray[Any]) -> NDArray[np.float32]:
    return np.asarray(cv2.GaussianBlur(values, (0, 0), _BLUR_PX), np.float32)
