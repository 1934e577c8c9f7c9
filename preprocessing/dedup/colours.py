"""The light and colours of two thumbnails that lie over each other, of many pairs at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_GREY_PICTURE_LAB = 1.5  # standard deviation of a* and b* below which a picture has no colours
_NOISE = 1.0  # added to each sum of squares, so that noise does not correlate
_LIGHT, _COLOURS = slice(0, 1), slice(1, 3)  # channels of CIELAB


class Limits(NamedTuple):
    """The largest shift, and the smallest correlations of light and of colour, of a copy."""

    shift: float
    light: float
    colour: float


@dataclass(frozen=True)
class StageLimits:
    """The limits at one stage of a comparison: the better the alignment, the narrower they are."""

    faces: Limits
    whole: Limits
    edited: Limits  # of a whole picture whose colours were edited: it passes by these instead


UNALIGNED = StageLimits(Limits(3.0, 0.65, 0.55), Limits(np.inf, 0.45, 0.35), Limits(np.inf, 1, 1))
ROUGHLY_ALIGNED = StageLimits(
    Limits(2.0, 0.9, 0.8), Limits(4.0, 0.75, 0.65), Limits(np.inf, 0.8, 0.35)
)
ALIGNED = StageLimits(Limits(1.0, 0.97, 0.95), Limits(2.0, 0.9, 0.85), Limits(np.inf, 0.96, 0.5))


class ColourGaps(NamedTuple):
    """How far the light and colours of each pair agree, each ``[P]``."""

    shift: NDArray[np.float64]  # the larger one of the means of a* and b*, CIELAB units
    light: NDArray[np.float64]  # correlation, -1 to 1
    colour: NDArray[np.float64]  # correlation, -1 to 1; 1 where a picture is grey

    def within(self, limits: Limits) -> NDArray[np.bool_]:
        """Whether each pair is within these limits, ``[P]``."""
        agrees = self.shift <= limits.shift
        agrees &= self.light >= limits.light
        return np.asarray(agrees & (self.colour >= limits.colour), np.bool_)

    def agree(self, are_of_faces: NDArray[np.bool_], limits: StageLimits) -> NDArray[np.bool_]:
        """Whether the pairs, of faces or whole pictures, may be copies, ``[P]``."""
        whole = self.within(limits.whole) | self.within(limits.edited)
        return np.where(are_of_faces, self.within(limits.faces), whole)


def compare_colours(
    inner: NDArray[np.float32], outer: NDArray[np.float32], inside: NDArray[np.bool_]
) -> ColourGaps:
    """How far the CIELAB colours of pairs, ``[P, K, 3]``, agree where ``inside``, ``[P, K]``."""
    weight = inside[..., None].astype(np.float32)
    num = np.maximum(np.count_nonzero(inside, axis=1), 1)[:, None]
    means = [np.einsum("pkc,pkc->pc", side, weight) / num for side in (inner, outer)]
    inner, outer = (
        (side - mean[:, None].astype(np.float32)) * weight
        for side, mean in zip((inner, outer), means, strict=True)
    )
    squares = [np.einsum("pkc,pkc->pc", side, side) for side in (inner, outer)]
    products = np.einsum("pkc,pkc->pc", inner, outer)
    are_grey = [
        (square[:, 1:].sum(axis=1) / num[:, 0] + (mean[:, 1] - mean[:, 2]) ** 2 / 2) / 2
        < _GREY_PICTURE_LAB**2
        for square, mean in zip(squares, means, strict=True)
    ]  # the variance of a* and b* together
    light, colour = (
        products[:, part].sum(axis=1)
        / np.sqrt(np.prod([square[:, part].sum(axis=1) + _NOISE for square in squares], axis=0))
        for part in (_LIGHT, _COLOURS)
    )
    return ColourGaps(
        shift=np.abs(means[0] - means[1])[:, 1:].max(axis=1),
        light=light.astype(np.float64),
        colour=np.where(np.any(are_grey, axis=0), 1.0, colour),
    )
