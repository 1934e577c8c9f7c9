"""Near duplicates: perceptual hashes propose pairs, aligned thumbnails confirm them.

A hash alone is a poor judge of faces, which all look alike to it; comparing every thumbnail with
every other one would take too long. Tiers: the whole picture and its windows (copies with their
edges cut off), then its aligned faces (copies cut to another shape), each mirrored too. Equal files
need no tier: they have one sha256.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from preprocessing.fingerprint import COARSE_PX, THUMB_PX, WINDOWS, Fingerprint
from preprocessing.hamming import Hashes, cross_pairs

JUDGE_VERSION = 2  # raise it when two fingerprints are alike to another degree
_MOST = 30  # older pictures that a picture is compared with, for a window and orientation
_AT_ONCE = 1 << 20  # pairs held in memory before all but the nearest are dropped
_BATCH = 10_000  # rows made into objects at a time
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


@dataclass(frozen=True)
class Prints:
    """A picture's fingerprints: of the whole (if it was decoded) and of its aligned faces."""

    whole: Fingerprint | None
    faces: tuple[Fingerprint, ...] = ()


@dataclass(frozen=True)
class Match:
    """Two pictures by their numbers, and how alike they are: 1 is the same picture."""

    older: int
    newer: int
    alike: float
    tier: str  # "whole" or "face"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A pair worth a look: one's thumbnail resembles a window of the other's."""

    older: int
    newer: int
    tier: str
    view: Fingerprint  # resembles …
    frame: Fingerprint  # … this window of this one
    window: int
    mirrored: bool
    apart: int  # bits

    @property
    def name(self) -> bytes:
        """16 bytes that stand for all that ``alikeness`` looks at."""
        looks = f"{self.tier} {self.window} {self.mirrored}".encode()
        for print_ in (self.view, self.frame):
            looks += print_.thumb + print_.colours
        return hashlib.blake2b(looks, digest_size=16).digest()


def candidates(pictures: Sequence[Prints], bits: int) -> list[list[Candidate]]:
    """For each picture, the older ones (of smaller number) whose hashes are within ``bits`` bits.

    Each pair comes once for a tier, a direction and an orientation, by its nearest window; of very
    many like pictures the nearest alone, which is enough to belong to their cluster.
    """
    found: list[list[Candidate]] = [[] for _ in pictures]
    for tier, owners, prints in _tiers(pictures):
        for flipped in (False, True):
            views = _array(p.mirrored if flipped else p.phash for p in prints)
            near = []
            for window in range(len(WINDOWS) if tier == "whole" else 1):
                frames = _array(p.hashes[window] for p in prints)
                rows = near_pairs(views, frames, owners, bits)
                near.append(np.insert(rows, 4, window, axis=1))
            for newer, apart, view, frame, window in _best_windows(np.concatenate(near)):
                older = int(min(owners[view], owners[frame]))
                pair = prints[view], prints[frame]
                found[newer].append(Candidate(older, newer, tier, *pair, window, flipped, apart))
    for mine in found:
        mine.sort(key=lambda candidate: candidate.apart)
    return found


def _best_windows(rows: NDArray[np.int64]) -> Iterator[list[int]]:
    """Of the rows (newer, apart, view, frame, window) of each view and frame the nearest; in the
    order in which these pairs first come.
    """
    order = np.lexsort((rows[:, 1], rows[:, 3], rows[:, 2]))
    pairs = rows[order, 2:4]
    starts = np.flatnonzero(np.r_[True, (pairs[1:] != pairs[:-1]).any(axis=1)][: len(rows)])
    if len(starts):
        first = np.minimum.reduceat(order, starts)
        for some in np.array_split(
            rows[order[starts]][np.argsort(first)], 1 + len(starts) // _BATCH
        ):
            yield from some.tolist()


