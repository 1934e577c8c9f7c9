"""How alike two pictures are, by their thumbnails laid over each other.

A hash alone is a poor judge of faces, which all look alike to it; comparing every thumbnail with
every other one would take too long: so ``candidates`` proposes pairs, and here they are judged.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from preprocessing.analysis.fingerprint import COARSE_PX, THUMB_PX, WINDOWS, colours, thumbnail
from preprocessing.dedup.candidates import Pairs
from preprocessing.dedup.hash_columns import WHOLE

JUDGE_VERSION = 2  # raise it when two fingerprints are alike to another degree
_STEPS, _FIRST_STEPS = 20, 3  # of the alignment
_HOPELESS = 0.85  # alike to this degree after the first steps: more would not make it a copy
_OTHER_LIGHT, _OTHER_COLOUR = 0.45, 0.35  # correlations before aligning: least of copies 0.56, 0.53
_DETAIL_PX = 2.5  # standard deviation of the blur whose residue is compared: shape, not shading
_COVERED = 0.15  # share of the pixels that a watermark may cover
_LEAST_OVERLAP = 1 / 3
_LEAST_DETAIL = 0.9  # below this colours are not asked
_FACE_DOUBT, _EDITED_DOUBT = 0.013, 0.008  # of a correlation of details
_GREY = 1.5  # standard deviation of a* and b* below which a picture has no colours
_NOISE = 1.0  # grey levels: weaker detail than this says nothing
_FLAT = 2.5  # standard deviation below which a picture is plain, grey levels
_SAME_GREY = 4.0  # two plain pictures this near are one

Transform = NDArray[np.float32]  # [2, 3]


@dataclass(frozen=True, slots=True)
class Looks:
    """What is compared: the looks of two fingerprints, and how one lies in the other."""

    view: bytes  # resembles …
    frame: bytes  # … this window of this one
    window: int
    mirrored: bool
    faces: bool  # aligned faces, not whole pictures


def looks(pairs: Pairs, look: Callable[[int, int], bytes]) -> list[Looks]:
    """The looks of each pair; ``look(k, face)`` is that of picture k, or of one of its faces."""
    return [
        Looks(look(view, view_face), look(frame, frame_face), window, mirrored, view_face != WHOLE)
        for view, frame, view_face, frame_face, window, mirrored, _ in pairs.tolist()
    ]


def alikeness(pair: Looks) -> float:
    """How alike the two thumbnails are once one is laid over the other, -1 to 1.

    The overlay is found by maximising the enhanced correlation coefficient (Evangelidis and
    Psarakis 2008) over affine maps. Then the fine detail of both is correlated, without the share
    of pixels that differ most: a watermark hides some of a copy, whereas another photograph of the
    same scene differs everywhere. Light and colours must be laid out alike too; a copy whose
    colours were edited, and aligned faces, which are alike to begin with, must be surer. Most pairs
    are no copies, and are given up as soon as that is sure.
    """
    view = thumbnail(pair.view)
    if pair.mirrored:
        view = np.ascontiguousarray(view[:, ::-1])
    frame = thumbnail(pair.frame)
    (level, spread), (other_level, other_spread) = _spread(view), _spread(frame)
    if min(spread, other_spread) < _FLAT:
        both = max(spread, other_spread) < _FLAT
        return float(both and abs(level - other_level) < _SAME_GREY)
    start = _start(pair.window)
    _, light, colour = _colours(pair, start)
    if light < _OTHER_LIGHT or colour < _OTHER_COLOUR:
        return min(light, colour)
    fine = _detail(view)
    as_it_lies = _detail_correlation(fine, frame, start), start
    for steps in (_FIRST_STEPS, _STEPS):
        found = _aligned(view, frame, start, steps)
        aligned = _detail_correlation(fine, frame, found), found
        detail, overlay = max(as_it_lies, aligned, key=lambda pair: pair[0])
        if detail < _HOPELESS:
            break
    if detail < _LEAST_DETAIL:
        return detail
    return detail - _doubt_by_colour(pair, overlay)


def alikenesses(pairs: Sequence[Looks]) -> list[float]:
    """How alike each pair is."""
    return [alikeness(pair) for pair in pairs]


def _spread(values: NDArray[Any]) -> tuple[float, float]:
    """Mean and standard deviation: NumPy's take several times as long for so few."""
    mean, deviation = cv2.meanStdDev(values)
    return float(mean[0, 0]), float(deviation[0, 0])


def _aligned(
    view: NDArray[np.uint8], frame: NDArray[np.uint8], start: _Overlay, steps: int
) -> _Overlay:
    """The overlay after so many steps, or ``start`` where none is found."""
    limit = cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, steps, 1e-3
    try:
        _, found = cv2.findTransformECC(
            view, frame, start.transform.copy(), cv2.MOTION_AFFINE, limit, None, 3
        )
    except cv2.error:  # it does not converge: they lie well already, or never
        return start
    return _Overlay(np.asarray(found, np.float32))


def _doubt_by_colour(pair: Looks, overlay: _Overlay) -> float:
    """What is taken off the detail's correlation; 1 where light or colours contradict it."""
    shift, light, colour = _colours(pair, overlay)
    if pair.faces:
        sure = shift <= 1.0 and light >= 0.97 and colour >= 0.95
        return _FACE_DOUBT if sure else 1.0
    if shift <= 2.0:
        return 0.0 if light >= 0.9 and colour >= 0.85 else 1.0
    return _EDITED_DOUBT if light >= 0.96 and colour >= 0.5 else 1.0


def _colours(pair: Looks, overlay: _Overlay) -> tuple[float, float, float]:
    """How far a* or b* are shifted on the whole, CIELAB units; correlation of light; of colours."""
    view, frame = colours(pair.view), colours(pair.frame)
    if pair.mirrored:
        view = np.ascontiguousarray(view[:, ::-1])
    laid = _laid(frame, overlay.coarse)
    pixels = np.concatenate([view, laid], axis=2)[overlay.coarse_inside]  # [K, 6]
    mean = pixels.mean(axis=0)
    sums = ((pixels - mean).T @ (pixels - mean)).tolist()  # all that follows, in one go
    _, a, b, _, a_laid, b_laid = mean.tolist()
    shift = max(abs(a - a_laid), abs(b - b_laid))
    greys = [
        ((sums[k][k] + sums[k + 1][k + 1]) / len(pixels) + (apart**2) / 2) / 2 < _GREY**2
        for k, apart in ((1, a - b), (4, a_laid - b_laid))
    ]  # the variance of a* and b* together
    colour = 1.0 if any(greys) else _correlation(sums, (1, 2))
    return shift, _correlation(sums, (0,)), colour  # a grey picture's colours contradict nothing


def _correlation(sums: Sequence[Sequence[float]], channels: Sequence[int]) -> float:
    own, other = (sum(sums[k + at][k + at] for k in channels) + _NOISE for at in (0, 3))
    return sum(sums[k][k + 3] for k in channels) / math.sqrt(own * other)


@dataclass(frozen=True)
class _Overlay:
    """How a view's thumbnail is laid over a frame's: its pixels → the frame's."""

    transform: Transform

    @functools.cached_property
    def inside(self) -> NDArray[np.bool_]:
        """The view's pixels that lie well within the frame."""
        on = _inside(self.transform, THUMB_PX)
        return np.asarray(cv2.erode(on, np.ones((5, 5), np.uint8)) > 0)

    @functools.cached_property
    def coarse(self) -> Transform:
        """The same for their coarse colours."""
        scale, middle = COARSE_PX / THUMB_PX, np.full(2, 0.5, np.float32)
        found = self.transform.copy()
        found[:, 2] += 0.5 - found[:, :2] @ middle  # centres at half-integers
        found[:, 2] = scale * found[:, 2] + found[:, :2] @ middle - 0.5
        return found

    @functools.cached_property
    def coarse_inside(self) -> NDArray[np.bool_]:
        """The coarse pixels that lie within the frame."""
        return np.asarray(_inside(self.coarse, COARSE_PX) > 0)


@functools.cache
def _start(window: int) -> _Overlay:
    """A thumbnail laid over the one that has it as this window."""
    left, top, right, bottom = WINDOWS[window]
    matrix = np.array(
        [[1 - left - right, 0, left * THUMB_PX], [0, 1 - top - bottom, top * THUMB_PX]], np.float32
    )
    matrix[:, 2] += matrix[:, :2] @ np.full(2, 0.5, np.float32) - 0.5  # centres at integers
    return _Overlay(matrix)


def _laid(picture: NDArray[Any], transform: Transform) -> NDArray[Any]:
    flags = cv2.WARP_INVERSE_MAP | cv2.INTER_LINEAR
    return np.asarray(cv2.warpAffine(picture, transform, picture.shape[:2], flags=flags))


def _inside(transform: Transform, side: int) -> NDArray[np.uint8]:
    flags = cv2.WARP_INVERSE_MAP | cv2.INTER_NEAREST
    ones = np.ones((side, side), np.uint8)
    return np.asarray(cv2.warpAffine(ones, transform, (side, side), flags=flags), np.uint8)


def _detail_correlation(
    fine: NDArray[np.float32], frame: NDArray[np.uint8], overlay: _Overlay
) -> float:
    """Of a view's detail and the frame's; -1 where too little of them lies on each other."""
    inside = overlay.inside
    if inside.mean() < _LEAST_OVERLAP:
        return -1.0
    one, two = fine[inside], _detail(_laid(frame, overlay.transform))[inside]
    spreads = [max(_spread(values)[1], _NOISE) for values in (one, two)]
    gap = np.abs(one / spreads[0] - two / spreads[1])
    most = int((1 - _COVERED) * (len(gap) - 1))
    kept = gap <= np.partition(gap, most)[most]
    one, two = one[kept] - one[kept].mean(), two[kept] - two[kept].mean()
    scale = np.sqrt((one @ one + _NOISE) * (two @ two + _NOISE))
    return float(one @ two / scale)


def _detail(thumb: NDArray[np.uint8]) -> NDArray[np.float32]:
    values = thumb.astype(np.float32)
    return np.asarray(values - cv2.GaussianBlur(values, (0, 0), _DETAIL_PX), np.float32)