def near_pairs(
    views: Hashes, frames: Hashes, owners: NDArray[np.int64], bits: int
) -> NDArray[np.int64]:
    """Which views and frames of two pictures are within ``bits`` bits: rows ``[P, 4]`` of newer
    picture, bits apart, place of the view, place of the frame; of each picture the nearest.

    ``owners`` has the picture of each place, in order.
    """
    rows, waiting = np.zeros((0, 4), np.int64), 0
    blocks = [rows]
    for i, j in cross_pairs(views, frames, bits):
        other = owners[i] != owners[j]
        i, j = i[other], j[other]  # noqa: PLW2901
        apart = np.bitwise_count(views[i] ^ frames[j]).astype(np.int64)
        blocks.append(np.stack([np.maximum(owners[i], owners[j]), apart, i, j], axis=1))
        waiting += len(i)
        if waiting > _AT_ONCE:
            blocks, waiting = [_nearest(np.concatenate(blocks))], 0
    return _nearest(np.concatenate(blocks))


def _nearest(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """The first ``_MOST`` rows of each newer picture, by distance and age."""
    rows = rows[np.lexsort((rows[:, 3], rows[:, 2], rows[:, 1], rows[:, 0]))]
    first = np.searchsorted(rows[:, 0], rows[:, 0])
    return rows[np.arange(len(rows)) - first < _MOST]


def _tiers(
    pictures: Sequence[Prints],
) -> Iterator[tuple[str, NDArray[np.int64], list[Fingerprint]]]:
    """Each tier's fingerprints and whose they are."""
    whole = [(k, p.whole) for k, p in enumerate(pictures) if p.whole is not None]
    faces = [(k, face) for k, p in enumerate(pictures) for face in p.faces]
    for tier, pairs in (("whole", whole), ("face", faces)):
        yield tier, np.array([k for k, _ in pairs], np.int64), [print_ for _, print_ in pairs]


def _array(values: Iterator[int]) -> Hashes:
    return np.fromiter(values, np.uint64)


def alikeness(candidate: Candidate) -> float:
    """How alike the two thumbnails are once one is laid over the other, -1 to 1.

    The overlay is found by maximising the enhanced correlation coefficient (Evangelidis and
    Psarakis 2008) over affine maps. Then the fine detail of both is correlated, without the share
    of pixels that differ most: a watermark hides some of a copy, whereas another photograph of the
    same scene differs everywhere. Light and colours must be laid out alike too; a copy whose
    colours were edited, and aligned faces, which are alike to begin with, must be surer. Most pairs
    are no copies, and are given up as soon as that is sure.
    """
    view = candidate.view.pixels()
    if candidate.mirrored:
        view = np.ascontiguousarray(view[:, ::-1])
    frame = candidate.frame.pixels()
    if min(view.std(), frame.std()) < _FLAT:
        both = max(view.std(), frame.std()) < _FLAT
        return float(both and abs(view.mean() - frame.mean()) < _SAME_GREY)
    start = _to_window(*WINDOWS[candidate.window])
    _, light, colour = _colours(candidate, start)
    if light < _OTHER_LIGHT or colour < _OTHER_COLOUR:
        return min(light, colour)
    as_it_lies = _detail_correlation(view, frame, start), start
    for steps in (_FIRST_STEPS, _STEPS):
        aligned = _aligned(view, frame, start, steps)
        detail, overlay = max(as_it_lies, aligned, key=lambda pair: pair[0])
        if detail < _HOPELESS:
            break
    if detail < _LEAST_DETAIL:
        return detail
    return detail - _doubt_by_colour(candidate, overlay)


Judge = Callable[[Sequence[Candidate]], Sequence[float]]


def alikenesses(pairs: Sequence[Candidate]) -> list[float]:
    """How alike each pair is."""
    return [alikeness(pair) for pair in pairs]


def _aligned(
    view: NDArray[np.uint8], frame: NDArray[np.uint8], start: Transform, steps: int
) -> tuple[float, Transform]:
    """Correlation of details and the overlay after so many steps; -1 where none is found."""
    limit = cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, steps, 1e-3
    try:
        _, found = cv2.findTransformECC(
            view, frame, start.copy(), cv2.MOTION_AFFINE, limit, None, 3
        )
    except cv2.error:  # it does not converge: they lie well already, or never
        return -1.0, start
    overlay = np.asarray(found, np.float32)
    return _detail_correlation(view, frame, overlay), overlay


def _doubt_by_colour(candidate: Candidate, overlay: Transform) -> float:
    """What is taken off the detail's correlation; 1 where light or colours contradict it."""
    shift, light, colour = _colours(candidate, overlay)
    if candidate.tier == "face":
        sure = shift <= 1.0 and light >= 0.97 and colour >= 0.95
        return _FACE_DOUBT if sure else 1.0
    if shift <= 2.0:
        return 0.0 if light >= 0.9 and colour >= 0.85 else 1.0
    return _EDITED_DOUBT if light >= 0.96 and colour >= 0.5 else 1.0


def _colours(candidate: Candidate, overlay: Transform) -> tuple[float, float, float]:
    """How far a* or b* are shifted on the whole, CIELAB units; correlation of light; of colours."""
    view, frame = candidate.view.lab(), candidate.frame.lab()
    if candidate.mirrored:
        view = np.ascontiguousarray(view[:, ::-1])
    scale = COARSE_PX / THUMB_PX
    coarse = overlay.copy()
    coarse[:, 2] += 0.5 - coarse[:, :2] @ np.full(2, 0.5, np.float32)  # centres at half-integers
    coarse[:, 2] = scale * coarse[:, 2] + coarse[:, :2] @ np.full(2, 0.5, np.float32) - 0.5
    size, flags = (COARSE_PX, COARSE_PX), cv2.WARP_INVERSE_MAP
    laid = cv2.warpAffine(frame, coarse, size, flags=flags | cv2.INTER_LINEAR)
    ones = np.ones(size, np.uint8)
    inside = cv2.warpAffine(ones, coarse, size, flags=flags | cv2.INTER_NEAREST) > 0
    one, two = view[inside], laid[inside]
    shift = float(np.abs(one.mean(axis=0) - two.mean(axis=0))[1:].max())
    light, colour = _correlation(one[:, :1], two[:, :1]), _correlation(one[:, 1:], two[:, 1:])
    if min(one[:, 1:].std(), two[:, 1:].std()) < _GREY:
        colour = 1.0  # a grey picture has no colours that could contradict
    return shift, light, colour


def _correlation(one: NDArray[np.float32], two: NDArray[np.float32]) -> float:
    one, two = one - one.mean(axis=0), two - two.mean(axis=0)
    scale = np.sqrt(((one**2).sum() + _NOISE) * ((two**2).sum() + _NOISE))
    return float((one * two).sum() / scale)


def _to_window(left: float, top: float, right: float, bottom: float) -> Transform:
    """Thumbnail pixels → pixels of the thumbnail that has the first as this window."""
    matrix = np.array(
        [[1 - left - right, 0, left * THUMB_PX], [0, 1 - top - bottom, top * THUMB_PX]], np.float32
    )
    matrix[:, 2] += matrix[:, :2] @ np.full(2, 0.5, np.float32) - 0.5  # centres at integers
    return matrix


def _detail_correlation(
    view: NDArray[np.uint8], frame: NDArray[np.uint8], transform: Transform
) -> float:
    size, flags = (THUMB_PX, THUMB_PX), cv2.WARP_INVERSE_MAP
    laid = cv2.warpAffine(frame, transform, size, flags=flags | cv2.INTER_LINEAR)
    inside = cv2.warpAffine(np.ones_like(frame), transform, size, flags=flags | cv2.INTER_NEAREST)
    inside = cv2.erode(inside, np.ones((5, 5), np.uint8)) > 0
    if inside.mean() < _LEAST_OVERLAP:
        return -1.0
    one, two = _detail(view)[inside], _detail(laid)[inside]
    gap = np.abs(one / max(one.std(), _NOISE) - two / max(two.std(), _NOISE))
    most = int((1 - _COVERED) * (len(gap) - 1))
    kept = gap <= np.partition(gap, most)[most]
    one, two = one[kept] - one[kept].mean(), two[kept] - two[kept].mean()
    scale = np.sqrt((one @ one + _NOISE) * (two @ two + _NOISE))
    return float(one @ two / scale)


def _detail(thumb: NDArray[np.uint8]) -> NDArray[np.float32]:
    values = thumb.astype(np.float32)
    return np.asarray(values - cv2.GaussianBlur(values, (0, 0), _DETAIL_PX), np.float32)


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
